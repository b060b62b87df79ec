"""A client and a data centre agree on a key, or do not."""

from hashlib import sha1

import pytest
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.errors import AuthKeyNotFound, InvalidBufferError
from telethon.network import ConnectionTcpIntermediate
from telethon.network.mtprotoplainsender import MTProtoPlainSender
from telethon.sessions import StringSession
from telethon.tl.functions import (
    ReqDHParamsRequest,
    ReqPqMultiRequest,
    SetClientDHParamsRequest,
)
from telethon.tl.functions.help import GetNearestDcRequest
from telethon.tl.types import ClientDHInnerData, DhGenRetry, PQInnerData

from tests.telegram_server.wire.exchange import Exchange, P, Q, Refused
from tests.telegram_server.wire.keys import ServerKey
from tests.telegram_server.wire_rig import (
    HOME,
    LOGGERS,
    echoing,
    minted,
    on_a_loop,
    sending,
    speaking,
)


@pytest.fixture(scope="module")
def server_key() -> ServerKey:
    key = ServerKey()
    rsa.add_key(key.public_pem, old=False)
    return key


@on_a_loop
async def test_an_unmodified_client_connects():
    async with echoing() as server:
        session = StringSession()
        session.set_dc(HOME, "127.0.0.1", server.ports[HOME])
        client = TelegramClient(session, 1, "hash", connection=ConnectionTcpIntermediate)
        await client.connect()
        nearest = await client(GetNearestDcRequest())
        assert nearest.this_dc == HOME
        assert server.ring.find(HOME, client.session.auth_key.key_id)
        await client.disconnect()


@on_a_loop
async def test_a_client_that_was_not_told_our_key_goes_away(monkeypatch: pytest.MonkeyPatch):
    async with echoing() as server:
        monkeypatch.setattr(rsa, "_server_keys", {})
        with pytest.raises(ConnectionError):
            async with sending(server):
                pass


@on_a_loop
async def test_a_client_that_believes_in_another_key_is_refused(server_key: ServerKey):
    async with echoing() as server:
        connection = ConnectionTcpIntermediate(
            "127.0.0.1", server.ports[HOME], HOME, loggers=LOGGERS
        )
        await connection.connect()
        plain = MTProtoPlainSender(connection, loggers=LOGGERS)
        told = await plain.send(ReqPqMultiRequest(7))
        request = ReqDHParamsRequest(7, told.server_nonce, b"p", b"q", 99, b"x" * 256)
        with pytest.raises(InvalidBufferError) as caught:
            await plain.send(request)
        assert caught.value.code == 404
        await connection.disconnect()


def offered(key: ServerKey, **changed: object) -> tuple[Exchange, ReqDHParamsRequest]:
    """An exchange that began, and the client's second request, with a field changed."""
    exchange = Exchange(key)
    exchange.answer(bytes(ReqPqMultiRequest(7)))
    fields = {
        "pq": rsa.get_byte_array(P * Q),
        "p": rsa.get_byte_array(P),
        "q": rsa.get_byte_array(Q),
        "nonce": 7,
        "server_nonce": exchange._server_nonce,
        "new_nonce": 8,
    }
    inner = bytes(PQInnerData(**fields | changed))
    sealed = rsa.encrypt(key.fingerprint, inner)
    nonce = exchange._server_nonce
    return exchange, ReqDHParamsRequest(7, nonce, b"", b"", key.fingerprint, sealed)


@pytest.mark.parametrize("changed", [{"p": b"\x03"}, {"server_nonce": 1}])
def test_what_does_not_fit_is_refused(server_key: ServerKey, changed: dict[str, object]):
    exchange, request = offered(server_key, **changed)
    with pytest.raises(Refused):
        exchange.answer(bytes(request))


def test_another_keys_fingerprint_is_refused(server_key: ServerKey):
    exchange, request = offered(server_key)
    request.public_key_fingerprint += 1
    with pytest.raises(Refused):
        exchange.answer(bytes(request))


def test_what_is_not_what_was_hashed_is_refused(server_key: ServerKey):
    exchange, request = offered(server_key)
    block = bytearray(server_key.decrypt(request.encrypted_data))
    block[0] ^= 1
    public, _ = rsa._server_keys[server_key.fingerprint]
    wrong = pow(int.from_bytes(block, "big"), public.e, public.n)
    request.encrypted_data = wrong.to_bytes(256, "big")
    with pytest.raises(Refused):
        exchange.answer(bytes(request))


def test_a_key_that_begins_with_a_zero_is_not_taken(server_key: ServerKey):
    # Telethon would drop the zero, and its string session put it at the end.
    import cryptg

    exchange, request = offered(server_key)
    exchange.answer(bytes(request))
    exchange._secret = 1
    inner = bytes(ClientDHInnerData(7, exchange._server_nonce, 0, b"\x05"))
    plain = sha1(inner).digest() + inner
    plain += bytes(-len(plain) % 16)
    sealed = cryptg.encrypt_ige(plain, *exchange._temporary_key())
    done = exchange.answer(bytes(SetClientDHParamsRequest(7, exchange._server_nonce, sealed)))
    assert done[:4] == DhGenRetry.CONSTRUCTOR_ID.to_bytes(4, "little")
    assert exchange.key is None


@on_a_loop
async def test_an_exchange_may_begin_again_on_the_same_connection():
    async with echoing() as server, sending(server) as sender:
        plain = MTProtoPlainSender(sender._connection, loggers=LOGGERS)
        sender._recv_loop_handle.cancel()
        first = await plain.send(ReqPqMultiRequest(7))
        second = await plain.send(ReqPqMultiRequest(8))
        assert first.server_nonce != second.server_nonce


@on_a_loop
async def test_a_key_that_nobody_knows_is_told_so():
    async with echoing() as server, sending(server, bytes(range(256))) as sender:
        with pytest.raises(AuthKeyNotFound):
            await sender.send(GetNearestDcRequest())


@on_a_loop
async def test_a_key_is_known_in_its_own_data_centre_alone():
    async with echoing() as server:
        key = minted(server)
        async with sending(server, key) as sender:
            assert (await sender.send(GetNearestDcRequest())).this_dc == HOME
        async with sending(server, key, data_centre=1) as sender:
            with pytest.raises(AuthKeyNotFound):
                await sender.send(GetNearestDcRequest())


@on_a_loop
async def test_a_message_that_was_tampered_with_ends_the_connection():
    async with echoing() as server, speaking(server) as speaker:
        sealed = bytearray(
            speaker.state.encrypt_message_data(speaker.message(GetNearestDcRequest()))
        )
        sealed[50] ^= 1
        speaker.send_packet(bytes(sealed))
        with pytest.raises((OSError, EOFError)):
            await speaker.hear_packet()
        assert server.tally.calls() == {}
