import contextlib
import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tree.drive import statements
from tgdav.errors import NotAFile
from tgdav.tree import content

DATA = random.Random(3).randbytes(600_000)


@pytest.fixture
def file(drive):
    """A file of more extents than a page has."""
    node = drive.save("/f", DATA, announced=len(DATA))
    extents = list(content._extents(drive.db, node.version, 0, node.size))
    assert len(extents) > content.PAGE + 5
    return node


def test_extents_are_looked_up_a_page_at_a_time(drive, file):
    extents = content._extents(drive.db, file.version, 0, file.size)
    with statements(drive) as seen:
        found = [next(extents) for _ in range(content.PAGE)]
        assert len(seen) == 1
        found += extents
    assert len(seen) == 2 + len(found) // content.PAGE - 1
    assert found[0].offset == 0
    assert all(one.offset + one.size == other.offset for one, other in pairwise(found))
    assert found[-1].offset + found[-1].size == file.size


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=st.integers(0, len(DATA)), size=st.integers(0, 50_000))
def test_only_what_a_range_needs_is_looked_up(drive, file, start, size):
    stop = min(start + size, len(DATA))
    needed = [
        extent
        for extent in content._extents(drive.db, file.version, 0, file.size)
        if extent.offset < stop and extent.offset + extent.size > start and start < stop
    ]
    assert list(content._extents(drive.db, file.version, start, stop)) == needed
    assert drive.content(file, start, stop) == DATA[start:stop]


def test_a_range_ends_with_the_file(drive, file):
    assert drive.content(file, file.size - 10, file.size + 1000) == DATA[-10:]
    assert drive.content(file, file.size + 5, file.size + 10) == b""


def test_a_reading_is_of_one_version(drive, file):
    with contextlib.closing(drive.tree.reading(file, 0, file.size)) as reading:
        found = bytes(next(reading))
        drive.save("/f", b"new")
        drive.delete("/f")
        found += b"".join(map(bytes, reading))
    assert found == DATA


def test_the_first_piece_is_there_with_the_reading(drive, file):
    with contextlib.closing(drive.tree.reading(file, 5, file.size)) as reading:
        with statements(drive) as seen:
            next(reading)
        assert not [text for text in seen if "extents" in text]


def test_a_reading_that_is_closed_early_keeps_nothing(drive, file):
    reading = drive.tree.reading(file, 0, file.size)
    next(reading)
    reading.close()
    assert drive.room.budget.used == 0


def test_a_directory_has_no_content(drive):
    with pytest.raises(NotAFile):
        drive.tree.reading(drive.node("/"), 0, 0)
