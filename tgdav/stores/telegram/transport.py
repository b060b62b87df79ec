"""The intermediate transport: packets over one TCP connection, received where they stay.

In the place of Telethon's connection, whose streams move each byte of an answer four times.
Knows lengths, and nothing of what a packet holds. core.telegram.org/mtproto/mtproto-transports
"""

import asyncio
import struct
from typing import cast

from tgdav.stores.base import Buffer
from tgdav.stores.telegram.turnstile import pass_turnstile

OPENING = b"\xee\xee\xee\xee"
"""Sent first: it says which transport this is."""
LARGEST = 16 << 20
"""Bytes of a packet. Telegram's have 1 MiB and a little; a length above is none."""
LARGE = 16 << 10
"""Bytes from which a packet is given out where it came, and not copied."""
WAITING = 8
"""Packets that have come and that nobody has taken: no more is read meanwhile."""
UNSENT = 1 << 20
"""Bytes that wait for the network: above it, `send` waits as well."""
_LENGTH = struct.Struct("<I")


class Transport(asyncio.BufferedProtocol):
    """All that Telethon's sender asks of a connection. On the event loop; connects once."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._transport: asyncio.Transport | None = None
        self._came: asyncio.Queue[memoryview | None] = asyncio.Queue()
        self._may_send = asyncio.Event()
        self._has_ended = asyncio.Event()
        self._length = bytearray(_LENGTH.size)
        self._room = memoryview(self._length)
        self._filled = 0
        self._is_length = True
        self._given: memoryview | None = None
        self._spare = bytearray()

    @property
    def _connected(self) -> bool:
        """By this name Telethon asks."""
        return self._transport is not None

    async def connect(self, timeout: float) -> None:
        """Raises `OSError`, `asyncio.TimeoutError`."""
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(lambda: self, self._host, self._port)
        await asyncio.wait_for(opening, timeout)

    async def disconnect(self) -> None:
        """End it; what waits to be sent is not."""
        if self._transport:
            self._transport.abort()
            await self._has_ended.wait()

    async def send(self, packet: bytes) -> None:
        """Send it, behind those before. Raises `ConnectionError` if the connection has ended."""
        await self._may_send.wait()
        if self._transport is None:
            raise ConnectionResetError("the connection ended")
        self._transport.write(_LENGTH.pack(len(packet)))
        self._transport.write(packet)

    async def recv(self) -> Buffer:
        """The next packet; a large one is void once the next is asked for.

        Its memory is used again then. Raises `ConnectionError` if none is left and the
        connection ended.
        """
        self._take_back()
        packet = await self._came.get()
        if packet is None:
            self._came.put_nowait(None)
            raise ConnectionResetError("the connection ended")
        if self._transport and self._came.qsize() < WAITING:
            self._transport.resume_reading()
        if len(packet) < LARGE:
            return bytes(packet)
        self._given = packet
        await pass_turnstile()
        return packet

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNSENT)
        self._transport.write(OPENING)
        self._may_send.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._came.put_nowait(None)
        self._may_send.set()
        self._has_ended.set()

    def pause_writing(self) -> None:
        self._may_send.clear()

    def resume_writing(self) -> None:
        self._may_send.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled < len(self._room):
            return
        whole, self._filled = self._room, 0
        if self._is_length:
            (size,) = _LENGTH.unpack(whole)
            if not 0 < size <= LARGEST and self._transport:
                self._transport.abort()
                return
            self._room = self._room_for(size)
        else:
            self._room = memoryview(self._length)
            self._take(whole)
        self._is_length = not self._is_length

    def _room_for(self, size: int) -> memoryview:
        """Memory for a packet: the zeros of a new buffer cost more than a copy into an old one."""
        if size < LARGE or size > len(self._spare):
            return memoryview(bytearray(size))
        spare, self._spare = self._spare, bytearray()
        return memoryview(spare)[:size]

    def _take_back(self) -> None:
        given, self._given = self._given, None
        if given is not None and isinstance(given.obj, bytearray):
            self._spare = max(self._spare, given.obj, key=len)
            given.release()

    def _take(self, packet: memoryview) -> None:
        self._came.put_nowait(packet)
        if self._transport and self._came.qsize() >= WAITING:
            self._transport.pause_reading()
