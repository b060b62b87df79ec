"""One request and its answer on a real connection."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.dav.server.running import HOST, Application, Environ, Peer, running
from tgdav.errors import ContentLost

Start = Callable[..., Any]


def answered(
    status: str, fields: list[tuple[str, str]], pieces: Iterable[bytes]
) -> Callable[[Environ, Start], Iterable[bytes]]:
    def application(_: Environ, start: Start) -> Iterable[bytes]:
        start(status, fields)
        return pieces

    return application


def ask(application: Any, request: str = f"GET / HTTP/1.1\r\n{HOST}\r\n") -> tuple[Any, bool]:
    """The answer, and whether the connection is closed after it."""
    with running(application) as server, Peer(server) as peer:
        answer = peer.send(request).answer(request.split(maxsplit=1)[0])
        return answer, peer.is_closed(0.3)


def test_environ_is_that_of_wsgi() -> None:
    seen: dict[str, Any] = {}

    def application(environ: Environ, start: Start) -> Iterable[bytes]:
        seen.update(environ)
        start("204 No Content", [])
        return []

    with running(application) as server, Peer(server) as peer:
        peer.ask(
            "PUT", "/a%20b?c=d", "X-Two: 1\r\nContent-Type: t/x\r\nREMOTE_ADDR: evil\r\n", b"x"
        )
        expected = {
            "REQUEST_METHOD": "PUT",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/a b",
            "QUERY_STRING": "c=d",
            "REQUEST_URI": "/a%20b?c=d",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(server.bind_addr[1]),
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": "1",
            "CONTENT_TYPE": "t/x",
            "HTTP_HOST": "drive.test",
            "HTTP_X_TWO": "1",
            "wsgi.url_scheme": "http",
        }
    assert {name: seen.get(name) for name in expected} == expected


def test_a_stranger_who_reads_no_answer_keeps_no_worker() -> None:
    def application(environ: Environ, start: Start) -> Iterable[bytes]:
        is_known = environ["PATH_INFO"] == "/known"
        start("204 No Content" if is_known else "401 Unauthorized", [])
        return [] if is_known else [bytes(32 << 20)]

    with (
        running(application, threads=1, head_s=0.3, write_s=60) as server,
        Peer(server) as stranger,
        Peer(server) as known,
    ):
        stranger.send(f"GET / HTTP/1.1\r\n{HOST}\r\n")
        time.sleep(0.2)
        assert known.ask("GET", "/known").status == 204


def test_every_answer_is_guarded_and_names_no_version() -> None:
    answer, _ = ask(answered("200 OK", [("Content-Length", "1")], [b"x"]))
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert "sandbox" in answer.header("Content-Security-Policy")
    assert answer.header("Referrer-Policy") == "no-referrer"
    assert answer.header("Server") == "tgdav"
    assert answer.header("Date").endswith(" GMT")
    refused, closed = ask(Application(), "GET / HTTP/1.1\r\n\r\n")
    assert refused.status == 400
    assert refused.header("X-Content-Type-Options") == "nosniff"
    assert closed


def test_an_answer_has_its_own_guard_if_it_brings_one() -> None:
    own = [("Content-Length", "0"), ("content-security-policy", "default-src 'self'")]
    answer, _ = ask(answered("200 OK", own, []))
    assert answer.header("Content-Security-Policy") == "default-src 'self'"


def test_hop_by_hop_fields_are_the_servers() -> None:
    fields = [("Connection", "close"), ("Server", "WsgiDAV/4"), ("Content-Length", "0")]
    answer, closed = ask(answered("200 OK", fields, []))
    assert (answer.header("Connection"), answer.header("Server")) == (None, "tgdav")
    assert not closed


def test_length_unknown_goes_in_chunks() -> None:
    answer, closed = ask(answered("200 OK", [], iter([b"a" * 70000, b"", b"bc"])))
    assert answer.header("Transfer-Encoding") == "chunked"
    assert answer.body == b"a" * 70000 + b"bc"
    assert not closed


def test_length_unknown_to_http_10_ends_with_the_connection() -> None:
    answer, _ = ask(answered("200 OK", [], iter([b"ab", b"c"])), "GET / HTTP/1.0\r\n\r\n")
    assert answer.header("Transfer-Encoding") is None
    assert (answer.body, answer.closes) == (b"abc", True)


def test_http_10_keeps_alive_when_asked() -> None:
    request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer, closed = ask(answered("200 OK", [("Content-Length", "1")], [b"x"]), request)
    assert answer.header("Connection") == "keep-alive"
    assert not closed


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_bare_answers_have_no_body(status: str) -> None:
    answer, closed = ask(answered(status, [], [b"x"]))
    assert answer.header("Transfer-Encoding") is None
    assert not closed


def test_head_has_the_length_and_no_body() -> None:
    request = f"HEAD / HTTP/1.1\r\n{HOST}\r\n"
    answer, closed = ask(answered("200 OK", [("Content-Length", "5")], [b"hello"]), request)
    assert answer.header("Content-Length") == "5"
    assert not closed


def test_connection_closes_when_asked() -> None:
    answer, closed = ask(Application(), f"GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n")
    assert answer.closes
    assert closed


def test_an_answer_that_ends_early_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    answer, closed = ask(answered("200 OK", [("Content-Length", "10")], [b"abc"]))
    assert (answer.body, answer.is_whole, closed) == (b"abc", False, True)
    assert "7 bytes early" in caplog.text


def test_an_answer_that_is_too_long_is_held_to_its_word(caplog: pytest.LogCaptureFixture) -> None:
    answer, closed = ask(answered("200 OK", [("Content-Length", "3")], [b"ab", b"cdef"]))
    assert (answer.body, closed) == (b"abc", True)
    assert "longer" in caplog.text


class Breaking:
    """A body that fails in the middle."""

    def __init__(self, error: Exception, *before: bytes) -> None:
        self.before, self.error, self.closed = before, error, False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.before
        raise self.error

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("fields", [[("Content-Length", "9")], []])
def test_an_answer_that_breaks_off_is_cut(
    fields: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    body = Breaking(ContentLost("block 5: no replica"), b"abc")
    with running(answered("200 OK", fields, body)) as server, Peer(server) as peer:
        peer.send(f"GET / HTTP/1.1\r\n{HOST}\r\n")
        if fields:
            assert peer.answer().is_whole is False
        else:
            with pytest.raises(EOFError):
                peer.answer()
    assert body.closed
    (record,) = caplog.records
    assert "block 5: no replica" in record.message
    assert record.exc_info is None, "what is foreseen has no traceback"


@pytest.mark.parametrize(
    "application",
    [
        answered("200 OK", [("Content-Length", "9")], Breaking(ZeroDivisionError())),
        answered("200 OK", [("X", "a\r\nX-Evil: 1")], []),
        answered("200 OK", [("X", "\u20ac")], []),
        lambda environ, start: [b"no start_response"],
        lambda environ, start: [start("200 OK", []), start("200 OK", [])],
    ],
)
def test_what_fails_before_its_first_byte_is_a_500(
    application: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer, closed = ask(application)
    assert (answer.status, closed) == (500, True)
    assert answer.header("X-Evil") is None
    assert b"Traceback" not in answer.body
    assert caplog.records[0].exc_info, "what is not foreseen has a traceback"


def test_the_body_is_closed_when_the_client_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 262144

        def close(self) -> None:
            closed.set()

    with running(answered("200 OK", [], Endless())) as server, Peer(server) as peer:
        peer.send(f"GET / HTTP/1.1\r\n{HOST}\r\n")
        peer.socket.recv(1000)
        peer.reset()
        assert closed.wait(5)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_reader_that_stopped_is_cut() -> None:
    answer = answered("200 OK", [], iter([b"x" * 1000000] * 100))
    with running(answer, write_s=0.2) as server, Peer(server) as peer:
        peer.send(f"GET / HTTP/1.1\r\n{HOST}\r\n")
        threading.Event().wait(1)
        with pytest.raises((EOFError, ConnectionError, AssertionError)):
            peer.answer()


def test_write_is_there_for_those_who_need_it() -> None:
    def application(_: Environ, start: Start) -> Iterable[bytes]:
        start("200 OK", [])(b"ab")
        return [b"c"]

    assert ask(application)[0].body == b"abc"


def test_a_second_thought_before_the_first_byte() -> None:
    def application(_: Environ, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "100")])
        start("503 Busy", [("Content-Length", "0")], (None, ValueError(), None))
        return []

    assert ask(application)[0].status == 503


def test_a_waiting_client_hears_from_us_until_it_is_answered() -> None:
    kept: list[Callable[[], None]] = []

    def application(environ: Environ, start: Start) -> Iterable[bytes]:
        say = environ["tgdav.keep_waiting"]
        kept.append(say)
        say()
        say()
        start("201 Created", [("Content-Length", "0")])
        return []

    with running(application) as server, Peer(server) as peer:
        answer = peer.ask("PUT", body=b"x")
        assert (answer.status, answer.interim) == (201, [100, 100])
        kept[0]()
        assert not peer.is_closed(0.2), "and nothing more comes"
        peer.socket.settimeout(5)
        peer.send("GET / HTTP/1.0\r\n\r\n")
        assert peer.answer().interim == [], "HTTP/1.0 would take it for the answer"


def test_one_who_left_while_waiting_does_not_stop_the_save() -> None:
    saved = threading.Event()

    def application(environ: Environ, start: Start) -> Iterable[bytes]:
        environ["wsgi.input"].read(10)
        for _ in range(20):
            environ["tgdav.keep_waiting"]()
        saved.set()
        start("201 Created", [("Content-Length", "0")])
        return []

    with running(application) as server, Peer(server) as peer:
        peer.send(f"PUT / HTTP/1.1\r\n{HOST}Content-Length: 1\r\n\r\nx")
        peer.reset()
        assert saved.wait(5)
