import pytest
from telethon.password import compute_check
from telethon.tl import types
from telethon.tl.functions import account, auth, channels, updates, upload, users
from telethon.tl.functions import help as help_

from tests.telegram_server.direct import Direct, new_world
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.world import World

PHONE = "+49 151 2345678"


@pytest.fixture
def world() -> World:
    return new_world()


def ask_code(client: Direct, phone: str = PHONE, api_id: int = 1) -> str:
    request = auth.SendCodeRequest(phone, api_id, "hash", types.CodeSettings())
    return client(request).phone_code_hash


def refused(client: Direct, request: object) -> str:
    with pytest.raises(RpcError) as caught:
        client(request)
    return f"{caught.value.code} {caught.value.message}"


def me(client: Direct) -> types.User:
    return client(users.GetUsersRequest([types.InputUserSelf()]))[0]


def test_a_code_logs_a_phone_in(world: World) -> None:
    client = Direct.user(world, PHONE, premium=True)
    assert me(client).id == client.account
    assert me(client).phone == "491512345678"
    assert me(client).premium


def test_nobody_is_let_in_without_a_login(world: World) -> None:
    client = Direct(world)
    assert refused(client, users.GetUsersRequest([])) == "401 AUTH_KEY_UNREGISTERED"
    assert client(help_.GetNearestDcRequest()).this_dc == 2


def test_wrong_empty_and_expired_codes(world: World) -> None:
    world.control("add_user", {"phone": PHONE})
    client = Direct(world)
    code = ask_code(client)
    assert refused(client, auth.SignInRequest(PHONE, code, "54321")) == "400 PHONE_CODE_INVALID"
    assert refused(client, auth.SignInRequest(PHONE, code, "")) == "400 PHONE_CODE_EMPTY"
    world.control("expire_code", {"phone": PHONE})
    assert refused(client, auth.SignInRequest(PHONE, code, "12345")) == "400 PHONE_CODE_EXPIRED"
    code = ask_code(client)
    world.control("clock", {"advance_s": 3600})
    assert refused(client, auth.SignInRequest(PHONE, code, "12345")) == "400 PHONE_CODE_EXPIRED"


def test_a_stranger_has_to_sign_up(world: World) -> None:
    client = Direct(world)
    answer = client(auth.SignInRequest(PHONE, ask_code(client), "12345"))
    assert isinstance(answer, types.auth.AuthorizationSignUpRequired)


def test_a_password_is_asked_for_and_checked(world: World) -> None:
    world.control("add_user", {"phone": PHONE, "password": "open sesame"})
    client = Direct(world)
    request = auth.SignInRequest(PHONE, ask_code(client), "12345")
    assert refused(client, request) == "401 SESSION_PASSWORD_NEEDED"
    assert refused(client, updates.GetStateRequest()) == "401 SESSION_PASSWORD_NEEDED"
    asked = client(account.GetPasswordRequest())
    wrong = auth.CheckPasswordRequest(compute_check(asked, "sesame open"))
    assert refused(client, wrong) == "400 PASSWORD_HASH_INVALID"
    assert refused(client, wrong) == "400 SRP_ID_INVALID"
    asked = client(account.GetPasswordRequest())
    client(auth.CheckPasswordRequest(compute_check(asked, "open sesame")))
    assert me(client).phone == "491512345678"


@pytest.mark.parametrize(
    ("trouble", "answer"),
    [
        ("banned", "400 PHONE_NUMBER_BANNED"),
        ("flood", "400 PHONE_NUMBER_FLOOD"),
        ("invalid", "400 PHONE_NUMBER_INVALID"),
    ],
)
def test_phones_in_trouble(world: World, trouble: str, answer: str) -> None:
    world.control("phone_state", {"phone": PHONE, "trouble": trouble})
    request = auth.SendCodeRequest(PHONE, 1, "hash", types.CodeSettings())
    assert refused(Direct(world), request) == answer
    world.control("phone_state", {"phone": PHONE, "trouble": None})
    assert ask_code(Direct(world))


def test_an_api_id_may_be_refused(world: World) -> None:
    request = auth.SendCodeRequest(PHONE, 7, "hash", types.CodeSettings())
    world.control("api_state", {"api_id": 7, "trouble": "invalid"})
    assert refused(Direct(world), request) == "400 API_ID_INVALID"
    world.control("api_state", {"api_id": 7, "trouble": "published"})
    assert refused(Direct(world), request) == "400 API_ID_PUBLISHED_FLOOD"
    with pytest.raises(ValueError, match="is none of"):
        world.control("api_state", {"api_id": 7, "trouble": "purple"})


def test_who_lives_elsewhere_is_sent_there(world: World) -> None:
    world.control("add_user", {"phone": PHONE, "home": 1})
    token = world.control("add_bot", {"name": "far_bot", "home": 1})["token"]
    client = Direct(world)
    request = auth.SendCodeRequest(PHONE, 1, "hash", types.CodeSettings())
    assert refused(client, request) == "303 PHONE_MIGRATE_1"
    request = auth.ImportBotAuthorizationRequest(0, 1, "hash", token)
    assert refused(client, request) == "303 USER_MIGRATE_1"


def test_a_bot_logs_in_by_its_token_and_may_do_less(world: World) -> None:
    bot = Direct.bot(world)
    assert me(bot).bot
    request = auth.ImportBotAuthorizationRequest(0, 1, "hash", "1:wrong")
    assert refused(Direct(world), request) == "400 ACCESS_TOKEN_INVALID"
    request = channels.CreateChannelRequest("packs", "", broadcast=True)
    assert refused(bot, request) == "400 BOT_METHOD_INVALID"


