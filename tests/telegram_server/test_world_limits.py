import pytest
from telethon.tl import types
from telethon.tl.functions import auth, messages, updates, upload

from tests.telegram_server.direct import Direct, new_world
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.world import World


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def client(world: World) -> Direct:
    return Direct.user(world)


def wait_of(client: Direct, request: object) -> tuple[str, int]:
    with pytest.raises(RpcError) as caught:
        client(request)
    assert caught.value.code == 420
    name, _, seconds = caught.value.message.rpartition("_")
    return name, int(seconds)


def test_a_user_sends_so_many_messages_an_hour(world: World, client: Direct) -> None:
    world.control("limits", {"messages_per_hour_user": 3})
    peer, file = client.channel(), client.save(b"pack")
    client.send(peer, file=file)
    world.control("clock", {"advance_s": 600})
    client.send(peer, file=file)
    client.send(client.channel(), file=file)
    request = client.sending(peer, file)
    name, seconds = wait_of(client, request)
    assert name == "FLOOD_WAIT"
    assert 2990 <= seconds <= 3000
    world.control("clock", {"advance_s": seconds})
    assert client(request)
    assert wait_of(client, client.sending(peer, file))[1] <= 600


def test_a_repeat_counts_for_nothing(world: World, client: Direct) -> None:
    world.control("limits", {"messages_per_hour_user": 1})
    peer = client.channel()
    request = client.sending(peer, client.save(b"pack"))
    client(request)
    assert client(request)


def test_a_bot_sends_so_many_a_minute_in_each_channel(world: World, client: Direct) -> None:
    bot = Direct.bot(world)
    peers = []
    for title in ("one", "two"):
        told = {"account": client.account, "title": title, "admins": [bot.account]}
        channel = world.control("make_channel", told)["id"]
        peers.append(types.InputPeerChannel(channel, 0))
    file = bot.save(b"pack")
    for _ in range(20):
        bot.send(peers[0], file=file)
    assert 58 <= wait_of(bot, bot.sending(peers[0], file))[1] <= 60
    for _ in range(10):
        bot.send(peers[1], file=file)
    assert wait_of(bot, bot.sending(peers[1], file)) == ("FLOOD_WAIT", 1)
    world.control("clock", {"advance_s": 60})
    assert bot.send(peers[0], file=file)


def test_each_forward_counts(world: World, client: Direct) -> None:
    world.control("limits", {"messages_per_hour_user": 3})
    peer = client.channel()
    sent = client.send(peer).id
    request = messages.ForwardMessagesRequest(peer, [sent] * 3, peer, random_id=[1, 2, 3])
    assert wait_of(client, request)[0] == "FLOOD_WAIT"
    request = messages.ForwardMessagesRequest(peer, [sent] * 2, peer, random_id=[1, 2])
    assert client(request)


def test_history_is_read_slowly(client: Direct) -> None:
    request = messages.GetHistoryRequest(client.channel(), 0, None, 0, 100, 0, 0, 0)
    for _ in range(30):
        client(request)
    assert 25 <= wait_of(client, request)[1] <= 30


def test_exports_are_few(world: World, client: Direct) -> None:
    world.control("limits", {"exports_per_hour": 1})
    client.exported(1)
    assert wait_of(client, auth.ExportAuthorizationRequest(1))[1] > 3000


def test_who_has_no_premium_is_slowed_down_after_so_many_bytes(
    world: World, client: Direct
) -> None:
    world.control(
        "limits", {"premium_wait_after_bytes": 100_000, "premium_wait_each_bytes": 50_000}
    )
    request = upload.SaveFilePartRequest(1, 0, bytes(50_000))
    client(request)
    client(request)
    assert wait_of(client, request) == ("FLOOD_PREMIUM_WAIT", 5)
    assert wait_of(client, request) == ("FLOOD_PREMIUM_WAIT", 5)
    world.control("clock", {"advance_s": 5})
    client(request)
    assert wait_of(client, request) == ("FLOOD_PREMIUM_WAIT", 5)
    world.control("premium", {"account": client.account})
    client(request)


def test_an_account_is_told_to_wait(world: World, client: Direct) -> None:
    told = {"account": client.account, "seconds": 300}
    world.control("flood_wait", told | {"method": "updates.getState"})
    assert 298 <= wait_of(client, updates.GetStateRequest())[1] <= 300
    client.channel()
    world.control("flood_wait", told)
    assert wait_of(client, upload.SaveFilePartRequest(1, 0, b"part"))[0] == "FLOOD_WAIT"
    world.control("clock", {"advance_s": 301})
    assert client(updates.GetStateRequest())


def test_a_pardon_forgets_all_that_was_counted(world: World, client: Direct) -> None:
    world.control("limits", {"messages_per_hour_user": 1})
    peer = client.channel()
    client.send(peer)
    world.control("flood_wait", {"account": client.account, "seconds": 300})
    world.control("pardon", {"account": client.account})
    client.send(peer)


def test_a_limit_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="no such limit: purple"):
        world.control("limits", {"purple": 1})
    with pytest.raises(KeyError):
        world.control("purple", {})
