"""The body of a request: read once, in order, never more of it in memory than asked for.

Whatever ends a body early (silence, a hang-up, a slow trickle, a broken chunk) raises
`BodyIncomplete`: an end is only what the head announced. Knows no verb.
"""

import re
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tgdav.dav.server.framing import Head
from tgdav.dav.server.wire import ClientGone, Wire
from tgdav.errors import BodyIncomplete

DRAINED = 64 << 10
"""Bytes of an unread body that are taken so that the connection can stay."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_LINE_LIMIT = 1 << 10
_TRAILERS_LIMIT = 100
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How slow a client may be."""

    wait_s: float = 60.0
    """Until the next byte."""
    floor: float = 1024.0
    """Bytes a second, over `floor_s` of waiting for the client."""
    floor_s: float = 60.0


class Body(ABC):
    """`wsgi.input` of one request. Used by one thread."""

    def __init__(self, wire: Wire, limits: BodyLimits, *, is_held_back: bool) -> None:
        self._wire = wire
        self._limits = limits
        self._is_held_back = is_held_back
        self._waited_s = 0.0
        self._came = 0
        self._is_broken = False

    @property
    @abstractmethod
    def left(self) -> int | None:
        """Bytes that nobody has read; None when it cannot be told."""

    @abstractmethod
    def _allowed(self, size: int) -> int:
        """How many of `size` bytes may be taken from the wire now; 0 at the end."""

    @abstractmethod
    def _took(self, count: int) -> None: ...

    def read(self, size: int) -> bytes:
        """Some bytes, at most `size`; b"" at the end and only there.

        The first call asks a client for the body that waits for "100 Continue". Raises
        `BodyIncomplete`.
        """
        return self._read(size, self._limits.wait_s)

    def readinto(self, space: memoryview) -> int:
        """As `read`, into `space`; the number of bytes, 0 at the end and only there."""
        allowed = self._allowed(len(space))
        if not allowed:
            return 0
        started_s = self._begin()
        try:
            count = self._wire.receive_into(space[:allowed], self._limits.wait_s)
        except OSError as error:
            raise self._broken("the body stopped coming") from error
        self._count(count, started_s)
        self._took(count)
        return count

    @property
    def can_drain(self) -> bool:
        """The next request can be reached: what is left is little and on its way."""
        if self._is_broken or self.left is None:
            return False
        return self.left == 0 or (self.left <= DRAINED and not self._is_held_back)

    def drain(self, within_s: float) -> bool:
        """Take what nobody read; False when not all of it comes in time."""
        deadline = time.monotonic() + within_s
        try:
            while self.left and (left_s := deadline - time.monotonic()) > 0:
                self._read(DRAINED, left_s)
        except BodyIncomplete:
            return False
        return self.left == 0

    def _read(self, size: int, wait_s: float) -> bytes:
        allowed = self._allowed(max(size, 0))
        if not allowed:
            return b""
        started_s = self._begin()
        try:
            data = self._wire.receive(allowed, wait_s)
        except OSError as error:
            raise self._broken("the body stopped coming") from error
        self._count(len(data), started_s)
        self._took(len(data))
        return data

    def _begin(self) -> float:
        """Ask a client that holds its body back for it; the time at which we ask."""
        if self._is_broken:
            raise BodyIncomplete("the body broke off before")
        if self._is_held_back:
            self._is_held_back = False
            if not self._wire.has_data():
                try:
                    self._wire.send(CONTINUE, self._limits.wait_s)
                except ClientGone as error:
                    raise self._broken("the client left before its body") from error
        return time.monotonic()

    def _count(self, count: int, started_s: float) -> None:
        """Only the time spent waiting for the client counts: we may be the slow ones."""
        if not count:
            raise self._broken("the body is cut off")
        self._came += count
        self._waited_s += time.monotonic() - started_s
        if self._waited_s < self._limits.floor_s:
            return
        if self._came < self._limits.floor * self._waited_s:
            raise self._broken("the body comes too slowly")
        self._waited_s, self._came = 0.0, 0

    def _broken(self, message: str) -> BodyIncomplete:
        self._is_broken = True
        return BodyIncomplete(message)


class KnownBody(Body):
    """A body whose length the head told."""

    def __init__(
        self, wire: Wire, limits: BodyLimits, length: int, *, is_held_back: bool = False
    ) -> None:
        super().__init__(wire, limits, is_held_back=is_held_back)
        self._left = length

    @property
    def left(self) -> int:
        return self._left

    def _allowed(self, size: int) -> int:
        return min(size, self._left)

    def _took(self, count: int) -> None:
        self._left -= count


class ChunkedBody(Body):
    """A body in chunks (RFC 9112, 7.1), of which each may be larger than memory."""

    def __init__(self, wire: Wire, limits: BodyLimits, *, is_held_back: bool = False) -> None:
        super().__init__(wire, limits, is_held_back=is_held_back)
        self._in_chunk = 0
        self._is_first = True
        self._is_over = False

    @property
    def left(self) -> int | None:
        return 0 if self._is_over else None

    def _allowed(self, size: int) -> int:
        if size and not self._in_chunk and not self._is_over:
            self._next_chunk()
        return min(size, self._in_chunk)

    def _took(self, count: int) -> None:
        self._in_chunk -= count

    def _next_chunk(self) -> None:
        if not self._is_first and self._line():
            raise self._broken("a chunk is longer than it says")
        self._is_first = False
        match = _CHUNK.fullmatch(self._line())
        if match is None:
            raise self._broken("the size of a chunk cannot be read")
        self._in_chunk = int(match[1], 16)
        if not self._in_chunk:
            self._skip_trailers()
            self._is_over = True

    def _skip_trailers(self) -> None:
        for _ in range(_TRAILERS_LIMIT):
            if not self._line():
                return
        raise self._broken("too many lines after the last chunk")

    def _line(self) -> bytes:
        started_s = self._begin()
        try:
            line = self._wire.line(_LINE_LIMIT, self._limits.wait_s)
        except (OSError, ValueError) as error:
            raise self._broken("the body broke off between chunks") from error
        self._count(len(line) + 2, started_s)
        return line


def body(head: Head, wire: Wire, limits: BodyLimits) -> Body:
    """The body that `head` announces."""
    if head.length is None:
        return ChunkedBody(wire, limits, is_held_back=head.expects_continue)
    return KnownBody(wire, limits, head.length, is_held_back=head.expects_continue)
