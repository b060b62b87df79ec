"""One request and its answer, between a wire and a WSGI application (PEP 3333).

Says how long an answer is, and keeps to it: one that ends early is cut, never filled
up, so that no client takes a part for the whole. Knows no WebDAV.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tgdav.dav.server.answers import SERVER, Fields, answer_head, refuse
from tgdav.dav.server.body import CONTINUE, body
from tgdav.dav.server.framing import Head, HeadRefused
from tgdav.dav.server.options import ServerOptions
from tgdav.dav.server.wire import ClientGone, Wire
from tgdav.errors import TgdavError

_log = logging.getLogger(__name__)

Environ = dict[str, Any]
Piece = bytes | memoryview
"""Of an answer's body: sent before the next one is asked for (PEP 3333 has bytes only)."""
Application = Callable[[Environ, Callable[..., Any]], Iterable[Piece]]

JOINED = 16 << 10
"""Bytes of a piece that are copied behind the head: one packet, one system call."""

STRANGERS = ("401", "429")
"""Answers to who has not logged in: taken as fast as a head is sent, or not at all."""

_OWN = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})
"""Fields that are ours to write (PEP 3333: hop by hop), whatever the application says."""


class Exchange:
    """Made for one request; used by one thread, but for `keep_waiting`."""

    def __init__(
        self,
        head: Head,
        wire: Wire,
        peer: Environ,
        options: ServerOptions,
        can_stay: Callable[[], bool],
    ) -> None:
        self._head = head
        self._wire = wire
        self._options = options
        self._can_stay = can_stay
        self.body = body(head, wire, options.body)
        self._peer = peer
        self._status = ""
        self._fields: Fields = []
        self._left: int | None = None
        self._is_chunked = False
        self._is_bare = False
        self._stays = head.stays
        self._has_begun = False
        self._beginning = threading.Lock()

    def run(self, application: Application) -> bool:
        """Answer the request; whether the connection can carry another one."""
        try:
            self._answer(application(self._environ(), self._start))
        except ClientGone:
            return False
        except Exception as error:
            self._give_up(error)
            return False
        return self._stays and self.body.drain(self._options.linger_s)

    def keep_waiting(self) -> None:
        """Tell a client that its request is still being worked on (RFC 9110, 15.2.1).

        From any thread; nothing is sent once the answer has begun, or to a client that
        would take it for the answer.
        """
        with self._beginning:
            if self._head.is_11 and not self._has_begun:
                try:
                    self._wire.send(CONTINUE, self._options.write_s)
                except ClientGone:
                    return  # What it has sent is kept all the same; the answer will find out.

    def _environ(self) -> Environ:
        head = self._head
        return {
            "REQUEST_METHOD": head.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": head.path,
            "QUERY_STRING": head.query,
            "REQUEST_URI": head.target,
            "SERVER_PROTOCOL": "HTTP/1.1" if head.is_11 else "HTTP/1.0",
            "SERVER_SOFTWARE": SERVER,
            "wsgi.version": (1, 0),
            "wsgi.input": self.body,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "tgdav.keep_waiting": self.keep_waiting,
            **self._peer,
            **head.fields,
        }

    def _start(
        self, status: str, fields: Fields, exc_info: Any = None
    ) -> Callable[[Piece], object]:
        if exc_info and self._has_begun:
            raise exc_info[1]
        if self._status and not exc_info:
            raise RuntimeError("start_response was called a second time")
        self._status, self._fields, self._left = status, fields, None
        for name, value in fields:
            if name.lower() == "content-length":
                self._left = int(value)
        return self._write

    def _answer(self, pieces: Iterable[Piece]) -> None:
        try:
            for piece in pieces:
                if piece:
                    self._write(piece)
            self._finish()
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _write(self, data: Piece) -> None:
        head = b"" if self._has_begun else self._begin()
        if self._is_bare:
            self._send(head)
            return
        if self._is_chunked:
            data = b"".join((b"%x\r\n" % len(data), data, b"\r\n"))
        elif self._left is not None:
            data = self._fitted(data, self._left)
        if not head:
            self._send(data)
        elif len(data) <= JOINED:
            self._send(head + data)
        else:
            self._send(head)
            self._send(data)

    def _fitted(self, data: Piece, left: int) -> Piece:
        if len(data) > left:
            _log.error("an answer is longer than its Content-Length")
            self._stays = False
            data = data[:left]
        self._left = left - len(data)
        return data

    def _finish(self) -> None:
        if not self._has_begun:
            self._send(self._begin())
        if self._is_chunked:
            self._send(b"0\r\n\r\n")
        elif self._left and not self._is_bare:
            _log.error("an answer ended %d bytes early", self._left)
            self._stays = False

    def _send(self, data: Piece) -> None:
        if data:
            is_stranger = self._status[:3] in STRANGERS
            self._wire.send(data, self._options.head_s if is_stranger else self._options.write_s)

    def _begin(self) -> bytes:
        """The head of the answer, from here on the only one."""
        if not self._status:
            raise RuntimeError("nothing was answered")
        self._is_bare = self._head.method == "HEAD" or self._status[:3] in ("204", "304")
        fields = [field for field in self._fields if field[0].lower() not in _OWN]
        if self._left is None and not self._is_bare:
            self._is_chunked = self._head.is_11
            self._stays = self._stays and self._head.is_11
            if self._is_chunked:
                fields.append(("Transfer-Encoding", "chunked"))
        self._stays = self._stays and self.body.can_drain and self._can_stay()
        if not self._stays:
            fields.append(("Connection", "close"))
        elif not self._head.is_11:
            fields.append(("Connection", "keep-alive"))
        head = answer_head(self._status, fields, self._options.headers)
        with self._beginning:
            self._has_begun = True
        return head

    def _give_up(self, error: Exception) -> None:
        """Tell of the error once: to the log, and if nothing was sent yet to the client."""
        if isinstance(error, TgdavError):
            _log.error("an answer broke off: %s: %s", type(error).__name__, error)
        else:
            _log.exception("an answer broke off: not foreseen")
        if not self._has_begun:
            refuse(self._wire, HeadRefused(500, "the server went wrong"), self._options)
