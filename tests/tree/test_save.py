import contextlib
import random
import threading

import pytest
from sqlalchemy import func, select

from tests.tree.drive import ADA, BOB, Drive, statements
from tgdav.blocks.rows.tables import holds
from tgdav.errors import (
    BodyIncomplete,
    Busy,
    DiskFull,
    Locked,
    NotADirectory,
    NotAFile,
    ParentMissing,
    PreconditionFailed,
    Refused,
    TgdavError,
)
from tgdav.tree import content, journal, nodes
from tgdav.tree.paths import parse
from tgdav.tree.permit import Permit
from tgdav.tree.tables import extents, versions


def data(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def count(drive: Drive, table: object) -> int:
    with drive.db.read() as connection:
        return connection.scalars(select(func.count()).select_from(table)).one()


@pytest.mark.parametrize("size", [0, 1, 5000, 300_000])
@pytest.mark.parametrize("announced", [True, False])
def test_what_was_saved_is_read(drive, size, announced):
    node = drive.save("/f", data(size), announced=size if announced else None)
    assert node == drive.node("/f")
    assert node.size == size
    assert drive.read("/f") == data(size)


def test_a_new_name_is_told_from_an_old_one(drive):
    for is_new in (True, False):
        with drive.tree.writing(("f",), ADA) as save:
            assert save.publish()[1] is is_new


def test_a_node_that_is_replaced_keeps_what_is_its_own(drive):
    old = drive.save("/f", b"old", checksum="SHA1:old", created_ns=3, modified_ns=4)
    drive.set_property("/f", "{x}p", "<p/>")
    permit = drive.lock("/f")
    new = drive.save("/f", b"newer", permit, modified_ns=9)
    assert (new.no, new.created_ns, new.modified_ns) == (old.no, 3, 9)
    assert (new.size, new.checksum) == (5, "")
    assert new.etag != old.etag
    assert drive.properties("/f") == {"{x}p": "<p/>"}
    assert drive.is_locked("/f")


def test_equal_content_is_another_version_of_the_same_blocks(drive):
    nodes = [drive.save(path, data(20_000)) for path in ("/f", "/g", "/f")]
    assert len({node.etag for node in nodes}) == len({node.version for node in nodes}) == 3
    with drive.db.read() as connection:
        rows = connection.execute(select(extents.c.version, extents.c.block)).all()
    blocks = [{block for version, block in rows if version == node.version} for node in nodes]
    assert blocks[0] == blocks[1] == blocks[2]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/", NotAFile),
        ("/a", NotAFile),
        ("/gone/f", ParentMissing),
        ("/x/f", NotADirectory),
        ("/x/y/f", ParentMissing),
    ],
)
def test_where_no_file_can_be_is_told_before_a_byte_is_taken(drive, path, error):
    drive.mkdir("/a")
    drive.save("/x")
    for begin in (drive.tree.writing, lambda *to: drive.tree.splicing(*to, 0)):
        with pytest.raises(error):
            begin(parse(path), ADA)


@pytest.mark.parametrize("bytes_came", [0, 1, 9_999, 10_001])
def test_more_or_fewer_bytes_than_announced_change_nothing(drive, bytes_came):
    drive.save("/f", b"old")
    for path in ("/f", "/new"):
        with pytest.raises(BodyIncomplete, match=f"{bytes_came} of 10000"):
            drive.save(path, data(bytes_came), announced=10_000, size_expected=10_000)
    assert drive.found() == {"/f": b"old"}


def test_leaving_without_publishing_leaves_nothing(drive):
    with drive.tree.writing(("f",), ADA, announced=200_000) as save:
        save.write(data(100_000))
    with contextlib.suppress(ZeroDivisionError), drive.tree.writing(("f",), ADA) as save:
        save.write(data(100_000))
        raise ZeroDivisionError
    assert drive.found() == {}
    assert count(drive, versions) == 0


def test_nothing_is_seen_before_it_is_published(drive):
    drive.save("/f", b"old")
    with drive.tree.writing(("f",), ADA) as save, drive.tree.writing(("g",), ADA) as other:
        for each in (save, other):
            each.write(data(50_000))
            assert drive.found() == {"/f": b"old"}
        save.publish()
        other.publish()
    assert drive.found() == {"/f": data(50_000), "/g": data(50_000)}


