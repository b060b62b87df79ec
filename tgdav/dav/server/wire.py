"""The bytes of one connection, both ways; every wait has an end.

Reads and writes the socket itself: cheroot's socket files are Python and copy what is
left of a piece with each write. Knows no head, no body and no answer.
"""

import contextlib
import select
import socket
import ssl
import time

from tgdav.dav.server.framing import HeadRefused, require_lines

RECEIVED = 16 << 10
"""Bytes asked for when it is not known how many will come."""
DISCARDED = 64 << 10
"""Bytes thrown away at once."""


class ClientGone(Exception):
    """The other end takes no more, or has left between two requests."""


class Wire:
    """One socket. Used by one thread at a time; only `cut` may come from another."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._rest = b""
        self._timeout_s = connected.gettimeout()

    def has_data(self) -> bool:
        """Something has come that no selector would tell of."""
        if self._rest:
            return True
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def is_silent(self) -> bool:
        """The client is still there, and has sent nothing since it was last listened to."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def begins_within(self, wait_s: float) -> bool:
        """Whether something comes, or the client hangs up, before `wait_s` are over."""
        if self.has_data():
            return True
        try:
            self._rest = self.receive(RECEIVED, wait_s)
        except TimeoutError:
            return False
        except OSError as error:
            raise ClientGone from error
        if not self._rest:
            raise ClientGone
        return True

    def head(self, within_s: float) -> bytes:
        """Everything up to the next empty line. Raises `HeadRefused`, `ClientGone`."""
        deadline = time.monotonic() + within_s
        data, self._rest = self._rest.lstrip(b"\r\n"), b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            require_lines(data)
            data = (data + self._part_of_head(data, deadline)).lstrip(b"\r\n")
        self._rest = data[end + 4 :]
        return data[:end]

    def _part_of_head(self, data: bytes, deadline: float) -> bytes:
        try:
            more = self.receive(RECEIVED, max(deadline - time.monotonic(), 0.001))
        except TimeoutError as error:
            raise HeadRefused(408, "the head did not come in time") from error
        except OSError as error:
            raise ClientGone from error
        if more:
            return more
        if data:
            raise HeadRefused(400, "the head is cut off")
        raise ClientGone

    def receive(self, size: int, wait_s: float) -> bytes:
        """Some bytes, at most `size`; b"" at the end. Raises `OSError`, `TimeoutError`."""
        if self._rest:
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        self._limit(wait_s)
        return self.socket.recv(size)

    def receive_into(self, space: memoryview, wait_s: float) -> int:
        """As `receive`, into `space`; the bytes that came."""
        if self._rest:
            data = self.receive(len(space), wait_s)
            space[: len(data)] = data
            return len(data)
        self._limit(wait_s)
        return self.socket.recv_into(space)

    def line(self, limit: int, within_s: float) -> bytes:
        """Everything up to the next CR LF, which goes too.

        Raises `ValueError` for more than `limit` bytes, `OSError`, `TimeoutError`.
        """
        deadline = time.monotonic() + within_s
        data, self._rest = self._rest, b""
        while (end := data.find(b"\r\n", 0, limit + 2)) < 0:
            if len(data) > limit:
                raise ValueError("a line is too long")
            more = self.receive(RECEIVED, max(deadline - time.monotonic(), 0.001))
            if not more:
                raise ConnectionAbortedError("the line is cut off")
            data += more
        self._rest = data[end + 2 :]
        return data[:end]

    def send(self, data: bytes | memoryview, wait_s: float) -> None:
        """Hand over all of `data`. Raises `ClientGone`, also when it takes over `wait_s`."""
        try:
            self._limit(wait_s)
            self.socket.sendall(data)
        except OSError as error:
            raise ClientGone from error

    def linger(self, within_s: float) -> None:
        """End our side, and take what still comes until the client has read the answer.

        Closing with bytes unread would reset the connection, and Windows throws away
        an answer that it has not yet handed on.
        """
        deadline = time.monotonic() + within_s
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while (left_s := deadline - time.monotonic()) > 0:
                self._limit(left_s)
                if not self.socket.recv(DISCARDED):
                    return

    def cut(self) -> None:
        """End both directions now: a thread that waits on this connection wakes."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self.socket.close()

    def _limit(self, timeout_s: float) -> None:
        # Each call into the socket costs a system call, and most ask for the same.
        if timeout_s != self._timeout_s:
            self.socket.settimeout(timeout_s)
            self._timeout_s = timeout_s
