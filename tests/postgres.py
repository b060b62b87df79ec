"""A PostgreSQL for the tests: one server a session, a fresh database for each test.

`TGDAV_TEST_POSTGRES` names a server to use (a URL whose user may create databases);
else Debian's binaries run one in a temporary folder. Without either the tests are
skipped, or fail when `TGDAV_TEST_REQUIRE_ALL=1`.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from tgdav.db import Database

USER = "tgdav"
START_S = 60.0
# Names must sort by bytes although the server's own order is a language's.
ORDER = ["--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8", "--encoding=UTF8"]
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    "shared_buffers": "32MB",
    "max_wal_size": "96MB",
    "dynamic_shared_memory_type": "mmap",  # containers have a small /dev/shm
    "listen_addresses": "",
    "autovacuum": "off",
}


class PostgresServer:
    """Makes and drops databases beside the one that `url` names."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._template: str | None = None
        self._admin = psycopg.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        )

    def make(self) -> str:
        """The URL of a new database at the newest schema."""
        if self._template is None:
            template = self._create("template0")
            Database.open(self._address(template)).close()
            self._template = template
        return self._address(self._create(self._template))

    def drop(self, url: str) -> None:
        """Drop it, whoever is still connected."""
        self._drop(make_url(url).database or "")

    def close(self) -> None:
        if self._template is not None:
            self._drop(self._template)
        self._admin.close()

    def _create(self, template: str) -> str:
        name = f"tgdav_{secrets.token_hex(6)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _drop(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _address(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with _running() as url, closing(PostgresServer(url)) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.make()
    yield url
    postgres.drop(url)


@pytest.fixture
def proxy(postgres_url: str) -> Iterator["SilentProxy"]:
    """A way to the test's database that may fall silent."""
    with closing(SilentProxy(make_url(postgres_url))) as proxy:
        yield proxy


@contextmanager
def _running() -> Iterator[URL]:
    if given := os.environ.get("TGDAV_TEST_POSTGRES"):
        yield make_url(given)
        return
    with own_server() as server:
        yield server.url


def _place() -> str | None:
    """Memory if there is a gibibyte of it: a database is copied in 10 ms, on disk in 50–400."""
    with suppress(OSError):
        if shutil.disk_usage("/dev/shm").free >= 1 << 30:
            return "/dev/shm"
    return None


def _programs() -> Path:
    """The folder of the newest server installed; skip or fail when there is none."""
    found = sorted(
        (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")),
        key=lambda folder: int(folder.parent.name),
    )
    if found:
        return found[-1]
    reason = "no PostgreSQL: set TGDAV_TEST_POSTGRES or install Debian's postgresql"
    if os.environ.get("TGDAV_TEST_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class OwnServer:
    """A server of the test's own, which it may stop and start again."""

    def __init__(self, programs: Path, folder: Path, settings: dict[str, str]) -> None:
        self.url = URL.create("postgresql", USER, database="postgres", query={"host": str(folder)})
        self._programs = programs
        self._folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        made = ["-D", folder / "data", "-U", USER, "--auth=trust", "--no-sync", *ORDER]
        init = [programs / "initdb", *made]
        subprocess.run(init, check=True, cwd=folder, capture_output=True, **_account())

    def start(self) -> None:
        """Return when it takes connections."""
        log, data = self._folder / "log", self._folder / "data"
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-k", self._folder, *options],
                cwd=self._folder,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C ends the tests first, then this
                **_account(),
            )
        _wait(self._process, self._folder, log)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends the sessions, then itself; SIGQUIT everything at once."""
        assert self._process is not None
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def own_server(**settings: str) -> Iterator[OwnServer]:
    """One that runs, with other `settings` than the session's."""
    programs = _programs()
    # Not pytest's own folder: a socket's path may have 107 bytes, and `postgres` must enter.
    folder = Path(tempfile.mkdtemp(prefix="tgdav-postgres-", dir=_place()))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = OwnServer(programs, folder, SETTINGS | settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


class SilentProxy:
    """A way to a server over TCP on which nothing comes through while it is silent.

    As a network that swallows what it is given, but for the system, which tells the client
    that its bytes have arrived.
    """

    def __init__(self, url: URL) -> None:
        self._server = url
        self._is_open = threading.Event()
        self._is_open.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listening]
        host, port = self._listening.getsockname()
        self.url = url.set(host=host, port=port, query={}).render_as_string(hide_password=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def be_silent(self) -> None:
        self._is_open.clear()

    def speak_again(self) -> None:
        """What was held back comes through."""
        self._is_open.set()

    def close(self) -> None:
        """End every connection."""
        self._is_open.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours = self._listening.accept()[0]
                theirs = self._connect()
                self._sockets += [ours, theirs]
                for way in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _connect(self) -> socket.socket:
        port = self._server.port or 5432
        folder = self._server.query.get("host")
        if not isinstance(folder, str):
            return socket.create_connection((self._server.host or "localhost", port))
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(f"{folder}/.s.PGSQL.{port}")
        return connected

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._is_open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def _account() -> dict[str, object]:
    """As whom to run: the server refuses to be root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


def _wait(process: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            psycopg.connect(host=str(folder), user=USER, dbname="postgres").close()
            return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start: {log.read_text()}")