class TestTheCheck:
    def test_it_sees_the_node_before_and_in_the_transaction(self, drive):
        seen = []
        drive.save("/f", b"1", check=seen.append)
        old = drive.node("/f")
        drive.save("/f", b"2", check=seen.append)
        assert seen == [None, None, old, old]

    def test_it_may_refuse_before_a_byte_is_taken(self, drive):
        with pytest.raises(PreconditionFailed):
            drive.tree.writing(("f",), ADA, check=refusing_all)

    def test_of_two_saves_that_know_one_version_one_is_refused(self, drive):
        etag = drive.save("/f", b"old").etag

        def is_same(node):
            if node is None or node.etag != etag:
                raise PreconditionFailed("changed")

        with (
            drive.tree.writing(("f",), ADA, check=is_same) as one,
            drive.tree.writing(("f",), ADA, check=is_same) as other,
        ):
            one.write(b"one")
            other.write(b"other")
            other.publish()
            with pytest.raises(PreconditionFailed):
                one.publish()
        assert drive.read("/f") == b"other"


class TestLocks:
    def test_a_locked_file_takes_only_its_holders_save(self, drive):
        drive.save("/f", b"old")
        permit = drive.lock("/f")
        for stranger in (ADA, BOB, Permit("bob", permit.tokens)):
            with pytest.raises(Locked):
                drive.tree.writing(("f",), stranger)
        drive.save("/f", b"new", permit)

    def test_a_lock_granted_meanwhile_stops_the_save(self, drive):
        drive.mkdir("/a")
        drive.save("/a/f", b"old")
        with drive.tree.writing(("a", "f"), ADA) as save:
            save.write(b"new")
            drive.lock("/a", BOB, infinite=True)
            with pytest.raises(Locked):
                save.publish()
        assert drive.read("/a/f") == b"old"

    def test_a_lock_on_the_directory_concerns_new_names_only(self, drive):
        drive.mkdir("/a")
        drive.save("/a/f", b"old")
        permit = drive.lock("/a")
        drive.save("/a/f", b"new", BOB)
        with pytest.raises(Locked):
            drive.save("/a/g", b"", BOB)
        drive.save("/a/g", b"", permit)

    def test_the_locks_of_where_the_directory_is_by_then_count(self, drive):
        drive.mkdir("/a")
        drive.mkdir("/locked")
        with drive.tree.writing(("a", "f"), ADA) as save:
            permit = drive.lock("/locked", BOB, infinite=True)
            drive.move("/a", "/locked/a", Permit("bob", permit.tokens))
            with pytest.raises(Locked):
                save.publish()

    def test_locking_a_free_name_makes_an_empty_file(self, drive):
        drive.mkdir("/a")
        permit = drive.lock("/a/new")
        assert drive.node("/a/new").size == 0
        assert drive.read("/a/new") == b""
        drive.save("/a/new", b"content", permit)


class TestTheDirectoryMeanwhile:
    def test_a_save_ends_where_its_directory_is(self, drive):
        drive.mkdir("/a")
        drive.mkdir("/b")
        with drive.tree.writing(("a", "f"), ADA) as save:
            save.write(b"content")
            drive.move("/a", "/b/c")
            save.publish()
        assert drive.found("/b") == {"/b/c": None, "/b/c/f": b"content"}

    def test_a_save_into_what_was_deleted_is_refused(self, drive):
        drive.mkdir("/a")
        with drive.tree.writing(("a", "f"), ADA) as save:
            drive.delete("/a")
            drive.mkdir("/a")
            with pytest.raises(ParentMissing):
                save.publish()
        assert drive.found() == {"/a": None}

    def test_a_directory_that_took_the_name_stays(self, drive):
        with drive.tree.writing(("f",), ADA) as save:
            drive.mkdir("/f")
            with pytest.raises(NotAFile):
                save.publish()
        assert drive.found() == {"/f": None}

    def test_a_file_that_went_meanwhile_is_made_again(self, drive):
        drive.save("/f", b"old")
        with drive.tree.writing(("f",), ADA) as save:
            drive.delete("/f")
            assert save.publish()[1] is True


class TestStatements:
    """A round trip to PostgreSQL takes longer than all that Python does."""

    def publish(self, drive: Drive, path: str) -> list[str]:
        drive.save("/warm", b"so that each kind of number has its range")
        with drive.tree.writing(parse(path), ADA, announced=900) as save:
            save.write(data(900, seed=len(path)))
            with statements(drive) as seen:
                save.publish()
        return seen

    def test_a_small_new_file_takes_few(self, drive):
        drive.mkdir("/a")
        seen = self.publish(drive, "/a/new")
        assert len(seen) <= 9 + (drive.db.dialect == "postgresql"), seen

    def test_and_a_little_more_where_it_replaces_or_is_locked(self, drive):
        drive.save("/f", b"old")
        assert len(self.publish(drive, "/f")) <= 12
        drive.mkdir("/locked")
        drive.lock("/locked")
        assert len(self.publish(drive, "/f")) <= 13

    def test_to_begin_takes_two_however_deep(self, drive):
        path = ""
        for name in "abcdef":
            path += f"/{name}"
            drive.mkdir(path)
        drive.save(f"{path}/warm", b"x")
        with statements(drive) as seen, drive.tree.writing(parse(f"{path}/f"), ADA):
            pass
        assert len(seen) <= 2


