import pytest

from tests.tree.drive import ADA, BOB
from tgdav.errors import (
    AlreadyExists,
    DeletionStopped,
    LimitReached,
    Locked,
    NotADirectory,
    NotFound,
    ParentMissing,
)
from tgdav.tree.guard import HOUR_NS, LEAST, Guard
from tgdav.tree.paths import DEPTH_LIMIT, parse
from tgdav.tree.tables import trash, trashed, trashed_properties


def entries(drive, below="/"):
    return drive.tree.trash.entries(parse(below))


def restore(drive, entry=0, to=None, permit=ADA):
    return drive.tree.trash.restore(entries(drive)[entry].no, permit, to and parse(to))


@pytest.fixture
def planted(drive):
    drive.mkdir("/a")
    drive.mkdir("/a/b")
    drive.save("/a/f", b"one")
    drive.save("/a/f", b"two")
    drive.save("/a/b/g", b"g" * 9000, BOB)
    drive.set_property("/a/b/g", "{x}p", "<p/>")
    return drive


def test_a_deleted_tree_is_one_entry(planted):
    planted.delete("/a", BOB)
    (entry,) = entries(planted)
    assert (entry.path, entry.name, entry.user, entry.is_directory) == ("/a", "a", "bob", True)
    assert planted.tree.trash.amount(entry.no) == (4, 9003)
    assert planted.found() == {}


def test_it_comes_back_as_it_was(planted):
    before, numbers = planted.found(), [planted.node(p).no for p in ("/a", "/a/b/g")]
    planted.delete("/a")
    assert restore(planted) == ("a",)
    assert planted.found() == before
    assert [planted.node(p).no for p in ("/a", "/a/b/g")] == numbers
    assert planted.properties("/a/b/g") == {"{x}p": "<p/>"}
    assert [planted.content(kept.node) for kept in planted.tree.history.of(("a", "f"))] == [
        b"two",
        b"one",
    ]
    assert planted.node("/a/b/g").owner == "bob"
    for table in (trash, trashed, trashed_properties):
        assert planted.room.rows(table) == 0


def test_it_comes_back_where_its_directory_is_now(planted):
    planted.delete("/a/b")
    planted.move("/a", "/moved")
    assert restore(planted) == ("moved", "b")
    assert planted.read("/moved/b/g") == b"g" * 9000


def test_or_where_its_directorys_path_leads_to_now(planted):
    planted.delete("/a/b")
    planted.delete("/a")
    with pytest.raises(ParentMissing):
        restore(planted)
    planted.mkdir("/a")
    assert restore(planted) == ("a", "b")
    assert planted.read("/a/b/g") == b"g" * 9000


def test_or_where_one_says(planted):
    planted.delete("/a/b")
    planted.mkdir("/x")
    assert restore(planted, to="/x/y") == ("x", "y")
    assert planted.read("/x/y/g") == b"g" * 9000


def test_what_cannot_come_back_stays_in_the_trash(planted):
    planted.delete("/a/f")
    planted.save("/a/f", b"other")
    with pytest.raises(AlreadyExists, match="--to"):
        restore(planted)
    for to, error in [("/z/f", ParentMissing), ("/a/f/f", NotADirectory), ("/a/b", AlreadyExists)]:
        with pytest.raises(error):
            restore(planted, to=to)
    planted.lock("/a")
    with pytest.raises(Locked):
        restore(planted, to="/a/new")
    assert restore(planted, to="/f") == ("f",)
    assert (planted.read("/f"), planted.read("/a/f")) == (b"two", b"other")


def test_not_deeper_than_paths_go(drive):
    drive.mkdir("/t")
    drive.mkdir("/t/u")
    drive.delete("/t")
    path = ""
    for _ in range(DEPTH_LIMIT - 1):
        path += "/d"
        drive.mkdir(path)
    with pytest.raises(LimitReached):
        restore(drive, to=path + "/t")
    assert restore(drive) == ("t",)


def test_what_a_move_or_copy_replaces_is_an_entry(planted):
    planted.save("/x", b"x")
    planted.move("/x", "/a")
    assert planted.found() == {"/a": b"x"}
    planted.delete("/a")
    assert [entry.path for entry in entries(planted)] == ["/a", "/a"]
    assert restore(planted, [e.is_directory for e in entries(planted)].index(True)) == ("a",)
    assert planted.read("/a/f") == b"two"


def test_entries_come_in_pages_and_by_directory(drive):
    for path in ("/a", "/a/b", "/ab", "/a0"):
        drive.mkdir(path)
    for number in range(5):
        drive.save(f"/a/b/{number}")
        drive.delete(f"/a/b/{number}")
    for path in ("/ab", "/a0"):
        drive.delete(path)
    found, after = [], None
    while page := drive.tree.trash.entries(("a",), after, limit=2):
        found += page
        after = page[-1]
    assert sorted(entry.path for entry in found) == [f"/a/b/{number}" for number in range(5)]
    assert entries(drive, "/a/b/4") == []
    assert len(entries(drive)) == 7


def test_what_is_forgotten_does_not_come_back(planted):
    planted.delete("/a")
    (entry,) = entries(planted)
    assert planted.tree.trash.forget([entry.no, 10**6]) == 1
    assert planted.tree.trash.forget([entry.no]) == 0
    assert entries(planted) == []
    with pytest.raises(NotFound):
        planted.tree.trash.restore(entry.no, ADA)


class TestGuard:
    @pytest.fixture
    def now(self, drive):
        now = [10**18]
        tree = drive.tree
        tree.guard = tree.trash._guard = Guard(drive.db, 0.5, lambda: now[0])
        for directory in "abcd":
            drive.mkdir(f"/{directory}")
            for number in range(59):
                drive.mkdir(f"/{directory}/{number}")
        return now

    def test_who_deletes_too_much_is_stopped_until_that_is_confirmed(self, drive, now):
        drive.delete("/a")
        drive.delete("/b")
        with pytest.raises(DeletionStopped, match="180 of 241"):
            drive.delete("/c")
        drive.delete("/d", BOB)
        now[0] += 2 * HOUR_NS
        with pytest.raises(DeletionStopped):
            drive.delete("/c/1")
        assert drive.tree.guard.stopped() == ["ada"]
        drive.mkdir("/e")
        drive.tree.guard.confirm("ada")
        assert drive.tree.guard.stopped() == []
        drive.delete("/c")
        assert list(drive.found()) == ["/e"]

    def test_an_hour_later_it_counts_anew(self, drive, now):
        drive.delete("/a")
        drive.delete("/b")
        now[0] += HOUR_NS
        drive.tree.guard._total_until = 0
        drive.delete("/c/1")
        assert drive.tree.guard.stopped() == []

    def test_a_few_nodes_are_let_pass(self, drive):
        drive.tree.guard = drive.tree.trash._guard = Guard(drive.db, 0.01)
        for number in range(3):
            drive.mkdir(f"/{number}")
            drive.delete(f"/{number}")
        assert LEAST == 100

    def test_what_a_move_puts_away_counts(self, drive, now):
        drive.delete("/a")
        drive.delete("/b")
        drive.save("/f")
        with pytest.raises(DeletionStopped):
            drive.move("/f", "/c")
        assert "/c/7" in drive.found()
