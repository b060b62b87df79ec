"""GET and HEAD: exact bytes of one version, whole and in ranges."""

import email.parser
import random

import pytest

from tests.blocks.room import FIRST_STORE, Room
from tests.dav.client import Answer, Client
from tgdav.errors import ContentLost

CONTENT = random.Random(1).randbytes(2_500_000)
SIZE = len(CONTENT)


@pytest.fixture
def film(client: Client) -> str:
    client.put("/film.mp4", CONTENT)
    return "/film.mp4"


def test_the_whole(client: Client, film: str) -> None:
    answer = client.get(film)
    assert answer.body == CONTENT
    assert answer.header("Content-Length") == str(SIZE)
    assert answer.header("Content-Type") == "video/mp4"
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("Content-Encoding") is None


def test_head_says_what_get_would(client: Client, film: str) -> None:
    head, got = client.head(film), client.get(film)
    assert head.headers == got.headers
    assert client.head(film, 200, range="bytes=0-5").headers == got.headers
    assert client.head(film, 304, if_none_match=got.etag).etag == got.etag


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=1000000-1999999", 1_000_000, 2_000_000),
        ("bytes=2499999-", SIZE - 1, SIZE),
        ("bytes=-500", SIZE - 500, SIZE),
        ("bytes=-99999999", 0, SIZE),
        ("bytes=2499000-99999999", 2_499_000, SIZE),
        ("bytes=5-9,8-20", 5, 21),
    ],
)
def test_one_range(client: Client, film: str, header: str, start: int, stop: int) -> None:
    answer = client.get(film, 206, range=header)
    assert answer.body == CONTENT[start:stop]
    assert answer.header("Content-Range") == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.header("Content-Length") == str(stop - start)
    assert answer.etag == client.head(film).etag


