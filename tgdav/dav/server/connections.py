"""Connections, in a selector between two requests, in the hands of a worker during one.

In the selector they cost no thread, so that is also where a new one waits for its first
byte. Knows how requests follow each other, not what is in them.
"""

import contextlib
import errno
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

from cheroot.connections import ConnectionManager

from tgdav.dav.addresses import household
from tgdav.dav.server import framing, tls
from tgdav.dav.server.answers import refusal, refuse
from tgdav.dav.server.exchange import Exchange
from tgdav.dav.server.framing import HeadRefused
from tgdav.dav.server.wire import ClientGone, Wire

if TYPE_CHECKING:
    from tgdav.dav.server.server import Server

_log = logging.getLogger(__name__)

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
BREATH_S = 0.05
"""Before what failed is tried again."""


class Connection:
    """One client's connection, as cheroot's selector and workers know it."""

    last_used = 0.0

    def __init__(self, server: "Server", connected: socket.socket, address: str, port: int) -> None:
        self._server = server
        self.remote_addr = address
        self.remote_port = port
        self.rfile = Wire(connected)
        self.household = address if server.proxies.trusts(address) else household(address)
        """Whose share of the workers it takes."""
        self._peer = {**server.environ, "REMOTE_ADDR": address, "REMOTE_PORT": str(port)}
        self._is_secured = server.tls is None

    @property
    def socket(self) -> socket.socket:
        return self.rfile.socket

    def communicate(self) -> bool:
        """Serve what the client asks until it pauses; False: the connection has ended.

        Raises nothing: an error here would end cheroot's thread, and then the process.
        """
        try:
            return self._secure() and self._serve()
        except ClientGone:
            return False
        except BaseException:
            _log.exception("a connection ended: not foreseen")
            return False
        finally:
            self._server.turns.leave(self.household)

    def refuse(self) -> None:
        """Tell a client that it cannot even wait, without waiting for it."""
        if self._is_secured:
            busy = HeadRefused(503, "busy; try again later")
            answer = refusal(busy, self._server.options, ("Retry-After", "5"))
            with contextlib.suppress(ClientGone):
                self.rfile.send(answer, 0.001)
        self.close()

    def cut(self) -> None:
        """End it under the hands of the worker that serves it."""
        self.rfile.cut()

    def close(self) -> None:
        self.rfile.close()

    def _secure(self) -> bool:
        over, options = self._server.tls, self._server.options
        if over is None or self._is_secured:
            return True
        try:
            self.rfile = Wire(tls.secured(self.socket, over, options.head_s))
        except tls.NotTls:
            refuse(self.rfile, HeadRefused(400, "https is spoken here"), options)
            return False
        except OSError:
            return False
        self._is_secured = True
        return True

    def _serve(self) -> bool:
        while self._exchange():
            pause_s = self._server.options.pause_s if self._server.turns.has_spare else 0.0
            if not self.rfile.has_data() and not (pause_s and self.rfile.begins_within(pause_s)):
                return True
        return False

    def _exchange(self) -> bool:
        options = self._server.options
        try:
            head = framing.parse(self.rfile.head(options.head_s))
        except HeadRefused as refused:
            refuse(self.rfile, refused, options)
            self.rfile.linger(options.linger_s)
            return False
        exchange = Exchange(head, self.rfile, self._peer, options, self._can_stay)
        stays = exchange.run(self._server.application)
        if not stays and exchange.body.left != 0:
            self.rfile.linger(options.linger_s)
        return stays

    def _can_stay(self) -> bool:
        return bool(self._server.can_add_keepalive_connection)


class Connections(ConnectionManager):
    """The connections that no worker has: new ones, and those between two requests."""

    server: "Server"
    _selector: Any

    def _from_server_socket(self, server_socket: socket.socket) -> None:
        """Accept a connection and wait for its first byte here (cheroot would not)."""
        try:
            connected, address = server_socket.accept()
        except TimeoutError:
            return
        except OSError as error:
            self._make_room(error)
            return
        connected.settimeout(self.server.options.head_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.can_add_keepalive_connection:
            self._end_idlest()
        self.server.put_conn(Connection(self.server, connected, *address[:2]))

    def _make_room(self, error: OSError) -> None:
        """What the system cannot give now it may give when a connection has gone."""
        if error.errno not in EXHAUSTED:
            _log.debug("accept: %s", error)
            return
        _log.warning("accept: %s", error)
        self._end_idlest()
        time.sleep(BREATH_S)

    def _end_idlest(self) -> None:
        """Cut the connection that has been silent longest: a worker finds it at its end.

        Closing it here would take it from under the selector's round.
        """
        idle = [each for _, each in self._selector.connections if each is not self.server]
        for connection in sorted(idle, key=lambda each: each.last_used):
            if connection.rfile.is_silent():
                connection.cut()
                return
