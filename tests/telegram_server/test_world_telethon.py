"""The outside judge: Telethon's own high-level calls, unmodified, over the wire."""

import asyncio
import io
import random
from collections.abc import Awaitable, Callable, Iterator

import pytest
from telethon import TelegramClient, errors
from telethon.crypto import rsa
from telethon.sessions import StringSession
from telethon.tl import types
from telethon.tl.functions.channels import (
    CreateChannelRequest,
    EditAdminRequest,
    GetFullChannelRequest,
)
from telethon.tl.functions.messages import ExportChatInviteRequest, ImportChatInviteRequest

from tests.telegram_server.process import TelegramServer

RIGHTS = types.ChatAdminRights(post_messages=True, edit_messages=True, delete_messages=True)


@pytest.fixture(scope="module")
def running() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        rsa.add_key(running.key_pem, old=False)
        running.control("limits", codes_per_day=0, history_per_30s=0)
        yield running


@pytest.fixture
def server(running: TelegramServer) -> TelegramServer:
    # Telethon keeps the configuration of whatever it spoke to first.
    TelegramClient._config = None
    return running


@pytest.fixture
def phone() -> str:
    return "49" + "".join(random.choices("123456789", k=10))


def client_of(server: TelegramServer, session: str = "") -> TelegramClient:
    kept = StringSession(session)
    if not session:
        kept.set_dc(2, *server.server)
    return TelegramClient(kept, 1, "hash", request_retries=1, raise_last_call_error=True)


def run(client: TelegramClient, work: Callable[[TelegramClient], Awaitable[object]]) -> None:
    async def whole() -> None:
        await client.connect()
        try:
            await work(client)
        finally:
            await client.disconnect()

    asyncio.run(asyncio.wait_for(whole(), 30))


async def make_channel(client: TelegramClient, title: str = "packs") -> types.Channel:
    return (await client(CreateChannelRequest(title, "", broadcast=True))).chats[0]


@pytest.fixture
def user(server: TelegramServer, phone: str) -> TelegramClient:
    """Logged in by a session, not connected."""
    account = server.control("add_user", phone=phone)["user_id"]
    return client_of(server, server.control("session", account=account))