def parts(answer: Answer) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part; cut by hand, as email would change line ends."""
    kind = answer.header("Content-Type")
    assert kind is not None
    boundary = email.parser.Parser().parsestr(f"Content-Type: {kind}\n\n").get_boundary()
    found = []
    for part in answer.body.split(f"\r\n--{boundary}".encode())[1:-1]:
        heading, _, content = part.partition(b"\r\n\r\n")
        fields = email.parser.BytesParser().parsebytes(heading.lstrip())
        assert fields["Content-Type"] == "video/mp4"
        found.append((fields["Content-Range"], content))
    assert answer.body.endswith(f"\r\n--{boundary}--\r\n".encode())
    return found


def test_several_ranges_are_several_parts(client: Client, film: str) -> None:
    answer = client.get(film, 206, range="bytes=100-109,0-9,-1000000")
    assert answer.header("Content-Range") is None
    assert parts(answer) == [
        (f"bytes 100-109/{SIZE}", CONTENT[100:110]),
        (f"bytes 0-9/{SIZE}", CONTENT[:10]),
        (f"bytes 1500000-2499999/{SIZE}", CONTENT[1_500_000:]),
    ]
    assert answer.header("Content-Length") == str(len(answer.body))


@pytest.mark.parametrize(
    "header",
    [
        "bytes=5-2",
        "bytes=abc",
        "items=0-5",
        "bytes=" + ",".join(f"{n * 3}-{n * 3}" for n in range(99)),
    ],
)
def test_what_is_no_range_is_the_whole(client: Client, film: str, header: str) -> None:
    assert client.get(film, 200, range=header).body == CONTENT


@pytest.mark.parametrize("header", ["bytes=-0", f"bytes={SIZE}-", "bytes=99999999-99999999"])
def test_a_range_outside(client: Client, film: str, header: str) -> None:
    refused = client.get(film, 416, range=header)
    assert refused.header("Content-Range") == f"bytes */{SIZE}"


def test_nothing_at_all(client: Client) -> None:
    client.put("/empty", b"")
    assert client.get("/empty").header("Content-Length") == "0"
    client.get("/empty", 416, range="bytes=0-")
    assert client.get("/empty", 200, range="bytes=-5").body == b""


def test_if_range(client: Client, film: str) -> None:
    head = client.head(film)
    changed = head.header("Last-Modified")
    assert changed is not None
    for same in (head.etag, changed):
        client.get(film, 206, range="bytes=0-9", if_range=same)
    for other in ('"x"', "W/" + head.etag, "Sat, 01 Jan 2000 00:00:00 GMT", "rubbish"):
        assert client.get(film, 200, range="bytes=0-9", if_range=other).body == CONTENT


def test_conditions_come_before_ranges(client: Client, film: str) -> None:
    head = client.head(film)
    fresh = client.get(film, 304, range="bytes=0-9", if_none_match=head.etag)
    assert fresh.etag == head.etag
    client.get(film, 304, range="bytes=99999999-", if_none_match=head.etag)
    client.get(film, 412, range="bytes=0-9", if_match='"x"')


def test_a_version_stays_readable_while_it_is_read(client: Client, film: str) -> None:
    begun: list[str] = []
    pieces = client.app(client.environ("GET", film), lambda status, *_: begun.append(status))
    got = iter(pieces)
    content = bytes(next(got))
    client.put(film, b"another")
    client.delete(film)
    content += b"".join(map(bytes, got))
    pieces.close()
    assert begun == ["200 OK"]
    assert content == CONTENT


def test_names_and_types(client: Client) -> None:
    client.put("/a.txt", b"x")
    client.put("/noending", b"x")
    client.put("/a.tar.gz", b"x")
    assert client.get("/a.txt").header("Content-Type") == "text/plain"
    assert client.get("/noending").header("Content-Type") == "application/octet-stream"


def test_what_is_not_there(client: Client) -> None:
    client.put("/f", b"x")
    client.get("/none", 404)
    client.get("/f/", 404)
    client.get("/f/below", 404)
    client.head("/none", 404)


def test_a_directory_is_a_page(client: Client) -> None:
    client.mkcol("/dir")
    for number in range(3):
        client.put(f"/dir/{number}", b"x")
    for url in ("/dir", "/dir/"):
        page = client.get(url)
        assert page.header("Content-Type") == "text/html; charset=utf-8"
        assert page.text == "/dir/ /dir False 0,1,2"
    assert client.get("/").text == "/ / True dir"
    assert client.head("/dir/").header("Content-Type") == "text/html; charset=utf-8"


def lose_everything(room: Room) -> None:
    room.vault.flush()
    store = room.stores[FIRST_STORE]
    store.delete([listed.locator for listed in store.scan()])


def test_a_dead_store_is_told_by_the_status(client: Client, room: Room, film: str) -> None:
    lose_everything(room)
    for header in ({}, {"range": "bytes=5-9"}, {"range": "bytes=5-9,100-109"}):
        assert client.get(film, 503, **header).header("Retry-After") is not None
    assert client.head(film).header("Content-Length") == str(SIZE)


@pytest.mark.parametrize("header", [{}, {"HTTP_RANGE": "bytes=0-9,100-"}])
def test_a_store_that_dies_cuts_the_answer_short(
    client: Client, room: Room, film: str, header: dict[str, str]
) -> None:
    pieces = client.app(client.environ("GET", film) | header, lambda *_: None)
    got = iter(pieces)
    next(got)
    lose_everything(room)
    with pytest.raises(ContentLost):
        b"".join(got)
    pieces.close()


def test_a_client_that_hangs_up_leaves_nothing_open(client: Client, film: str) -> None:
    client.get(film, 200, read=False)
    client.get(film, 206, read=False, range="bytes=0-9,100-109")
    pieces = client.app(client.environ("GET", film), lambda *_: None)
    next(iter(pieces))
    pieces.close()


@pytest.mark.parametrize(
    ("name", "is_kept"),
    [("a.html", True), ("a.svg", True), ("a.js", True), ("a.png", False), ("a.txt", False)],
)
def test_what_could_act_in_a_browser_is_for_keeping(
    client: Client, name: str, is_kept: bool
) -> None:
    client.put("/" + name, b"<script>alert(1)</script>")
    for headers in ({}, {"range": "bytes=0-3"}, {"range": "bytes=0-3,9-10"}):
        answer = client.get("/" + name, (200, 206), **headers)
        assert (answer.header("Content-Disposition") == "attachment") is is_kept
