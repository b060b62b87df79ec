"""Heads: what they mean, and every way in which they are refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav.server.framing import FIELDS_LIMIT, HeadRefused, parse


def head(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "Host: a") -> bytes:
    return "\r\n".join([line, *([host] if host else []), *fields]).encode("latin-1")


def status(data: bytes) -> int:
    with pytest.raises(HeadRefused) as refused:
        parse(data)
    assert refused.value.message
    return refused.value.status


def test_says_what_was_asked() -> None:
    parsed = parse(head("PROPFIND /a%20b/c?q=1 HTTP/1.1", "Depth: 1", "X-A:  two words \t"))
    assert (parsed.method, parsed.path, parsed.query) == ("PROPFIND", "/a b/c", "q=1")
    assert parsed.target == "/a%20b/c?q=1"
    assert parsed.fields == {"HTTP_HOST": "a", "HTTP_DEPTH": "1", "HTTP_X_A": "two words"}
    assert (parsed.length, parsed.stays, parsed.is_11) == (0, True, True)


def test_every_byte_of_a_path_survives() -> None:
    escaped = "".join(f"%{byte:02X}" for byte in range(256) if byte != ord("/"))
    expected = bytes(byte for byte in range(256) if byte != ord("/"))
    assert parse(head(f"GET /{escaped} HTTP/1.1")).path.encode("latin-1") == b"/" + expected


def test_bytes_that_no_one_escaped_are_taken() -> None:
    assert parse(head("GET /\xd1\x91%zz HTTP/1.1")).path == "/\xd1\x91%zz"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET", 400),
        ("  ", 400),
        ("GET /", 400),
        ("GET / FTP/1.1", 400),
        ("GET / HTTP/1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET  / HTTP/1.1", 400),
        ("\xff\xfe / HTTP/1.1", 400),
        ("<script> / HTTP/1.1", 400),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/9.9", 505),
        ("GET / HTTP/0.9", 505),
        ("get / HTTP/1.1", 501),
        ("A" * 4000 + " / HTTP/1.1", 501),
        ("GET relative HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET /a%2Fb HTTP/1.1", 400),
        ("GET ftp://a/x HTTP/1.1", 400),
        ("GET http://evil.example/x HTTP/1.1", 421),
        ("CONNECT a:80 HTTP/1.1", 400),
        ("GET /" + "a" * 8192 + " HTTP/1.1", 414),
        ("GET /" + "a" * 20000 + " HTTP/1.1", 414),
    ],
)
def test_refuses_request_line(line: str, expected: int) -> None:
    assert status(head(line)) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("no colon", 400),
        (": nameless", 400),
        ("Content-Length : 3", 400),
        ("Transfer-Encoding : chunked", 400),
        ("X-A: 1\r\n folded", 400),
        ("X-A: 1\r\n\tfolded", 400),
        ("X-A: a\0b", 400),
        ("X-A: a\x7fb", 400),
        ("X-A: a\rX-B: c", 400),
        ("X-A: a\nX-B: c", 400),
        ("Host: b", 400),
        ("Content-Length: 5\r\nContent-Length: 10", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", 400),
        *(
            (f"Content-Length: {text}", 400)
            for text in ("1_0", "+5", "-5", "0x5", "5, 5", "", "\xb2")
        ),
        ("Content-Length: 1" + "0" * 30, 413),
        *(
            (f"Transfer-Encoding: {coding}", 501)
            for coding in ("gzip, chunked", "xchunked", "chunked, identity", "identity")
        ),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Expect: 200-ok", 417),
        ("X" * 200 + ": 1", 400),
        ("X-A: " + "a" * 40000, 431),
        ("\r\n".join(f"X-{n}: 1" for n in range(FIELDS_LIMIT)), 431),
    ],
)
def test_refuses_field(field: str, expected: int) -> None:
    assert status(head("PUT /f HTTP/1.1", field)) == expected


@pytest.mark.parametrize("host", [None, "Host: a b", "Host: a/b", 'Host: <a">'])
def test_refuses_host(host: str | None) -> None:
    assert status(head(host=host)) == 400


@pytest.mark.parametrize("host", ["Host:", "Host: [::1]:80", "Host: drive.test:8080"])
def test_takes_host(host: str) -> None:
    assert parse(head(host=host)).fields["HTTP_HOST"] == host[5:].strip()


def test_http_10_needs_no_host_and_has_no_chunks() -> None:
    assert parse(head("GET / HTTP/1.0", host=None)).is_11 is False
    assert status(head("PUT / HTTP/1.0", "Transfer-Encoding: chunked", host=None)) == 400


def test_absolute_form_of_this_server_is_its_path() -> None:
    assert parse(head("GET http://A/x?y HTTP/1.1")).path == "/x"
    assert parse(head("GET HTTP://a HTTP/1.1")).path == "/"


def test_options_of_the_server() -> None:
    assert parse(head("OPTIONS * HTTP/1.1")).path == "*"


def test_lists_are_joined_and_names_with_underscores_dropped() -> None:
    parsed = parse(head("GET / HTTP/1.1", "Accept: a", "accept: b", "X_Forwarded_For: 1.2.3.4"))
    assert parsed.fields == {"HTTP_HOST": "a", "HTTP_ACCEPT": "a, b"}


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: TE, Close", False),
        ("1.0", "", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
def test_says_whether_another_request_follows(version: str, connection: str, stays: bool) -> None:
    fields = [connection] if connection else []
    assert parse(head(f"GET / HTTP/{version}", *fields)).stays is stays


def test_lengths() -> None:
    assert parse(head("PUT / HTTP/1.1", "Content-Length: 007")).length == 7
    assert parse(head("PUT / HTTP/1.1", "Transfer-Encoding: Chunked")).length is None


@given(st.binary(max_size=300))
def test_never_fails_otherwise(data: bytes) -> None:
    with contextlib.suppress(HeadRefused):
        parse(data)


TEXT = st.text(st.sampled_from("aA:/*%#? \t\r\n\0_-.1é"), max_size=12)


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_never_fails_otherwise_on_what_looks_like_one(
    method: str, target: str, fields: list[tuple[str, str]]
) -> None:
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: a",
        *(f"{name}:{value}" for name, value in fields),
    ]
    try:
        parsed = parse("\r\n".join(lines).encode("latin-1"))
    except HeadRefused:
        return
    assert parsed.path == "*" or parsed.path.startswith("/")
    assert not any("\n" in value or "\r" in value for value in parsed.fields.values())
