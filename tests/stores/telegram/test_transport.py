"""Packets over a real connection: whole, in order, however the bytes come; and its end."""

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.stores.telegram import transport
from tgdav.stores.telegram.transport import LARGE, LARGEST, OPENING, UNSENT, WAITING, Transport

Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Client = Callable[[Transport], Awaitable[None]]


def talk(server: Server, client: Client) -> None:
    """Both at once, over TCP, within a bounded time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(4) == OPENING
            await server(reader, writer)
        finally:
            writer.close()

    async def both() -> None:
        serving: list[asyncio.Task[None]] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving.append(asyncio.ensure_future(serve(reader, writer)))

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
            connection = Transport("127.0.0.1", listening.sockets[0].getsockname()[1])
            await connection.connect(5)
            assert connection._connected
            try:
                await client(connection)
            finally:
                await connection.disconnect()
                await asyncio.gather(*serving, return_exceptions=True)
            assert not connection._connected

    asyncio.run(asyncio.wait_for(both(), 20))


def framed(packet: bytes) -> bytes:
    return struct.pack("<I", len(packet)) + packet


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=12),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_packets_are_whole_however_they_are_cut(packets: list[bytes], steps: list[int]):
    connection, stream = Transport("", 0), b"".join(map(framed, packets))
    at = turn = 0
    while at < len(stream):
        room = connection.get_buffer(-1)
        size = min(len(room), steps[turn % len(steps)], len(stream) - at)
        room[:size] = stream[at : at + size]
        connection.buffer_updated(size)
        at, turn = at + size, turn + 1
    assert [connection._came.get_nowait() for _ in packets] == packets
    assert connection._came.empty()


def test_what_is_sent_comes_back():
    packets = [os.urandom(size) for size in (1, 4, 300, 1 << 20, 3 << 20)]

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for packet in packets:
            writer.write(await reader.readexactly(4 + len(packet)))
        await writer.drain()

    async def client(connection: Transport) -> None:
        for packet in packets:
            await connection.send(packet)
        for packet in packets:
            assert await connection.recv() == packet

    talk(echo, client)


def test_the_memory_of_a_large_packet_is_used_again():
    async def three(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size in (LARGE, 10, LARGE // 2, LARGE):
            writer.write(framed(os.urandom(size)))
            await asyncio.sleep(0.05)
        await writer.drain()

    async def client(connection: Transport) -> None:
        first, small = await connection.recv(), None
        assert isinstance(first, memoryview)
        memory = first.obj
        for _ in range(2):
            small = await connection.recv()
            assert isinstance(small, bytes)
        with pytest.raises(ValueError, match="released"):
            first[0]
        last = await connection.recv()
        assert isinstance(last, memoryview)
        assert last.obj is memory

    talk(three, client)


def test_nobody_is_sent_more_than_it_takes():
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        await reader.read(-1)

    async def client(connection: Transport) -> None:
        async def flood() -> None:
            for _ in range(128):
                await connection.send(bytes(UNSENT))

        sending = asyncio.ensure_future(flood())
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 3 * UNSENT
        sending.cancel()

    talk(deaf, client)


def test_no_more_is_read_than_is_taken():
    packets = 40 * WAITING

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for no in range(packets):
            writer.write(framed(no.to_bytes(4, "little") + bytes(200 << 10)))
        await writer.drain()

    async def client(connection: Transport) -> None:
        await asyncio.sleep(0.5)
        assert connection._came.qsize() <= WAITING + 1
        for no in range(packets):
            assert (await connection.recv())[:4] == no.to_bytes(4, "little")

    talk(flood, client)


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(framed(b"last") + b"\x08\x00\x00")
    await writer.drain()


def test_the_end_is_told_after_what_came_and_again_and_again():
    async def client(connection: Transport) -> None:
        assert await connection.recv() == b"last"
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await connection.recv()
        with pytest.raises(ConnectionError):
            await connection.send(b"more")

    talk(_hang_up, client)


@pytest.mark.parametrize("size", [0, LARGEST + 1, 0xFFFFFFFF])
def test_a_length_that_no_packet_has_ends_the_connection(size: int):
    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(struct.pack("<I", size))
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)  # until the client ends it

    async def client(connection: Transport) -> None:
        with pytest.raises(ConnectionError):
            await connection.recv()

    talk(server, client)


def test_who_waits_learns_of_the_end():
    async def idle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async def client(connection: Transport) -> None:
        waiting = asyncio.ensure_future(connection.recv())
        await asyncio.sleep(0.05)
        await connection.disconnect()
        with pytest.raises(ConnectionError):
            await waiting

    talk(idle, client)


def test_no_one_there_is_an_os_error():
    async def connect() -> None:
        with pytest.raises(ConnectionRefusedError):
            await transport.Transport("127.0.0.1", 1).connect(5)

    asyncio.run(connect())