def test_an_exported_login_speaks_for_it_in_another_data_centre(world: World) -> None:
    client = Direct.user(world)
    assert refused(client, auth.ExportAuthorizationRequest(2)) == "400 DC_ID_INVALID"
    assert refused(client, auth.ExportAuthorizationRequest(9)) == "400 DC_ID_INVALID"
    token = client(auth.ExportAuthorizationRequest(1))
    other = Direct(world, 1)
    request = auth.ImportAuthorizationRequest(token.id, token.bytes)
    assert other(request).user.id == client.account
    assert refused(Direct(world, 1), request) == "400 AUTH_BYTES_INVALID"
    assert other(upload.SaveFilePartRequest(1, 0, b"part"))
    assert refused(other, updates.GetStateRequest()) == "303 USER_MIGRATE_2"
    world.control("forget_exported", {"account": client.account})
    request = upload.SaveFilePartRequest(1, 0, b"part")
    assert refused(other, request) == "401 AUTH_KEY_UNREGISTERED"
    assert me(client)


def test_logging_out_ends_the_login_everywhere(world: World) -> None:
    client = Direct.user(world)
    other = client.exported(1)
    client(auth.LogOutRequest())
    request = upload.SaveFilePartRequest(1, 0, b"part")
    assert refused(client, request) == "401 AUTH_KEY_UNREGISTERED"
    assert refused(other, request) == "401 AUTH_KEY_UNREGISTERED"


def test_a_login_is_revoked_from_another_device(world: World) -> None:
    client = Direct.user(world, PHONE)
    second = Direct(world)
    second(auth.SignInRequest(PHONE, ask_code(second), "12345"))
    rows = second(account.GetAuthorizationsRequest()).authorizations
    assert [row.current for row in rows] == [False, True]
    second(account.ResetAuthorizationRequest(rows[0].hash))
    assert refused(client, updates.GetStateRequest()) == "401 SESSION_REVOKED"
    assert world.control("log_out", {"account": client.account}) == 1
    assert refused(second, updates.GetStateRequest()) == "401 SESSION_REVOKED"


def test_a_ban_and_its_pardon(world: World) -> None:
    client = Direct.user(world, PHONE)
    world.control("ban", {"account": client.account})
    assert refused(client, updates.GetStateRequest()) == "401 USER_DEACTIVATED_BAN"
    request = auth.SendCodeRequest(PHONE, 1, "hash", types.CodeSettings())
    assert refused(Direct(world), request) == "400 PHONE_NUMBER_BANNED"
    world.control("pardon", {"account": client.account})
    assert me(client)


def test_a_frozen_account_only_reads(world: World) -> None:
    client = Direct.user(world)
    peer = client.channel()
    message = client.send(peer)
    world.control("freeze", {"account": client.account, "until": 2_000_000_000})
    file = client.save(b"parts")
    assert refused(client, client.sending(peer, file)) == "420 FROZEN_METHOD_INVALID"
    assert client.read(client.get(peer, message.id)[0]) == b"bytes of a pack"
    told = client(help_.GetAppConfigRequest(0)).config.value
    assert {one.key: one.value for one in told}["freeze_until_date"].value == 2_000_000_000
    world.control("clock", {"advance_s": 10**9})
    assert refused(client, updates.GetStateRequest()) == "401 USER_DEACTIVATED"


def test_two_voices_of_one_key_kill_it(world: World) -> None:
    client = Direct.user(world)
    sender = Direct(world, caller=client.caller)
    assert sender(upload.SaveFilePartRequest(1, 0, b"part"))
    assert me(client)
    assert refused(sender, help_.GetConfigRequest()) == "406 AUTH_KEY_DUPLICATED"
    assert refused(client, updates.GetStateRequest()) == "406 AUTH_KEY_DUPLICATED"
    request = upload.SaveFilePartRequest(1, 0, b"part")
    assert refused(sender, request) == "406 AUTH_KEY_DUPLICATED"


def test_a_key_speaks_on_after_its_connection_has_ended(world: World) -> None:
    client = Direct.user(world)
    assert me(client)
    world.closed(client.connection)
    again = Direct(world, caller=client.caller)
    assert me(again)
    # A request of the first that was still under way is no second voice.
    assert me(client)


def test_codes_and_logins_of_bots_run_out(world: World) -> None:
    client = Direct(world)
    for _ in range(5):
        ask_code(client)
    request = auth.SendCodeRequest(PHONE, 1, "hash", types.CodeSettings())
    assert refused(client, request).startswith("420 FLOOD_WAIT_86")
    world.control("limits", {"bot_logins_per_hour": 1})
    token = world.control("add_bot", {"name": "packs_bot"})["token"]
    request = auth.ImportBotAuthorizationRequest(0, 1, "hash", token)
    client(request)
    assert refused(client, request) == "420 FLOOD_WAIT_1500"


def test_times_to_live_are_kept_within_bounds(world: World) -> None:
    client = Direct.user(world)
    client(account.SetAccountTTLRequest(types.AccountDaysTTL(730)))
    assert client(account.GetAccountTTLRequest()).days == 730
    request = account.SetAccountTTLRequest(types.AccountDaysTTL(7))
    assert refused(client, request) == "400 TTL_DAYS_INVALID"


def test_config_tells_where_the_data_centres_are(world: World) -> None:
    config = Direct(world, 1)(help_.GetConfigRequest())
    assert config.this_dc == 1
    told = [(one.id, one.ip_address, one.port) for one in config.dc_options]
    assert told == [(1, "127.0.0.1", 4001), (2, "127.0.0.1", 4002)]
