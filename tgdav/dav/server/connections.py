"""The connections that no worker has: in a selector, where they cost no thread.

That is also where a new one waits for its first byte. Knows no request.
"""

import errno
import logging
import socket
import time
from typing import Any

from cheroot.connections import ConnectionManager
from cheroot.server import HTTPServer

from tgdav.dav.server.connection import Connection, Service

_log = logging.getLogger(__name__)

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
BREATH_S = 0.05
"""Before what failed is tried again."""


class Connections(ConnectionManager):
    """New ones, and those between two requests."""

    _selector: Any

    def __init__(self, server: HTTPServer, service: Service) -> None:
        super().__init__(server)
        self._service = service

    def _from_server_socket(self, server_socket: socket.socket) -> None:
        """Accept a connection and wait for its first byte here (cheroot would not)."""
        try:
            connected, address = server_socket.accept()
        except TimeoutError:
            return
        except OSError as error:
            self._make_room(error)
            return
        connected.settimeout(self._service.options.head_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.can_add_keepalive_connection:
            self._end_idlest()
        self.server.put_conn(Connection(self._service, connected, *address[:2]))

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