@pytest.mark.parametrize(
    ("room", "name"),
    [(nodes, "add"), (content, "write"), (journal, "append")],
)
def test_a_transaction_that_breaks_off_leaves_nothing(drive, monkeypatch, room, name):
    drive.save("/f", b"old")
    before = count(drive, versions), count(drive, extents)

    def break_off(*_):
        raise DiskFull("no room")

    with monkeypatch.context() as patched:
        patched.setattr(room, name, break_off)
        with pytest.raises(DiskFull):
            drive.save("/new", data(30_000))
    assert drive.found() == {"/f": b"old"}
    assert (count(drive, versions), count(drive, extents)) == before
    drive.save("/new", data(30_000))
    assert drive.read("/new") == data(30_000)


def test_a_refused_save_lets_go_of_its_blocks(drive):
    drive.room.vault.close(grace_s=5)
    drive.room.open(sizes={"hold_after_s": 0.0})
    drive = Drive(drive.room)
    drive.save("/f", data(50_000))
    with drive.tree.writing(("a",), ADA) as save:
        save.write(data(50_000))
        assert count(drive, holds) > 0
        drive.mkdir("/a")
        with pytest.raises(NotAFile):
            save.publish()
        assert count(drive, holds) == 0


def in_threads(works):
    """Run all at once; return what of ours they raised."""
    errors, started = [], threading.Barrier(len(works))

    def run(work):
        started.wait()
        try:
            work()
        except TgdavError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_fifty_saves_of_one_path_leave_one_whole_winner(drive):
    contents = [bytes([number]) * (4000 + 37 * number) for number in range(50)]
    saves = [lambda each=each: drive.save("/f", each) for each in contents]
    assert in_threads(saves) == []
    assert drive.read("/f") in contents
    assert len(drive.found()) == 1


def test_saves_into_one_directory_do_not_lose_each_other(drive):
    drive.mkdir("/a")
    saves = [lambda n=n: drive.save(f"/a/{n}", b"%d" % n) for n in range(24)]
    assert in_threads(saves) == []
    assert drive.found("/a") == {f"/a/{n}": b"%d" % n for n in range(24)}


@pytest.mark.parametrize("verb", ["delete", "move", "overwrite"])
def test_what_was_saved_while_its_directory_went_is_there_or_refused(drive, verb):
    for attempt in range(8):
        drive.mkdir("/a")
        drive.mkdir("/empty")
        saved = []

        def save(number, saved=saved):
            saved.append(drive.save(f"/a/{number}", b"%d" % number).no)

        change = {
            "delete": lambda: drive.delete("/a"),
            "move": lambda attempt=attempt: drive.move("/a", f"/b{attempt}"),
            "overwrite": lambda: drive.move("/empty", "/a"),
        }[verb]
        saves = [lambda n=n: save(n) for n in range(8)]
        errors = in_threads([*saves[:4], change, *saves[4:]])
        assert {type(error) for error in errors} <= {ParentMissing}
        assert len(saved) + len(errors) == 8
        there = {node.no for path in drive.found() for node in [drive.node(path)]}
        if verb == "move":
            assert set(saved) <= there
        for path in [path for path in drive.found() if path.count("/") == 1]:
            drive.delete(path)


def test_changes_of_all_kinds_at_once_leave_a_sound_tree(drive):
    """Each may be refused; none may leave half of itself."""
    for name in "abc":
        drive.mkdir(f"/{name}")
        drive.save(f"/{name}/f", name.encode())

    def wander(seed):
        chance = random.Random(seed)
        for _ in range(12):
            one, other = (f"/{chance.choice('abc')}" for _ in range(2))
            work = chance.choice(
                [
                    lambda one=one: drive.save(f"{one}/{chance.choice('fgh')}", b"new"),
                    lambda one=one, other=other: drive.move(one, f"{other}/in"),
                    lambda one=one, other=other: drive.copy(one, f"{other}/in"),
                    lambda one=one: drive.delete(f"{one}/in"),
                    lambda one=one, other=other: drive.move(f"{one}/in", other),
                    lambda one=one: drive.mkdir(one),
                ]
            )
            with contextlib.suppress(Refused, Busy):
                work()

    in_threads([lambda seed=seed: wander(seed) for seed in range(6)])


def refusing_all(_node):
    raise PreconditionFailed("not this one")
