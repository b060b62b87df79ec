"""Packets in a stream of bytes, whatever pieces they come in."""

import asyncio
import random
import socket

import pytest
from mtproto import ConnectionRole
from mtproto.transport import Connection as LibraryTransport
from mtproto.transport import transports
from mtproto.transport.packets import (
    EncryptedMessagePacket,
    MessagePacket,
    UnencryptedMessagePacket,
)
from mtproto.transport.transports.base_transport import BaseTransport
from telethon.network import (
    Connection,
    ConnectionTcpAbridged,
    ConnectionTcpFull,
    ConnectionTcpIntermediate,
)
from telethon.tl.functions.help import GetConfigRequest
from telethon.tl.functions.upload import SaveBigFilePartRequest

from tests.telegram_server.wire.framing import PACKET_MAX, Framing, Malformed
from tests.telegram_server.wire_rig import (
    HOME,
    echoing,
    get_file,
    minted,
    on_a_loop,
    random_bytes,
    sending,
)

OF_TELETHON = [ConnectionTcpAbridged, ConnectionTcpFull, ConnectionTcpIntermediate]
OF_LIBRARY = [
    transports.AbridgedTransport,
    transports.FullTransport,
    transports.IntermediateTransport,
    transports.PaddedIntermediateTransport,
]
PACKETS = [
    UnencryptedMessagePacket(4, b"hello" * 4),
    EncryptedMessagePacket(5, b"k" * 16, b"s" * 64),
    EncryptedMessagePacket(-6, b"l" * 16, b"t" * 100_000),
    UnencryptedMessagePacket(8, b"good" * 100),
]


def feed(framing: Framing, data: bytes) -> list[MessagePacket]:
    """Give it `data` as the loop would; the packets that are whole then."""
    found = []
    while data:
        room = framing.room()
        taken = min(len(room), len(data))
        room[:taken] = data[:taken]
        framing.received(taken)
        data = data[taken:]
        while packet := framing.next_packet():
            found.append(packet)
    return found


def sent(transport: type[BaseTransport]) -> bytes:
    """A client's stream of all packets."""
    client = LibraryTransport(ConnectionRole.CLIENT, transport)
    return b"".join(bytes(client.send(packet)) for packet in PACKETS)


def content(packet: MessagePacket) -> tuple[object, ...]:
    """Without the wish for a quick ack, which the library sees where none is."""
    if isinstance(packet, UnencryptedMessagePacket):
        return packet.message_id, packet.message_data
    return packet.auth_key_id, packet.message_key, packet.encrypted_data


@pytest.mark.parametrize("longest", [7, 5000, 1 << 20])
@pytest.mark.parametrize("transport", OF_LIBRARY)
def test_packets_come_in_any_pieces(transport: type[BaseTransport], longest: int):
    stream, chance = sent(transport), random.Random(1)
    framing, found, at = Framing(), [], 0
    while at < len(stream):
        size = chance.randint(1, longest)
        found += feed(framing, stream[at : at + size])
        at += size
    assert list(map(content, found)) == list(map(content, PACKETS))


def test_a_packet_may_be_one_byte_short_at_every_byte():
    stream = sent(transports.IntermediateTransport)[:400]
    for cut in range(len(stream)):
        framing = Framing()
        found = feed(framing, stream[:cut]) + feed(framing, stream[cut:])
        assert found == PACKETS[:2]


@pytest.mark.parametrize(
    "stream",
    [
        b"\xee\xee\xee\xee" + (PACKET_MAX + 1).to_bytes(4, "little"),
        b"\xee\xee\xee\xee" + bytes(4),
        b"\xef\x7f\xff\xff\xff" + bytes(100),
        bytes(range(100, 164)),
    ],
)
def test_what_is_no_packet_is_malformed(stream: bytes):
    with pytest.raises(Malformed):
        feed(Framing(), stream)


@on_a_loop
async def test_what_is_no_packet_ends_the_connection():
    async with echoing() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports[HOME])
        writer.write(b"\xee\xee\xee\xee\xff\xff\xff\x7f")
        with pytest.raises(ConnectionError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("transport", OF_TELETHON)
@on_a_loop
async def test_a_client_speaks_each_transport(transport: type[Connection]):
    data = random_bytes(512 << 10)
    async with (
        echoing() as server,
        sending(server, minted(server), transport=transport) as sender,
    ):
        assert (await sender.send(GetConfigRequest())).this_dc == HOME
        assert await sender.send(SaveBigFilePartRequest(3, 0, 20, data))
        assert (await sender.send(get_file(3))).bytes == data


@on_a_loop
async def test_small_packets_go_at_once():
    # Else they wait 40 ms for the acknowledgement of what went before.
    async with echoing() as server, sending(server, minted(server)) as sender:
        await sender.send(GetConfigRequest())
        (link,) = server._links
        connected = link._transport.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@on_a_loop
async def test_parts_and_answers_of_any_length_are_padded():
    async with echoing() as server, sending(server, minted(server)) as sender:
        for size in (1, 2, 3, 252, 253, 254, 255, 256, 257, 1021, 70_001):
            data = random_bytes(size)
            await sender.send(SaveBigFilePartRequest(3, 0, 1, data))
            assert (await sender.send(get_file(3))).bytes == data
