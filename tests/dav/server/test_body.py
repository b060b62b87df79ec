"""Bodies: all of them or `BodyIncomplete`, and never more in memory than asked for."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav.server.body import DRAINED, Body, BodyLimits, ChunkedBody, KnownBody
from tgdav.dav.server.wire import Wire
from tgdav.errors import BodyIncomplete

LIMITS = BodyLimits(wait_s=0.3, floor=1024, floor_s=60)


class Line:
    """Both ends of a connection."""

    def __init__(self) -> None:
        self.client, served = socket.socketpair()
        self.wire = Wire(served)

    def close(self) -> None:
        self.client.close()
        self.wire.close()

    def known(self, length: int, *, is_held_back: bool = False) -> KnownBody:
        return KnownBody(self.wire, LIMITS, length, is_held_back=is_held_back)

    def chunked(self, data: bytes) -> ChunkedBody:
        """All that ever comes."""
        self.client.sendall(data)
        self.client.shutdown(socket.SHUT_WR)
        return ChunkedBody(self.wire, LIMITS)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def everything(body: Body, size: int = 65536) -> bytes:
    return b"".join(iter(lambda: body.read(size), b""))


def test_known_body_ends_where_it_said(line: Line) -> None:
    line.client.sendall(b"abcdeGET / HTTP/1.1")
    body = line.known(5)
    assert everything(body, 2) == b"abcde"
    assert body.read(5) == b""
    assert body.left == 0
    assert line.wire.receive(3, 1) == b"GET"


def test_readinto_is_the_same(line: Line) -> None:
    line.client.sendall(b"abcde")
    body, space = line.known(5), memoryview(bytearray(3))
    got = b"".join(bytes(space[:count]) for count in iter(lambda: body.readinto(space), 0))
    assert got == b"abcde"


def test_what_came_with_the_head_comes_first(line: Line) -> None:
    line.client.sendall(b"a line\r\nabc")
    assert line.wire.line(100, 1) == b"a line"
    line.client.sendall(b"de")
    body, space = line.known(5), memoryview(bytearray(10))
    counts = list(iter(lambda: body.readinto(space), 0))
    assert counts == [3, 2]
    assert space[:2] == b"de"


def test_who_left_before_being_asked_for_the_body(line: Line) -> None:
    body = line.known(5, is_held_back=True)
    line.client.close()
    with pytest.raises(BodyIncomplete):
        body.read(5)


def test_end_of_connection_is_no_end_of_body(line: Line) -> None:
    line.client.sendall(b"abc")
    line.client.shutdown(socket.SHUT_WR)
    body = line.known(5)
    assert body.read(10) == b"abc"
    for _ in range(2):
        with pytest.raises(BodyIncomplete):
            body.read(10)
    assert not body.can_drain


def test_silence_is_no_end_of_body(line: Line) -> None:
    began = time.monotonic()
    with pytest.raises(BodyIncomplete):
        line.known(5).readinto(memoryview(bytearray(5)))
    assert LIMITS.wait_s <= time.monotonic() - began < 5


def test_trickle_is_cut(line: Line) -> None:
    limits = BodyLimits(wait_s=5, floor=1000, floor_s=0.2)
    body = KnownBody(line.wire, limits, 1000)
    is_over = threading.Event()

    def trickle() -> None:
        while not is_over.wait(0.02):
            line.client.send(b"x")

    client = threading.Thread(target=trickle)
    client.start()
    try:
        with pytest.raises(BodyIncomplete, match="slow"):
            everything(body)
    finally:
        is_over.set()
        client.join()


def test_slow_reader_is_not_the_clients_fault(line: Line) -> None:
    limits = BodyLimits(wait_s=5, floor=1000, floor_s=0.05)
    line.client.sendall(b"x" * 20)
    body = KnownBody(line.wire, limits, 20)
    for _ in range(20):
        time.sleep(0.01)
        assert body.read(1) == b"x"


def test_held_back_body_is_asked_for_at_the_first_read(line: Line) -> None:
    body = line.known(3, is_held_back=True)
    line.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        line.client.recv(1)
    assert not body.can_drain, "a client that was not asked sends nothing"
    line.client.setblocking(True)
    line.client.sendall(b"abc")
    assert everything(body) == b"abc"
    assert line.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("length", [0, 1, DRAINED])
def test_little_is_drained(line: Line, length: int) -> None:
    line.client.sendall(b"x" * length + b"next")
    body = line.known(length)
    assert body.can_drain
    assert body.drain(1)
    assert line.wire.receive(10, 1) == b"next"


def test_much_is_not_drained(line: Line) -> None:
    assert not line.known(DRAINED + 1).can_drain


@pytest.mark.parametrize("sent", [b"", b"x"])
def test_drain_gives_up(line: Line, sent: bytes) -> None:
    is_over = threading.Event()

    def trickle() -> None:
        while not is_over.wait(0.02):
            line.client.sendall(sent)

    client = threading.Thread(target=trickle)
    client.start()
    try:
        began = time.monotonic()
        assert not KnownBody(line.wire, BodyLimits(), DRAINED).drain(0.2)
        assert time.monotonic() - began < 3
    finally:
        is_over.set()
        client.join()


def test_chunks_are_joined(line: Line) -> None:
    body = line.chunked(b"3\r\nabc\r\nA ;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\nnext")
    assert body.left is None
    assert everything(body, 4) == b"abc0123456789"
    assert body.left == 0
    assert line.wire.receive(10, 1) == b"next"


@pytest.mark.parametrize(
    "size", [b"-5", b"0x3", b"+3", b"1_0", b"zz", b"", b" 3", b"f" * 18, b"3\x00", "３".encode()]
)
def test_chunk_sizes_that_are_none(line: Line, size: bytes) -> None:
    with pytest.raises(BodyIncomplete):
        everything(line.chunked(size + b"\r\nabc\r\n0\r\n\r\n"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"3",
        b"3\r\n",
        b"3\r\nab",
        b"3\r\nabc",
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"3" + b";" * 5000 + b"\r\nabc\r\n0\r\n\r\n",
        b"0\r\n" + b"T: t\r\n" * 1000 + b"\r\n",
    ],
)
def test_chunks_that_break_off(line: Line, data: bytes) -> None:
    body = line.chunked(data)
    with pytest.raises(BodyIncomplete):
        everything(body)
    with pytest.raises(BodyIncomplete):
        body.read(1)
    assert not body.can_drain


def test_unread_chunks_cannot_be_drained(line: Line) -> None:
    assert not line.chunked(b"0\r\n\r\n").can_drain


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
    st.data(),
)
def test_any_cut_of_any_chunks(pieces: list[bytes], sizes: list[int], data: st.DataObject) -> None:
    """Whole it is itself; cut anywhere it raises."""
    sent = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
    cut = data.draw(st.integers(0, len(sent)))
    line = Line()
    try:
        body, got = line.chunked(sent[:cut]), b""
        while piece := body.read(sizes[len(got) % len(sizes)]):
            got += piece
        assert cut == len(sent)
        assert got == b"".join(pieces)
    except BodyIncomplete:
        assert cut < len(sent)
    finally:
        line.close()
