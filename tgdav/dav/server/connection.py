"""One client's connection: its requests, one after the other, in the hands of a worker.

Knows how requests follow each other, not what is in them.
"""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from tgdav.dav.addresses import household
from tgdav.dav.proxies import Proxies
from tgdav.dav.server import framing, tls
from tgdav.dav.server.answers import refusal, refuse
from tgdav.dav.server.exchange import Application, Environ, Exchange
from tgdav.dav.server.framing import HeadRefused
from tgdav.dav.server.options import ServerOptions
from tgdav.dav.server.turns import Turns
from tgdav.dav.server.wire import ClientGone, Wire

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What every connection of one server is served with."""

    application: Application
    options: ServerOptions
    tls: ssl.SSLContext | None
    proxies: Proxies
    turns: "Turns[Connection]"
    environ: Environ
    """What the application is told of the server (PEP 3333)."""
    can_keep: Callable[[], bool]
    """Whether there is room for a connection to wait for its next request."""


class Connection:
    """One client's connection, as cheroot's selector and workers know it."""

    last_used = 0.0

    def __init__(self, service: Service, connected: socket.socket, address: str, port: int) -> None:
        self._service = service
        self.remote_addr = address
        self.remote_port = port
        self.rfile = Wire(connected)
        self.household = address if service.proxies.trusts(address) else household(address)
        """Whose share of the workers it takes."""
        self._peer = {**service.environ, "REMOTE_ADDR": address, "REMOTE_PORT": str(port)}
        self._is_secured = service.tls is None

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
            self._service.turns.leave(self.household)

    def refuse(self) -> None:
        """Tell a client that it cannot even wait, without waiting for it."""
        if self._is_secured:
            busy = HeadRefused(503, "busy; try again later")
            answer = refusal(busy, self._service.options, ("Retry-After", "5"))
            with contextlib.suppress(ClientGone):
                self.rfile.send(answer, 0.001)
        self.close()

    def cut(self) -> None:
        """End it under the hands of the worker that serves it."""
        self.rfile.cut()

    def close(self) -> None:
        self.rfile.close()

    def _secure(self) -> bool:
        over, options = self._service.tls, self._service.options
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
            pause_s = self._service.options.pause_s if self._service.turns.has_spare else 0.0
            if not self.rfile.has_data() and not (pause_s and self.rfile.begins_within(pause_s)):
                return True
        return False

    def _exchange(self) -> bool:
        options = self._service.options
        try:
            head = framing.parse(self.rfile.head(options.head_s))
        except HeadRefused as refused:
            refuse(self.rfile, refused, options)
            self.rfile.linger(options.linger_s)
            return False
        exchange = Exchange(head, self.rfile, self._peer, options, self._service.can_keep)
        stays = exchange.run(self._service.application)
        if not stays and exchange.body.left != 0:
            self.rfile.linger(options.linger_s)
        return stays
