"""Byte ranges against the plainest model there is: the set of bytes that they name."""

import email.parser
import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tgdav.dav.ranges import (
    MOST_PARTS,
    Malformed,
    Multipart,
    Range,
    Stretch,
    Unsatisfiable,
    Update,
    content_range,
    requested,
    update_range,
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-499", [(0, 100)]),
        ("bytes=99-", [(99, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes= 10-19", [(10, 20)]),
        ("Bytes=10-19", [(10, 20)]),
        ("bytes=0-18446744073709551616", [(0, 100)]),
        ("bytes=0-0,5-5", [(0, 1), (5, 6)]),
        ("bytes=50-59 , ,0-9", [(50, 60), (0, 10)]),
        ("bytes=0-0,-1", [(0, 1), (99, 100)]),
        ("bytes=0-9,200-", [(0, 10)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=50-59,0-9,55-69", [(50, 70), (0, 10)]),
        ("bytes=5-2", None),
        ("bytes=abc", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=-", None),
        ("bytes=--1", None),
        ("bytes=0-9,5-2", None),
        ("bytes=0x0-9", None),
        ("bytes=+1-9", None),
        ("bytes=1_0-20", None),
        ("bytes=\uff15-9", None),
        ("items=0-5", None),
        ("0-5", None),
        ("", None),
    ],
)
def test_what_a_range_header_selects_of_100_bytes(header, expected):
    assert requested(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=100-200,300-400", "bytes=-00"])
def test_a_set_that_lies_outside_is_unsatisfiable(header):
    with pytest.raises(Unsatisfiable):
        requested(header, 100)


def test_nothing_has_no_bytes_to_select():
    assert requested("bytes=-5", 0) is None
    with pytest.raises(Unsatisfiable):
        requested("bytes=0-", 0)


def test_too_many_ranges_mean_the_whole():
    apart = [f"{2 * number}-{2 * number}" for number in range(5000)]
    assert requested("bytes=" + ",".join(apart), 10**6) is None
    assert len(requested("bytes=" + ",".join(apart[:MOST_PARTS]), 10**6)) == MOST_PARTS
    assert requested("bytes=" + ",".join(apart[: MOST_PARTS + 1]), 10**6) is None
    touching = [f"{number}-{number}" for number in range(5000)]
    assert requested("bytes=" + ",".join(touching[:200]), 10**6) == [(0, 200)]
    assert requested("bytes=" + ",".join(touching), 10**6) is None


SPECS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted).map(tuple),
        st.tuples(st.integers(0, 40), st.none()),
        st.tuples(st.none(), st.integers(0, 40)),
    ),
    min_size=1,
    max_size=12,
)


def bytes_of(spec, total):
    first, last = spec
    if first is None:
        return set(range(max(0, total - last), total))
    return set(range(first, total if last is None else min(last + 1, total)))


@given(specs=SPECS, total=st.integers(1, 50))
@example(specs=[(3, 3), (0, 1), (2, 2)], total=10)
def test_ranges_cover_what_was_asked_for_once_and_in_order(specs, total):
    header = "bytes=" + ",".join(
        f"{'' if first is None else first}-{'' if last is None else last}" for first, last in specs
    )
    named = [bytes_of(spec, total) for spec in specs]
    try:
        found = requested(header, total)
    except Unsatisfiable:
        assert not any(named)
        return
    covered = [set(range(*each)) for each in found]
    assert set().union(*covered) == set().union(*named)
    assert sum(map(len, covered)) == len(set().union(*covered))
    edges = sorted(found)
    assert all(left.stop < right.start for left, right in itertools.pairwise(edges))
    places = [next(n for n, wish in enumerate(named) if wish and wish <= got) for got in covered]
    assert places == sorted(places)


def test_a_multipart_frame_is_mime_and_as_long_as_it_says():
    content = bytes(range(256))
    frame = Multipart([Range(0, 10), Range(200, 256)], 256, "video/mp4", "b0undary")
    body = b"".join(frame.heading(each) + content[slice(*each)] for each in frame.ranges)
    body += frame.ending
    assert len(body) == frame.length
    parser = email.parser.BytesParser()
    message = parser.parsebytes(f"Content-Type: {frame.media_type}\r\n\r\n".encode() + body)
    parts = message.get_payload()
    assert [part["Content-Range"] for part in parts] == ["bytes 0-9/256", "bytes 200-255/256"]
    assert {part["Content-Type"] for part in parts} == {"video/mp4"}
    assert body.split(b"\r\n\r\n")[1].partition(b"\r\n--")[0] == content[:10]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-0/3", Stretch(0, 1, 3)),
        ("bytes 3-6/*", Stretch(3, 7, None)),
        (" BYTES 3-6/7 ", Stretch(3, 7, 7)),
    ],
)
def test_a_content_range_says_where_a_body_goes(header, expected):
    assert content_range(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=0-2/3",
        "bytes 2-0/3",
        "bytes 0-2/2",
        "bytes */3",
        "bytes -1-2/3",
        "x 0-2/3",
        "bytes 0-1000000000000000000/*",
        "bytes 0-2",
        "bytes 0-2/3,4-5/6",
    ],
)
def test_a_content_range_that_is_none(header):
    with pytest.raises(Malformed):
        content_range(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("append", Update(None, None)),
        ("bytes=3-6", Update(3, 7)),
        ("bytes=0-", Update(0, None)),
        ("bytes=-4", Update(-4, None)),
        ("bytes=6-3", Update(6, 4)),
    ],
)
def test_where_an_update_goes(header, expected):
    assert update_range(header) == expected


@pytest.mark.parametrize(
    "header", ["", "3-6", "bytes=", "bytes=-", "bytes=-0", "bytes=1-2,4-5", "bytes=a-b", "appendix"]
)
def test_an_update_that_goes_nowhere(header):
    with pytest.raises(Malformed):
        update_range(header)
