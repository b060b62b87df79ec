"""Listening, sharing workers, stopping."""

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.dav.server.running import HOST, Application, Environ, Peer, eventually, running
from tgdav.dav.server import Server, ServerOptions
from tgdav.dav.server.connections import Connections
from tgdav.errors import AddressInUse, SettingsRefused

HELLO = f"GET /hello HTTP/1.1\r\n{HOST}\r\n"
WAIT = f"GET /wait HTTP/1.1\r\n{HOST}\r\n"


@pytest.fixture
def application() -> Iterator[Application]:
    application = Application()
    yield application
    application.go_on.set()


def test_says_where_it_is(application: Application) -> None:
    with running(application) as server:
        assert server.url == f"http://127.0.0.1:{server.bind_addr[1]}/"
    with running(application, host="0.0.0.0", insecure=True) as server:
        assert server.url == f"http://{socket.gethostname()}:{server.bind_addr[1]}/"


def test_speaks_ipv6(application: Application) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with running(application, host="::1") as server:
        assert server.url.startswith("http://[::1]:")


def test_address_in_use(application: Application) -> None:
    with running(application) as server, pytest.raises(AddressInUse, match="it is in use"):
        Server(application, ServerOptions(port=server.bind_addr[1]))


def test_address_that_is_none(application: Application) -> None:
    with pytest.raises(AddressInUse):
        Server(application, ServerOptions(host="no.such.host.invalid", insecure=True))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "127.evil.example"])
def test_passwords_do_not_leave_the_machine_in_clear(application: Application, host: str) -> None:
    with pytest.raises(SettingsRefused, match=f"^{host} is reached from other machines"):
        Server(application, ServerOptions(host=host))


def test_trusted_proxy_that_is_none(application: Application) -> None:
    with pytest.raises(SettingsRefused, match="proxy"):
        Server(application, ServerOptions(port=0, trusted_proxies=("proxy.example",)))


