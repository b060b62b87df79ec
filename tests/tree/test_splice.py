import random
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests import invariants
from tests.tree.drive import ADA, BOB
from tgdav.errors import (
    BodyIncomplete,
    Busy,
    Locked,
    NotFound,
    PreconditionFailed,
    RangeRefused,
)
from tgdav.tree.publish import GAP_LIMIT
from tgdav.tree.tables import extents

SIZE = 40_000
OFFSETS = st.one_of(st.none(), st.integers(0, SIZE), st.sampled_from([0, 1, SIZE, SIZE + 300]))
SPLICES = st.lists(st.tuples(OFFSETS, st.integers(0, 9000), st.integers(0, 5)), max_size=8)


def data(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def spliced(content: bytearray, offset: int | None, part: bytes) -> bytearray:
    """What a splice promises."""
    start = len(content) if offset is None else offset
    content = content.ljust(start, b"\0")
    content[start : start + len(part)] = part
    return content


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(splices=SPLICES, cuts=st.lists(st.integers(0, SIZE), max_size=4))
def test_splices_do_what_they_do_to_a_bytearray(drive, splices, cuts):
    expected = bytearray(data(SIZE))
    drive.save("/f", expected)
    for offset, size, seed in splices:
        part = data(size, seed)
        expected = spliced(expected, offset, part)
        node = drive.splice("/f", offset, part)
        assert node.size == len(expected)
    assert drive.read("/f") == expected
    for start in cuts:
        stop = start + 5000
        assert drive.read("/f", start, stop) == expected[start:stop]
    invariants.check(drive.db)


def test_untouched_blocks_are_used_again(drive):
    node = drive.save("/f", data(200_000))

    def blocks(version):
        with drive.db.read() as connection:
            return set(
                connection.scalars(select(extents.c.block).where(extents.c.version == version))
            )

    before = blocks(node.version)
    after = blocks(drive.splice("/f", 100_000, b"x").version)
    assert len(before) > 20
    assert len(after - before) == 1
    assert len(before - after) == 0


def test_the_old_version_is_as_it_was(drive):
    old = drive.save("/f", data(50_000))
    new = drive.splice("/f", 20_000, b"part", BOB)
    assert drive.content(old) == data(50_000)
    assert (new.no, new.created_ns) == (old.no, old.created_ns)
    assert new.version != old.version
    assert new.etag != old.etag
    assert new.owner == "bob"


def test_a_file_can_begin_empty(drive):
    drive.save("/f")
    drive.splice("/f", None, b"one")
    drive.splice("/f", 3, b"two")
    assert drive.read("/f") == b"onetwo"


class TestRefusals:
    def test_a_file_must_be_there(self, drive):
        with pytest.raises(NotFound):
            drive.tree.splicing(("gone",), ADA, 0)

    def test_a_gap_has_a_bound(self, drive):
        drive.save("/f", b"12345")
        with pytest.raises(RangeRefused, match=str(GAP_LIMIT)):
            drive.tree.splicing(("f",), ADA, 5 + GAP_LIMIT + 1)

    def test_fewer_bytes_than_announced_change_nothing(self, drive):
        drive.save("/f", b"12345")
        with drive.tree.splicing(("f",), ADA, 50) as save:
            save.write(b"abc")
            with pytest.raises(BodyIncomplete, match="3 of 4"):
                save.publish(size_expected=4)
        assert drive.read("/f") == b"12345"

    def test_a_lock_or_a_check_stops_it(self, drive):
        drive.save("/f", b"12345")

        def refuse(_):
            raise PreconditionFailed("no")

        with pytest.raises(PreconditionFailed):
            drive.tree.splicing(("f",), ADA, 0, check=refuse)
        permit = drive.lock("/f")
        with pytest.raises(Locked):
            drive.splice("/f", 0, b"x", BOB)
        drive.splice("/f", 0, b"x", permit)


class TestMeanwhile:
    """The file is another by the time the splice is published."""

    def splice(self, drive, offset, part, change):
        drive.save("/f", b"0123456789")
        with drive.tree.splicing(("f",), ADA, offset) as save:
            save.write(part)
            change()
            save.publish()
        return drive.read("/f")

    def test_it_changes_the_version_that_is_there(self, drive):
        change = lambda: drive.save("/f", b"abcdefghijkl")  # noqa: E731
        assert self.splice(drive, 2, b"XY", change) == b"abXYefghijkl"
        assert self.splice(drive, None, b"XY", change) == b"abcdefghijklXY"

    @pytest.mark.parametrize(("offset", "size"), [(8, 5), (15, 5), (15, 12), (15, 20)])
    def test_it_is_refused_where_it_no_longer_fits(self, drive, offset, size):
        with pytest.raises(Busy, match=f"{size} bytes by now"):
            self.splice(drive, offset, b"XY", lambda: drive.save("/f", bytes(size)))
        assert drive.read("/f") == bytes(size)

    def test_a_file_that_is_gone_stays_gone(self, drive):
        with pytest.raises(NotFound):
            self.splice(drive, 0, b"XY", lambda: drive.delete("/f"))
        assert drive.found() == {}

    def test_no_append_is_lost(self, drive):
        drive.save("/log")
        lines = [b"%03d\n" % number for number in range(24)]
        threads = [
            threading.Thread(target=drive.splice, args=("/log", None, line)) for line in lines
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(drive.read("/log").splitlines(keepends=True)) == lines
