"""The body of a request: every announced byte, or an error; and its header fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dav.client import Upload
from tgdav.dav.messages import Body, Headers
from tgdav.errors import BodyIncomplete


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=9), max_size=8),
    size=st.integers(1, 20),
    chunked=st.booleans(),
)
def test_all_bytes_come_once_and_in_order(pieces, size, chunked):
    content = b"".join(pieces)
    body = Body(Upload(pieces), None if chunked else len(content))
    assert b"".join(iter(lambda: body.read(size), b"")) == content
    assert body.is_read
    assert body.read(size) == b""


def test_what_follows_the_announced_bytes_is_left_on_the_line():
    stream = Upload([b"bodyGET /"])
    body = Body(stream, 4)
    assert body.read(100) == b"body"
    assert body.is_read
    assert stream.read(100) == b"GET /"


def test_fewer_bytes_than_announced_are_an_error():
    body = Body(Upload([b"half"]), 8)
    assert body.read(100) == b"half"
    with pytest.raises(BodyIncomplete):
        body.read(100)
    assert not body.is_read


@pytest.mark.parametrize("broken", [TimeoutError, ConnectionResetError, ValueError])
def test_a_stream_that_breaks_is_an_incomplete_body(broken):
    def pieces():
        yield b"some"
        raise broken("framing")

    body = Body(Upload(pieces()), None)
    assert body.read(100) == b"some"
    with pytest.raises(BodyIncomplete):
        body.read(100)
    assert not body.is_read


def test_no_body_is_read_already():
    assert Body(Upload([b"GET /"]), 0).is_read


def test_headers_by_name_in_any_case():
    headers = Headers(
        {"HTTP_X_OC_MTIME": "1", "CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "", "PATH_INFO": "/"}
    )
    assert headers["x-oc-mtime"] == headers["X-OC-Mtime"] == "1"
    assert headers["content-type"] == "a/b"
    assert "Content-Length" not in headers
    assert headers.get("If") is None
    assert dict(headers) == {"x-oc-mtime": "1", "content-type": "a/b"}
