"""Connections: one request after the other, idle ones, slow ones, broken ones."""

import contextlib
import logging
import os
import resource
import threading
import time
from collections.abc import Iterator

import pytest

from tests.dav.server.running import HOST, Application, Peer, eventually, running
from tgdav.dav.server import BodyLimits, Server

HELLO = f"GET /hello HTTP/1.1\r\n{HOST}\r\n"
PATIENCE = BodyLimits(wait_s=0.4)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def server(application: Application) -> Iterator[Server]:
    with running(application, threads=2, body=PATIENCE, head_s=9) as server:
        yield server


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    with Peer(server) as peer:
        yield peer


def test_requests_follow_each_other(peer: Peer) -> None:
    for pause_s in (0, 0, 0.1, 0.2):  # in the worker's pause, and after it in the selector
        time.sleep(pause_s)
        assert peer.ask("GET").body == b"hello"


def test_requests_may_come_at_once(peer: Peer) -> None:
    peer.send(HELLO * 3 + "\r\n" + HELLO)
    assert [peer.answer().status for _ in range(4)] == [200] * 4


def test_a_head_may_come_byte_by_byte(peer: Peer) -> None:
    for byte in HELLO.encode():
        peer.send(bytes([byte]))
    assert peer.answer().body == b"hello"


def test_idle_connections_take_no_worker(server: Server) -> None:
    idle = [Peer(server) for _ in range(10)]  # of two workers
    used = [Peer(server) for _ in range(10)]
    for each in used:
        assert each.ask("GET").status == 200
    with Peer(server) as peer:
        began = time.monotonic()
        assert peer.ask("GET").status == 200
        assert time.monotonic() - began < 3
    for each in idle + used:
        assert each.ask("GET").status == 200
        each.socket.close()


def test_a_head_must_come_in_time(application: Application) -> None:
    with running(application, head_s=0.3) as server, Peer(server) as peer:
        peer.send("GET")
        time.sleep(0.2)
        answer = peer.send(" / HT").answer()  # each byte is no new beginning
        assert (answer.status, answer.closes) == (408, True)


def test_a_cut_head_is_answered(peer: Peer) -> None:
    peer.send("GET / HT").socket.shutdown(1)
    assert peer.answer().status == 400


@pytest.mark.parametrize("said", ["", "GET / HT", HELLO, HELLO + "GET / HT"])
def test_a_client_that_crashes_is_nobodys_problem(
    server: Server, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        crashing = Peer(server).send(said)
        time.sleep(0.02)
        crashing.reset()
    with Peer(server) as peer:
        assert peer.ask("GET").status == 200
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (8 << 20) + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: v\r\n" % n for n in range(100000)), 431),
    ],
)
def test_what_is_no_head_is_refused_at_once(server: Server, data: bytes, status: int) -> None:
    with Peer(server) as peer:
        sending = threading.Thread(target=_send, args=(peer, data))
        sending.start()
        began = time.monotonic()
        answer = peer.answer()
        assert (answer.status, answer.closes) == (status, True)
        assert time.monotonic() - began < 3, "no need to wait for the rest"
        sending.join()
        assert peer.is_closed()


def _send(peer: Peer, data: bytes) -> None:
    with contextlib.suppress(OSError):  # when the server has stopped listening, as it should
        peer.send(data)


def test_bodies_come_whole(peer: Peer, application: Application) -> None:
    body = os.urandom(1 << 20)
    assert peer.ask("PUT", "/keep", body=body).status == 201
    head = f"PUT /keep HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
    peer.send(head + "5\r\nhello\r\n6;x=y\r\n there\r\n0\r\n\r\n")
    assert peer.answer().status == 201
    assert application.bodies == [body, b"hello there"]


@pytest.mark.parametrize(
    "framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"], ids=["known", "chunked"]
)
@pytest.mark.parametrize("how", ["fin", "reset", "silence"])
def test_cut_bodies_are_never_taken_for_whole(
    peer: Peer, application: Application, framing: str, how: str
) -> None:
    peer.send(f"PUT /keep HTTP/1.1\r\n{HOST}{framing}\r\n\r\n186A0\r\n" + "x" * 300000)
    assert application.reading.wait(5)
    if how == "reset":
        peer.reset()
    elif how == "fin":
        peer.socket.shutdown(1)
    if how != "reset":
        answer = peer.answer()
        assert (answer.status, answer.closes) == (400, True)
        assert peer.is_closed()
    assert eventually(lambda: application.broken == ["BodyIncomplete"])
    assert application.bodies == []


def test_body_is_asked_for_when_it_is_wanted(peer: Peer, application: Application) -> None:
    expecting = "Expect: 100-Continue\r\nContent-Length: 3\r\n"
    peer.send(f"PUT /keep HTTP/1.1\r\n{HOST}{expecting}\r\n")
    assert peer.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert peer.send("abc").answer().status == 201
    assert application.bodies == [b"abc"]


