import pytest
from sqlalchemy import select

from tests.blocks.room import content
from tests.maintenance.conftest import DAY_S
from tests.tree.drive import ADA
from tgdav.tree import expiry, trash
from tgdav.tree.tables import extents, history, retired, trashed, versions


def test_what_is_younger_stays(drive):
    drive.save("/a", b"one")
    drive.save("/a", b"two")
    drive.delete("/a")
    done = drive.expire(days=29)
    assert (done.entries, done.versions, done.versions_dropped) == (0, 0, 0)
    (entry,) = drive.tree.trash.entries()
    drive.tree.trash.restore(entry.no, ADA)
    assert drive.read("/a") == b"two"
    old = drive.tree.history.of(("a",))[1]
    assert drive.content(old.node) == b"one"


def test_old_versions_and_entries_are_dropped(drive):
    drive.save("/a", b"one")
    drive.save("/a", b"two")
    drive.mkdir("/d")
    drive.save("/d/b", content(100_000))
    drive.save("/d/b", b"new")
    drive.set_property("/d/b", "{x}p", "<p/>")
    drive.delete("/d")
    done = drive.expire()
    assert (done.entries, done.versions, done.nodes_dropped) == (1, 2, 2)
    assert done.versions_dropped == 3
    assert drive.room.rows(versions) == drive.room.rows(extents) == 1
    assert drive.room.rows(trashed) == drive.room.rows(history) == drive.room.rows(retired) == 0
    assert drive.read("/a") == b"two"


def test_a_version_that_a_copy_has_stays(drive):
    drive.save("/a", b"one")
    drive.copy("/a", "/b")
    drive.save("/a", b"two")
    drive.delete("/a")
    drive.expire()
    assert drive.read("/b") == b"one"
    assert drive.room.rows(versions) == 1


def test_what_is_being_read_stays_for_a_day(drive):
    drive.save("/a", content(50_000))
    node = drive.node("/a")
    drive.delete("/a")
    done = drive.expire(days=0.9, keep_s=0)
    assert (done.entries, done.versions_dropped) == (1, 0)
    assert drive.content(node) == content(50_000)
    assert drive.expire(days=1.1, keep_s=0).versions_dropped == 1


def test_it_goes_on_where_it_was_interrupted(drive, monkeypatch):
    """Every rule holds after each page, and a page is all that one transaction drops."""
    monkeypatch.setattr(expiry, "PAGE", 3)
    monkeypatch.setattr(expiry, "EXTENTS_PAGE", 4)
    monkeypatch.setattr(expiry, "SMALL", 20_000)
    monkeypatch.setattr(trash, "BATCH", 2)
    drive.mkdir("/d")
    for number in range(10):
        drive.save(f"/d/{number}", content(30_000, seed=number))
        drive.save(f"/d/{number}", b"x")
    drive.delete("/d")
    from tests import invariants
    from tests.tree import replay

    class Stopped(Exception):
        pass

    for allowed in range(200):
        left = [allowed]

        def step(*_, left=left):
            invariants.check(drive.db)
            replay.check(drive.db)
            left[0] -= 1
            if left[0] < 0:
                raise Stopped

        try:
            from tgdav.maintenance.expire import expire

            expire(drive.db, drive.tree.trash, step, keep_s=DAY_S, now_ns=drive.now_ns(days=5))
        except Stopped:
            continue
        break
    else:
        pytest.fail("it does not get on")
    with drive.db.read() as connection:
        assert connection.scalars(select(versions.c.no)).all() == []
    assert drive.room.rows(extents) == 0