@pytest.mark.parametrize(
    "begin",
    [
        b"GET / HT",
        b"PUT /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
        b"PUT /keep HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nF",
        b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_slow_clients_of_one_address_keep_no_other_out(begin: bytes) -> None:
    class Slow(Application):
        def at_endless(self, _: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
            start("200 OK", [])
            while True:
                yield b"x" * 1000000

    with running(Slow(), threads=16, grace_s=0.2) as server:
        slow = [Peer(server, "127.0.0.2").send(begin) for _ in range(40)]
        time.sleep(0.3)
        for _ in range(5):
            with Peer(server, "127.0.0.3") as honest:
                began = time.monotonic()
                assert honest.ask("GET").status == 200
                assert time.monotonic() - began < 3
        for each in slow:
            each.socket.close()


def test_when_all_wait_the_next_is_told_so(application: Application) -> None:
    with running(application, threads=2, waiting_connections=2) as server:
        peers = [Peer(server, f"127.0.0.{n}").send(WAIT) for n in range(2, 6)]
        assert eventually(lambda: server.turns._waiting_count == 2)
        with Peer(server, "127.0.0.9") as late:
            answer = late.send(HELLO).answer()
        assert (answer.status, answer.header("Retry-After"), answer.closes) == (503, "5", True)
        application.go_on.set()
        for each in peers:
            assert each.answer().status == 200
            each.socket.close()


def test_no_failure_of_a_connection_ends_the_server(
    application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put = Connections.put

    def fail(self: Connections, conn: Any) -> None:
        if conn.rfile.socket.getpeername()[0] == "127.0.0.2":
            raise OSError(errno.EBADF, "gone")
        put(self, conn)

    monkeypatch.setattr(Connections, "put", fail)
    with running(application, pause_s=0, threads=1) as server:
        with Peer(server, "127.0.0.2") as peer:
            assert peer.is_closed()
        with Peer(server) as peer:
            assert peer.ask("GET").status == 200
            assert peer.ask("GET").status == 200
    assert "cannot be kept" in caplog.text


def test_application_that_exits_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit(1)
        start("204 No Content", [])
        return []

    with running(application, threads=1) as server:
        with Peer(server) as peer:
            assert peer.send(f"GET /exit HTTP/1.1\r\n{HOST}\r\n").is_closed()
        with Peer(server) as peer:
            assert peer.ask("GET").status == 204
    assert "not foreseen" in caplog.text


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_workers_stay_on_one_cpu_and_others_do_not() -> None:
    cpus: list[set[int]] = []

    def application(_: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        cpus.append(os.sched_getaffinity(0))
        start("204 No Content", [])
        return []

    before = os.sched_getaffinity(0)
    with running(application, one_cpu=True) as server, Peer(server) as peer:
        peer.ask("GET")
    assert [len(each) for each in cpus] == [1]
    assert os.sched_getaffinity(0) == before


class Stop(threading.Thread):
    """A stop that is under way."""

    def __init__(self, server: Server, grace_s: float) -> None:
        super().__init__(target=server.graceful_stop, args=(grace_s,))
        self.began = time.monotonic()
        self.start()

    def seconds(self) -> float:
        self.join(20)
        return time.monotonic() - self.began


def test_a_stop_lets_a_save_finish(application: Application) -> None:
    with running(application) as server, Peer(server) as saving, Peer(server) as idle:
        idle.ask("GET")
        saving.send(f"PUT /keep HTTP/1.1\r\n{HOST}Content-Length: 200000\r\n\r\n" + "x" * 100000)
        assert application.reading.wait(5)
        stop = Stop(server, grace_s=10)
        assert idle.is_closed()
        with pytest.raises(OSError, match="refused"):
            Peer(server)
        answer = saving.send("x" * 100000).answer()
        assert (answer.status, answer.closes) == (201, True)
        assert stop.seconds() < 5
    assert len(application.bodies[0]) == 200000


@pytest.mark.parametrize("framing", ["Content-Length: 200000", "Transfer-Encoding: chunked"])
def test_a_stop_never_takes_a_part_for_the_whole(application: Application, framing: str) -> None:
    with running(application) as server, Peer(server) as saving:
        saving.send(f"PUT /keep HTTP/1.1\r\n{HOST}{framing}\r\n\r\n186A0\r\n" + "x" * 100000)
        assert application.reading.wait(5)
        stop = Stop(server, grace_s=0.3)
        with pytest.raises((EOFError, ConnectionError)):
            saving.answer()
        assert stop.seconds() < 3
    assert application.bodies == []
    assert application.broken == ["BodyIncomplete"]


def test_a_stop_does_not_wait_for_slow_readers() -> None:
    def endless(_: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start("200 OK", [])
        while True:
            yield b"x" * 262144

    with running(endless) as server, Peer(server) as reader:
        reader.send(HELLO)
        reader.socket.recv(1000)
        assert Stop(server, grace_s=0.3).seconds() < 3


def test_a_stop_answers_those_who_waited(application: Application) -> None:
    with running(application, threads=2) as server:
        peers = [Peer(server).send(WAIT) for _ in range(3)]
        assert eventually(lambda: server.turns._waiting_count == 1)
        stop = Stop(server, grace_s=10)
        assert eventually(lambda: server.turns._waiting_count == 0)
        application.go_on.set()
        assert sorted(each.answer().status for each in peers) == [200, 200, 503]
        assert stop.seconds() < 5
        for each in peers:
            each.socket.close()


def test_a_stop_gives_up_on_what_never_ends(
    application: Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tgdav.dav.server.workers.CUT_S", 0.2)
    with running(application) as server, Peer(server) as peer:
        peer.send(WAIT)
        assert application.reading.wait(5)
        assert Stop(server, grace_s=0.1).seconds() < 3
        application.go_on.set()
    assert [each.message for each in caplog.records if each.levelno == logging.WARNING] == [
        "1 requests go on after the stop"
    ]


def test_a_stop_may_come_twice_and_before_serving(application: Application) -> None:
    server = Server(application, ServerOptions(port=0, threads=2))
    first, second = Stop(server, 5), Stop(server, 5)
    assert max(first.seconds(), second.seconds()) < 3
    server.serve()  # returns at once