def test_start_by_code_and_password(
    server: TelegramServer, phone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.control("add_user", phone=phone, password="open sesame")

    async def work(client: TelegramClient) -> None:
        codes = iter(["54321", "12345"])
        await client.start(phone, "open sesame", code_callback=lambda: next(codes))
        assert (await client.get_me()).phone == phone
        assert not await client.is_bot()
        session = client.session.save()
        await client.disconnect()
        again = client_of(server, session)
        await again.connect()
        assert await again.is_user_authorized()
        assert await again.log_out()

    run(client_of(server), work)
    assert "Signed in successfully" in capsys.readouterr().out


def test_a_phone_that_lives_elsewhere(server: TelegramServer, phone: str) -> None:
    server.control("add_user", phone=phone, home=1)

    async def work(client: TelegramClient) -> None:
        await client.send_code_request(phone)
        await client.sign_in(phone, "12345")
        assert client.session.dc_id == 1
        await client.send_file(await make_channel(client), io.BytesIO(b"far"))

    run(client_of(server), work)


def test_a_wrong_password(server: TelegramServer, phone: str) -> None:
    server.control("add_user", phone=phone, password="open sesame")

    async def work(client: TelegramClient) -> None:
        await client.send_code_request(phone)
        with pytest.raises(errors.SessionPasswordNeededError):
            await client.sign_in(phone, "12345")
        with pytest.raises(errors.PasswordHashInvalidError):
            await client.sign_in(password="sesame open")
        await client.sign_in(password="open sesame")

    run(client_of(server), work)


def test_a_file_there_and_back(user: TelegramClient) -> None:
    data = random.Random(1).randbytes((11 << 20) + 77)

    async def work(client: TelegramClient) -> None:
        channel = await make_channel(client)
        large = await client.send_file(
            channel, io.BytesIO(data), caption="large", force_document=True, file_size=len(data)
        )
        small = await client.send_file(channel, io.BytesIO(data[:1000]), caption="small")
        assert (large.id, small.id) == (2, 3)
        assert await client.download_media(large, bytes) == data
        assert await client.download_media(small, bytes) == data[:1000]
        found = await client.get_messages(channel, ids=[3, 2, 99])
        assert [one and one.text for one in found] == ["small", "large", None]
        pieces = [
            bytes(one) async for one in client.iter_download(large.media, offset=1 << 20, limit=3)
        ]
        assert b"".join(pieces) == data[1 << 20 :][: sum(map(len, pieces))]

    run(user, work)


def test_history_and_search(user: TelegramClient) -> None:
    async def work(client: TelegramClient) -> None:
        channel = await make_channel(client)
        for number in range(130):
            await client.send_message(channel, f"message {number}")
        ids = [one.id async for one in client.iter_messages(channel)]
        assert ids == list(range(131, 0, -1))
        ids = [one.id async for one in client.iter_messages(channel, reverse=True, min_id=100)]
        assert ids == list(range(101, 132))
        found = await client.get_messages(channel, search="message 77", limit=10)
        assert [one.text for one in found] == ["message 77"]
        assert (await client.get_messages(channel, limit=0)).total == 131

    run(user, work)


def test_edit_pin_forward_and_delete(user: TelegramClient) -> None:
    async def work(client: TelegramClient) -> None:
        channel, copies = await make_channel(client), await make_channel(client, "copies")
        sent = await client.send_file(channel, io.BytesIO(b"head"), caption="old")
        edited = await client.edit_message(channel, sent.id, "new", parse_mode=None)
        assert edited.text == "new"
        await client.pin_message(channel, sent)
        pinned = types.InputMessagesFilterPinned
        found = await client.get_messages(channel, filter=pinned, limit=10)
        assert [one.id for one in found] == [sent.id]
        full = await client(GetFullChannelRequest(channel))
        assert full.full_chat.pinned_msg_id == sent.id
        copy = await client.forward_messages(copies, sent, drop_author=True)
        assert copy.media.document.id == sent.media.document.id
        await client.delete_messages(channel, [sent.id])
        assert await client.get_messages(channel, ids=sent.id) is None
        assert await client.download_media(copy, bytes) == b"head"

    run(user, work)


def test_dialogs_name_the_channels(user: TelegramClient) -> None:
    async def work(client: TelegramClient) -> None:
        titles = [f"channel {number}" for number in range(4)]
        for title in titles:
            await make_channel(client, title)
        dialogs = await client.get_dialogs()
        assert sorted(one.title for one in dialogs) == titles
        assert (await client.get_entity(dialogs[0].id)).broadcast

    run(user, work)


def test_a_second_account_joins_and_posts(
    server: TelegramServer, user: TelegramClient, phone: str
) -> None:
    second = server.control("add_user", phone=phone[::-1])["user_id"]
    other = client_of(server, server.control("session", account=second))

    async def work(client: TelegramClient) -> None:
        channel = await make_channel(client)
        link = (await client(ExportChatInviteRequest(channel))).link
        await other.connect()
        joined = (await other(ImportChatInviteRequest(link.rpartition("+")[2]))).updates.chats[0]
        with pytest.raises(errors.ChatAdminRequiredError):
            await other.send_message(joined, "refused")
        members = await client.get_participants(channel)
        them = next(one for one in members if one.id == second)
        await client(EditAdminRequest(channel, them, RIGHTS, ""))
        sent = await other.send_file(joined, io.BytesIO(b"theirs"))
        mine = await client.get_messages(channel, ids=sent.id)
        assert await client.download_media(mine, bytes) == b"theirs"
        await other.disconnect()

    run(user, work)


def test_a_bot_posts_and_reads(server: TelegramServer, user: TelegramClient, phone: str) -> None:
    made = server.control("add_bot", name=f"bot{phone}")

    async def work(client: TelegramClient) -> None:
        channel = await make_channel(client)
        bot = client_of(server)
        await bot.start(bot_token=made["token"])
        assert await bot.is_bot()
        await client(EditAdminRequest(channel, f"bot{phone}", RIGHTS, ""))
        nameless = types.InputPeerChannel(channel.id, 0)
        sent = await bot.send_file(nameless, io.BytesIO(b"of a bot"))
        assert await bot.download_media(sent, bytes) == b"of a bot"
        with pytest.raises(errors.BotMethodInvalidError):
            await bot.get_messages(nameless, limit=1)
        await bot.disconnect()

    run(user, work)


def test_a_file_in_another_data_centre(
    server: TelegramServer, user: TelegramClient, phone: str
) -> None:
    far_id = server.control("add_user", phone=phone[::-1], home=1)["user_id"]
    far = client_of(server, server.control("session", account=far_id))

    async def work(client: TelegramClient) -> None:
        await far.connect()
        channel = await make_channel(far)
        sent = await far.send_file(channel, io.BytesIO(b"far away"))
        me = await client.get_me()
        server.control("admit", channel=channel.id, account=me.id)
        await client.get_dialogs()
        near = await client.get_messages(channel.id, ids=sent.id)
        assert near.media.document.dc_id == 1
        assert await client.download_media(near, bytes) == b"far away"
        await far.disconnect()

    run(user, work)


def test_an_expired_reference_is_had_anew_by_telethon(
    server: TelegramServer, user: TelegramClient
) -> None:
    async def work(client: TelegramClient) -> None:
        sent = await client.send_file(await make_channel(client), io.BytesIO(b"bytes"))
        server.control("expire_references")
        assert await client.download_media(sent, bytes) == b"bytes"

    run(user, work)


def test_a_session_in_use_is_a_session_lost(server: TelegramServer, phone: str) -> None:
    account = server.control("add_user", phone=phone)["user_id"]
    session = server.control("session", account=account)

    async def work(client: TelegramClient) -> None:
        assert await client.get_me()
        second = client_of(server, session)
        with pytest.raises(errors.AuthKeyDuplicatedError):
            await second.connect()
        await second.disconnect()
        with pytest.raises(errors.AuthKeyDuplicatedError):
            await client.get_me()

    run(client_of(server, session), work)


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("ban", errors.UserDeactivatedBanError),
        ("log_out", errors.SessionRevokedError),
        ("peer_flood", errors.PeerFloodError),
        ("freeze", errors.FloodError),
    ],
)
def test_what_befalls_an_account_is_told_by_name(
    server: TelegramServer, user: TelegramClient, verb: str, error: type[Exception]
) -> None:
    async def work(client: TelegramClient) -> None:
        channel = await make_channel(client)
        server.control(verb, account=(await client.get_me()).id)
        with pytest.raises(error):
            await client.send_message(channel, "refused")

    run(user, work)