def test_body_that_is_not_wanted_is_not_asked_for(peer: Peer) -> None:
    huge = f"Expect: 100-continue\r\nContent-Length: {1 << 30}\r\n"
    answer = peer.send(f"PUT /refuse HTTP/1.1\r\n{HOST}{huge}\r\n").answer()
    assert (answer.status, answer.interim, answer.closes) == (401, [], True)
    assert peer.is_closed(), "whether the body would have come nobody knows"


def test_little_unread_does_not_end_the_connection(peer: Peer) -> None:
    for _ in range(2):
        answer = peer.ask("PUT", "/refuse", body=b"x" * 65536)
        assert (answer.status, answer.closes) == (401, False)


def test_a_little_that_nobody_reads_is_not_waited_for_long(application: Application) -> None:
    refused = f"PUT /refuse HTTP/1.1\r\n{HOST}Content-Length: 65536\r\n\r\n"
    with running(application, threads=4) as server, Peer(server) as honest:
        silent = [Peer(server, f"127.0.0.{2 + n % 2}").send(refused) for n in range(4)]
        assert [each.answer().status for each in silent] == [401] * 4
        began = time.monotonic()
        assert honest.ask("GET").status == 200
        assert time.monotonic() - began < 3
        for each in silent:
            assert each.is_closed()
            each.socket.close()


@pytest.mark.parametrize(
    "framing", ["Content-Length: 65537", "Transfer-Encoding: chunked"], ids=["much", "chunked"]
)
def test_what_is_unread_is_never_the_next_request(peer: Peer, framing: str) -> None:
    peer.send(f"PUT /refuse HTTP/1.1\r\n{HOST}{framing}\r\n\r\n" + HELLO)
    answer = peer.answer()
    assert (answer.status, answer.closes) == (401, True)
    assert peer.is_closed()


def test_a_refused_upload_sees_its_answer(application: Application) -> None:
    with running(application, linger_s=5) as server, Peer(server) as peer:
        size = 64 << 20
        peer.send(f"PUT /refuse HTTP/1.1\r\n{HOST}Content-Length: {size}\r\n\r\n")
        for _ in range(size >> 20):
            peer.send(b"x" * (1 << 20))
        assert peer.answer().status == 401


def test_one_chunk_of_any_size_is_not_held_in_memory(application: Application) -> None:
    def discard(environ, start):  # type: ignore[no-untyped-def]
        while environ["wsgi.input"].read(65536):
            pass
        start("204 No Content", [])
        return []

    size = 128 << 20
    with running(discard) as server, Peer(server) as peer:
        peer.ask("PUT", body=b"x")
        before = _peak_memory()
        peer.send(f"PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n")
        for _ in range(size >> 20):
            peer.send(bytes(1 << 20))
        peer.send(b"\r\n0\r\n\r\n")
        assert peer.answer().status == 204
    assert _peak_memory() - before < 16 << 20


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_an_idle_connection_ends(application: Application) -> None:
    with running(application, idle_s=0.2) as server, Peer(server) as idle, Peer(server) as used:
        used.ask("GET")
        assert idle.is_closed()
        assert used.is_closed()


def test_the_longest_idle_makes_room(application: Application) -> None:
    with (
        running(application, idle_connections=3, pause_s=0) as server,
        Peer(server) as first,
        Peer(server) as second,
        Peer(server) as third,
    ):
        for each in (second, first, third):
            each.ask("GET")
            time.sleep(0.02)
        assert eventually(lambda: not server.can_add_keepalive_connection)
        with Peer(server) as one_more:
            assert one_more.ask("GET").status == 200
        assert second.is_closed()
        assert first.ask("GET").status == 200
        assert third.ask("GET").status == 200


def test_an_answer_without_room_says_that_it_is_the_last(application: Application) -> None:
    with running(application, idle_connections=1, pause_s=0) as server, Peer(server) as first:
        first.send(f"GET /wait HTTP/1.1\r\n{HOST}\r\n")
        assert application.reading.wait(5)
        idle = Peer(server)
        assert eventually(lambda: not server.can_add_keepalive_connection)
        application.go_on.set()
        assert first.answer().closes
        idle.socket.close()


def test_out_of_file_descriptors_is_not_the_end(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with running(application, pause_s=0) as server, Peer(server) as idle:
        idle.ask("GET")
        with every_file_open() as files:
            os.close(files.pop())  # for the client's side; the server's finds no room
            with Peer(server) as peer:
                assert peer.ask("GET").status == 200
        assert idle.is_closed()
    assert "accept" in caplog.text


@contextlib.contextmanager
def every_file_open() -> Iterator[list[int]]:
    """While the block runs this process may open no file more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    files: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                files.append(os.dup(0))
        yield files
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in files:
            os.close(each)
