"""One TCP connection: bytes to packets and back, at the speed of the shaped network.

It holds at most a few mebibytes each way: a client that does not read its answers is not
read from either. What packets say is the dialogue's business.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from mtproto.transport.packets import BasePacket, MessagePacket

from tests.telegram_server.wire.framing import Framing, Malformed, size_of
from tests.telegram_server.wire.shaping import Line, Shape
from tests.telegram_server.wire.turns import Turns

INBOX_MAX = 8 << 20
OUTBOX_MAX = 8 << 20
JOINED_BELOW = 64 << 10
"""Pieces of fewer bytes are cheaper to copy than to write one by one."""
_ABORTED = struct.pack("ii", 1, 0)


class Listener(Protocol):
    """Who is told of a link's packets."""

    def account_of(self, packet: MessagePacket) -> str | None:
        """Whose traffic a client's packet is."""

    def receive(self, packet: MessagePacket) -> Iterator[None]:
        """Deal with a packet, step by step. Raises `Malformed`."""

    def flush(self) -> None:
        """Send what was put by until now."""

    def closed(self) -> None: ...


class Link(asyncio.BufferedProtocol):
    """On the event loop. `listen` comes first; `ended` is told of the end."""

    def __init__(self, shape: Shape, turns: Turns, ended: Callable[["Link"], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._shape, self._turns, self._ended = shape, turns, ended
        self._framing = Framing()
        self._in, self._out = Line(), Line()
        self._inbox: deque[tuple[float, int, MessagePacket]] = deque()
        self._inbox_bytes = 0
        self._steps: Iterator[None] = iter(())
        self._outbox: deque[tuple[float, int, list[bytes]]] = deque()
        self._outbox_bytes = 0
        self._is_full = False
        self._transport: asyncio.Transport | None = None
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    @property
    def is_clogged(self) -> bool:
        """Whether the client should first read what it was sent."""
        return self._is_full or self._outbox_bytes > OUTBOX_MAX

    def send(self, packet: BasePacket, account: str | None, cut_at: int | None = None) -> int:
        """Send it when its time has come, or only its first bytes and then end; its size."""
        pieces = self._framing.frame(packet)
        if cut_at is not None:
            pieces = [b"".join(pieces)[:cut_at]]
        size = sum(map(len, pieces))
        now = self._loop.time()
        due = self._shape.arrival(self._out, account, "out", size, now)
        if due <= now and not self._outbox:
            self._write(pieces)
        else:
            self._outbox.append((due, size, pieces))
            self._outbox_bytes += size
        if cut_at is not None:
            self._outbox.append((due, 0, []))  # the end
        self._set_timer()
        return size

    def reset(self) -> None:
        """End it as a broken network does, at once."""
        if self._transport:
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTED)
        self.end()

    def end(self) -> None:
        """End it in order, at once; what was not sent yet is not sent."""
        self._is_over = True
        if self._transport:
            self._transport.abort()

    def close_after(self, seconds: float) -> None:
        """End it then, unless this is called again before."""
        if self._closing:
            self._closing.cancel()
        self._closing = self._loop.call_later(seconds, self._transport.close)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=OUTBOX_MAX)
        if self._is_over:  # between the accepting and now
            self.reset()

    def connection_lost(self, error: Exception | None) -> None:
        for timer in (self._timer, self._closing):
            if timer:
                timer.cancel()
        self._inbox.clear()
        self._outbox.clear()
        self._steps = iter(())
        self._listener.closed()
        self._ended(self)

    def get_buffer(self, hint: int) -> memoryview:
        return self._framing.room()

    def buffer_updated(self, size: int) -> None:
        self._framing.received(size)
        self._go_on()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._go_on()

    # Both directions, when their time has come.

    def _go_on(self) -> None:
        """Put by what came, at once, as the room for it is small; the rest by turns."""
        self._take_in()
        self._turns.want(self._step)

    def _step(self) -> bool:
        """Take one step with what is due; whether there may be more to do."""
        if self._transport.is_closing():
            return False
        try:
            goes_on = self._work()
        except Malformed:
            self.reset()
            return False
        self._take_in()
        self._set_timer()
        return goes_on

    def _take_in(self) -> None:
        """Put by what came, while there is room; read on if there is some left."""
        try:
            while self._inbox_bytes < INBOX_MAX and (packet := self._framing.next_packet()):
                self._put_by(packet)
        except Malformed:
            self.reset()
            return
        self._pace_reading()

    def _put_by(self, packet: MessagePacket) -> None:
        account, now = self._listener.account_of(packet), self._loop.time()
        size = size_of(packet)
        due = self._shape.arrival(self._in, account, "in", size, now)
        self._inbox.append((due, size, packet))
        self._inbox_bytes += size

    def _work(self) -> bool:
        """Take one step with what is due; whether there was one."""
        if self.is_clogged or self._transport.is_closing():
            return False
        for _ in self._steps:
            return True
        self._listener.flush()  # not after all that is due: answers should not wait for it
        if not self._inbox or self._inbox[0][0] > self._loop.time():
            return False
        _, size, packet = self._inbox.popleft()
        self._inbox_bytes -= size
        self._steps = self._listener.receive(packet)
        return True

    def _pace_reading(self) -> None:
        if self._transport.is_closing():
            return
        if self.is_clogged or self._inbox_bytes >= INBOX_MAX:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _deliver(self) -> None:
        now = self._loop.time()
        while self._outbox and self._outbox[0][0] <= now:
            _, size, pieces = self._outbox.popleft()
            self._outbox_bytes -= size
            self._write(pieces)

    def _write(self, pieces: list[bytes]) -> None:
        if not pieces:
            self._transport.close()
            return
        if sum(map(len, pieces)) < JOINED_BELOW:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            if self._transport.is_closing():  # asyncio complains of the fifth in vain
                return
            self._transport.write(piece)

    def _set_timer(self) -> None:
        """Be called when the next thing is due."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        queues = (self._outbox,) if self.is_clogged else (self._outbox, self._inbox)
        heads = [queue[0][0] for queue in queues if queue]
        if heads and not self._transport.is_closing():
            self._timer = self._loop.call_at(min(heads), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._deliver()
        self._go_on()
