"""cheroot, hardened: it listens, and hands connections to workers.

Every wait has an end, every queue a bound; a client can keep neither a worker from
others nor the process from stopping. Knows no WebDAV.
"""

import contextlib
import errno
import ipaddress
import logging
import os
import socket
import threading
import time

from cheroot.server import HTTPServer

from tgdav.dav.proxies import Proxies
from tgdav.dav.server import tls
from tgdav.dav.server.connection import Connection, Service
from tgdav.dav.server.connections import BREATH_S, Connections
from tgdav.dav.server.exchange import Application
from tgdav.dav.server.options import ServerOptions
from tgdav.dav.server.turns import Turns
from tgdav.dav.server.workers import Workers, one_cpu, stay_on
from tgdav.errors import AddressInUse, SettingsRefused

_log = logging.getLogger(__name__)

EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
EXPIRY_S = 0.5
"""How often it is looked which connections have been idle too long."""


class Server(HTTPServer):
    """Serves one WSGI application on one address."""

    def __init__(self, application: Application, options: ServerOptions) -> None:
        """Listen: clients may connect from here on, and are served once `serve` runs.

        Raises `SettingsRefused` for a certificate that cannot be used, for a key without
        one, and for an address beyond this machine without one (unless `insecure`);
        `AddressInUse`.
        """
        _require_safe(options)
        # Its other arguments are of parts that are replaced below.
        super().__init__((options.host or EVERYWHERE[0], options.port), gateway=None)
        self._application = application
        self._options = options
        self.tls = tls.context(options.tls_cert, options.tls_key) if options.tls_cert else None
        self._proxies = Proxies(options.trusted_proxies)
        self.timeout = options.idle_s  # type: ignore[assignment]  # cheroot: of idle connections
        self.expiration_interval = EXPIRY_S
        self.keep_alive_conn_limit = options.idle_connections
        self._cpus = one_cpu() if options.one_cpu else None
        self.requests = Workers(self, options.threads, self._cpus)
        self.turns: Turns[Connection] = Turns(
            options.threads,
            options.waiting_connections,
            self.requests.put,
            self._proxies.trusts,
            options.share,
        )
        self._stopping = threading.Lock()
        self._stopped = threading.Event()
        self.prepare()

    @property
    def url(self) -> str:
        """Where clients find it."""
        host, port = self.bind_addr
        if host in EVERYWHERE:
            host = socket.gethostname()
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls else 'http'}://{host}:{port}/"

    def prepare(self) -> None:
        """Bind, listen, start the workers."""
        self.socket = _listening(self._options)
        self.bind_addr = self.socket.getsockname()[:2]
        self._connections = Connections(self, self._service())
        self.requests.start()
        self.ready = True

    def _service(self) -> Service:
        return Service(
            application=self._application,
            options=self._options,
            tls=self.tls,
            proxies=self._proxies,
            turns=self.turns,
            environ={
                "SERVER_NAME": self.bind_addr[0],
                "SERVER_PORT": str(self.bind_addr[1]),
                "wsgi.url_scheme": "https" if self.tls else "http",
            },
            can_keep=lambda: bool(self.can_add_keepalive_connection),
        )

    def serve(self) -> None:
        """Accept and serve until a stop is complete; then nothing is served any more."""
        before = os.sched_getaffinity(0) if self._cpus else None
        stay_on(self._cpus)
        try:
            while self.ready:
                try:
                    self._connections.run(self.expiration_interval)
                except Exception:
                    _log.exception("accepting connections: not foreseen")
                    time.sleep(BREATH_S)
        finally:
            stay_on(frozenset(before) if before else None)
        self._stopped.wait()

    def process_conn(self, connection: Connection) -> None:
        """A connection has something to read: a worker takes it, in its turn."""
        if not self.turns.enter(connection, connection.household):
            connection.refuse()

    def put_conn(self, connection: Connection) -> None:
        """Nobody reads from this connection now: wait for its next request.

        Raises nothing: cheroot would end the process.
        """
        try:
            if self.ready:
                self._connections.put(connection)
                return
        except Exception as error:
            _log.warning("a connection cannot be kept: %s", error)
        connection.close()

    def stop(self) -> None:
        """As `graceful_stop`, with the grace of the options."""
        self.graceful_stop(self._options.grace_s)

    def graceful_stop(self, grace_s: float) -> None:
        """Take no new connection, let running requests end, cut them after `grace_s`.

        A body that is cut is incomplete to whoever reads it, so nothing of it is kept.
        From any thread; returns when it is done, also to who calls it a second time.
        """
        with self._stopping:
            if not self.ready:
                return
            self.ready = False
            try:
                self._stop_accepting()
                for connection in self.turns.clear():
                    connection.refuse()
                self.requests.finish(grace_s)
            finally:
                self._stopped.set()

    def _stop_accepting(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes who selects on it
        self._connections.stop()
        self.socket.close()
        self._connections.close()

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """What cheroot itself has to say."""
        _log.log(level, "%s", msg, exc_info=traceback)


def _require_safe(options: ServerOptions) -> None:
    if options.tls_key and not options.tls_cert:
        raise SettingsRefused("a TLS key without a certificate: name that as server.tls_cert")
    if options.tls_cert or options.insecure or _is_loopback(options.host):
        return
    raise SettingsRefused(
        f"{options.host} is reached from other machines: give a TLS certificate, or set insecure"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    both = options.host == "::" and socket.has_dualstack_ipv6()
    try:
        listening = socket.create_server(
            (options.host, options.port),
            family=family,
            backlog=options.backlog,
            dualstack_ipv6=both,
        )
    except OSError as error:
        reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise AddressInUse(
            f"cannot listen on {options.host} port {options.port}: {reason}"
        ) from error
    listening.settimeout(1)
    return listening
