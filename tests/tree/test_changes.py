import random

import pytest
from sqlalchemy import select

from tests.tree.drive import ADA, BOB, statements
from tgdav.errors import (
    AlreadyExists,
    Busy,
    Forbidden,
    LimitReached,
    Locked,
    Misplaced,
    NotADirectory,
    NotFound,
    ParentMissing,
    PreconditionFailed,
)
from tgdav.tree import changes
from tgdav.tree.paths import DEPTH_LIMIT
from tgdav.tree.permit import Permit
from tgdav.tree.tables import retired

BOTH = pytest.mark.parametrize("verb", ["copy", "move"])


@pytest.fixture
def planted(drive):
    """A small tree, and `untouched`, what `found` says of it."""
    drive.mkdir("/a")
    drive.mkdir("/a/b")
    drive.save("/a/f", b"af")
    drive.save("/a/b/g", b"abg")
    drive.mkdir("/d")
    drive.save("/x", b"x")
    drive.untouched = drive.found()
    return drive


def refuse(_):
    raise PreconditionFailed("not this one")


class TestMakingDirectories:
    def test_a_new_directory_is_empty_and_its_makers(self, drive):
        made = drive.mkdir("/a", BOB, modified_ns=12)
        assert made == drive.node("/a")
        assert (made.owner, made.modified_ns, made.is_directory, made.size) == ("bob", 12, True, 0)
        assert drive.found() == {"/a": None}

    @pytest.mark.parametrize(
        ("path", "error"),
        [
            ("/", AlreadyExists),
            ("/a", AlreadyExists),
            ("/x", AlreadyExists),
            ("/gone/b", ParentMissing),
            ("/x/b", NotADirectory),
            ("/x/b/c", ParentMissing),
        ],
    )
    def test_where_none_can_be(self, planted, path, error):
        with pytest.raises(error):
            planted.mkdir(path)
        assert planted.found() == planted.untouched

    def test_the_check_sees_what_is_there(self, planted):
        seen = []
        planted.mkdir("/new", check=seen.append)
        with pytest.raises(AlreadyExists):
            planted.mkdir("/a", check=seen.append)
        assert seen == [None, planted.node("/a")]

    def test_a_check_may_refuse(self, planted):
        with pytest.raises(PreconditionFailed):
            planted.mkdir("/new", check=refuse)
        assert planted.found() == planted.untouched

    def test_a_locked_directory_takes_no_new_name(self, planted):
        permit = planted.lock("/d")
        with pytest.raises(Locked):
            planted.mkdir("/d/new")
        planted.mkdir("/d/new", permit)


class TestDeleting:
    def test_a_directory_goes_with_all_below(self, planted):
        planted.set_property("/a/b/g", "{x}p", "<p/>")
        planted.delete("/a")
        assert planted.found() == {"/d": None, "/x": b"x"}

    def test_its_versions_are_retired_and_still_readable(self, planted):
        nodes = [planted.node("/a/f"), planted.node("/a/b/g")]
        planted.delete("/a")
        with planted.db.read() as connection:
            assert set(connection.scalars(select(retired.c.version))) == {
                node.version for node in nodes
            }
        assert planted.content(nodes[1]) == b"abg"

    def test_a_version_retired_before_is_retired_from_now_on(self, planted):
        planted.copy("/x", "/y")
        planted.delete("/x")
        with planted.db.read() as connection:
            before = connection.scalars(select(retired.c.retired_ns)).one()
        planted.delete("/y")
        with planted.db.read() as connection:
            assert connection.scalars(select(retired.c.retired_ns)).one() > before

    @pytest.mark.parametrize(("path", "error"), [("/gone", NotFound), ("/", Forbidden)])
    def test_what_cannot_go(self, planted, path, error):
        with pytest.raises(error):
            planted.delete(path)
        assert planted.found() == planted.untouched

    def test_a_check_may_refuse(self, planted):
        with pytest.raises(PreconditionFailed):
            planted.delete("/a", check=refuse)
        assert planted.found() == planted.untouched

    @pytest.mark.parametrize("locked", ["/a", "/a/b", "/a/b/g"])
    def test_a_lock_on_it_or_below_keeps_all_of_it(self, planted, locked):
        permit = planted.lock(locked)
        with pytest.raises(Locked):
            planted.delete("/a")
        assert planted.found() == planted.untouched
        planted.delete("/a", permit)

    def test_a_lock_on_its_directory_keeps_it(self, planted):
        permit = planted.lock("/a")
        with pytest.raises(Locked):
            planted.delete("/a/f")
        planted.delete("/a/f", permit)

    def test_a_lock_that_is_over_keeps_nothing(self, planted):
        planted.lock("/a/b", for_s=0)
        planted.delete("/a")

    def test_a_thousand_nodes_take_as_many_statements_as_one(self, drive):
        drive.mkdir("/few")
        drive.mkdir("/many")
        for number in range(100):
            drive.mkdir(f"/many/{number}")
        counts = []
        for path in ("/few", "/many"):
            with statements(drive) as seen:
                drive.delete(path)
            counts.append(len(seen))
        assert counts[0] == counts[1] <= 10


class TestMoving:
    def test_all_below_comes_along_and_keeps_its_numbers(self, planted):
        planted.set_property("/a/f", "{x}p", "<p/>")
        before = planted.node("/a/b/g")
        assert planted.move("/a", "/d/e") is True
        assert planted.found() == {
            "/d": None,
            "/d/e": None,
            "/d/e/b": None,
            "/d/e/b/g": b"abg",
            "/d/e/f": b"af",
            "/x": b"x",
        }
        assert planted.node("/d/e/b/g") == before
        assert planted.properties("/d/e/f") == {"{x}p": "<p/>"}

    def test_a_renamed_node_is_otherwise_the_same(self, planted):
        before = planted.node("/x")
        planted.move("/x", "/X")
        assert planted.node("/X") == before._replace(name="X")

    def test_locks_stay_behind(self, planted):
        permit = planted.lock("/a/b", planted.lock("/x"))
        planted.move("/a", "/e", permit)
        planted.move("/x", "/y", permit)
        assert not planted.is_locked("/e/b")
        assert not planted.is_locked("/y")

    @pytest.mark.parametrize("locked", ["/a", "/a/b", "/a/b/g"])
    def test_a_locked_node_stays(self, planted, locked):
        planted.lock(locked)
        with pytest.raises(Locked):
            planted.move("/a", "/e")
        assert planted.found() == planted.untouched

    def test_a_locked_directory_lets_nothing_out(self, planted):
        permit = planted.lock("/a")
        with pytest.raises(Locked):
            planted.move("/a/f", "/f")
        planted.move("/a/f", "/f", permit)

    def test_it_takes_as_many_statements_for_many_nodes_as_for_few(self, planted):
        with statements(planted) as seen:
            planted.move("/a", "/e")
        few = len(seen)
        for number in range(50):
            planted.mkdir(f"/e/{number}")
        with statements(planted) as seen:
            planted.move("/e", "/a")
        assert len(seen) == few <= 7

    def test_into_a_deeper_place_only_as_deep_as_paths_go(self, drive):
        path = ""
        for level in range(DEPTH_LIMIT - 1):
            path += f"/{level}"
            drive.mkdir(path)
        drive.mkdir("/a")
        drive.mkdir("/a/b")
        for verb in (drive.move, drive.copy):
            with pytest.raises(LimitReached, match="not 101"):
                verb("/a", f"{path}/a")
        drive.move("/a/b", f"{path}/b")
        drive.save("/a/f")
        drive.copy("/a", f"{path}/a", deep=False)


class TestCopying:
    def test_all_below_is_copied_with_properties(self, planted):
        planted.set_property("/a/f", "{x}p", "<p/>")
        planted.set_property("/a", "{x}q", "<q/>")
        assert planted.copy("/a", "/d/e", BOB) is True
        assert planted.found("/d/e") == {"/d/e/b": None, "/d/e/b/g": b"abg", "/d/e/f": b"af"}
        assert planted.properties("/d/e/f") == {"{x}p": "<p/>"}
        assert planted.properties("/d/e") == {"{x}q": "<q/>"}

    def test_a_copy_shares_the_version_and_is_its_makers(self, planted):
        old = planted.save("/x", b"xx", modified_ns=17)
        planted.copy("/x", "/y", BOB)
        new = planted.node("/y")
        assert (new.version, new.etag, new.modified_ns) == (old.version, old.etag, 17)
        assert (new.owner, planted.node("/x").owner) == ("bob", "ada")
        assert new.no != old.no
        assert new.created_ns > old.created_ns

    def test_a_copy_goes_its_own_way(self, planted):
        planted.copy("/a", "/e")
        planted.save("/e/f", b"changed")
        planted.delete("/a/b")
        assert planted.read("/a/f") == b"af"
        assert planted.read("/e/b/g") == b"abg"

    def test_a_shallow_copy_is_empty(self, planted):
        planted.set_property("/a", "{x}q", "<q/>")
        planted.copy("/a", "/e", deep=False)
        assert planted.found("/e") == {}
        assert planted.properties("/e") == {"{x}q": "<q/>"}
        planted.copy("/a", "/a/inside", deep=False)
        assert planted.found("/a/inside") == {}

    def test_locks_are_not_copied(self, planted):
        planted.lock("/a", infinite=True)
        planted.copy("/a", "/e")
        assert not planted.is_locked("/e")
        planted.delete("/e")

    def test_a_copy_of_what_was_moved_about(self, planted):
        # A moved directory has a smaller number than what it is moved below.
        planted.mkdir("/new")
        planted.move("/a", "/new/a")
        planted.move("/x", "/new/a/b/x")
        planted.copy("/new", "/copy")
        assert planted.found("/copy") == {
            "/copy/a": None,
            "/copy/a/b": None,
            "/copy/a/b/g": b"abg",
            "/copy/a/b/x": b"x",
            "/copy/a/f": b"af",
        }

    def test_it_takes_as_many_statements_for_many_nodes_as_for_few(self, planted):
        counts = []
        for target in ("/e", "/f"):
            with statements(planted) as seen:
                planted.copy("/a", target)
            counts.append(len(seen))
            for number in range(50):
                planted.mkdir(f"/a/{target}{number}".replace("//", "/"))
        assert counts[0] == counts[1] <= 10

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_directory_that_grew_is_left_alone(self, planted, count):
        numbers = range(10**9, 10**9 + count)
        options = {"deep": True, "overwrite": True, "check": None}
        basket = planted.tree.trash.basket()
        with pytest.raises(Busy, match="grew"):
            planted.db.write(
                lambda c: changes.copy(c, ("a",), ("d",), ADA, numbers, basket, **options)
            )
        assert planted.found() == planted.untouched


@BOTH
class TestBoth:
    def test_what_stood_there_goes(self, planted, verb):
        planted.set_property("/x", "{x}p", "<p/>")
        planted.set_property("/a/b/g", "{x}q", "<q/>")
        assert getattr(planted, verb)("/x", "/a") is False
        assert planted.read("/a") == b"x"
        assert planted.properties("/a") == {"{x}p": "<p/>"}
        assert "/a/b" not in planted.found()

    def test_a_directory_takes_a_files_place(self, planted, verb):
        getattr(planted, verb)("/a", "/x")
        assert planted.found("/x") == {"/x/b": None, "/x/b/g": b"abg", "/x/f": b"af"}

    @pytest.mark.parametrize(
        ("source", "target", "error"),
        [
            ("/gone", "/e", NotFound),
            ("/a/f/g", "/e", NotFound),
            ("/a", "/gone/e", ParentMissing),
            ("/a", "/x/e", NotADirectory),
            ("/a", "/a", Misplaced),
            ("/a", "/a/b", Misplaced),
            ("/a", "/a/b/new", Misplaced),
            ("/a/b/g", "/a", Misplaced),
            ("/a/b", "/a", Misplaced),
            ("/a", "/", Misplaced),
            ("/", "/e", Forbidden),
            ("/x", "/x", Misplaced),
        ],
    )
    def test_where_nothing_can_go(self, planted, verb, source, target, error):
        with pytest.raises(error):
            getattr(planted, verb)(source, target)
        assert planted.found() == planted.untouched

    def test_overwriting_must_be_wanted(self, planted, verb):
        with pytest.raises(AlreadyExists):
            getattr(planted, verb)("/x", "/a/f", overwrite=False)
        assert planted.found() == planted.untouched
        assert getattr(planted, verb)("/x", "/a/new", overwrite=False) is True

    def test_the_check_sees_the_source(self, planted, verb):
        seen, source = [], planted.node("/x")
        getattr(planted, verb)("/x", "/a/f", check=seen.append)
        assert seen == [source]
        with pytest.raises(PreconditionFailed):
            getattr(planted, verb)("/a", "/e", check=refuse)

    @pytest.mark.parametrize("locked", ["/a", "/a/b", "/a/b/g"])
    def test_a_locked_place_is_kept(self, planted, verb, locked):
        permit = planted.lock(locked)
        with pytest.raises(Locked):
            getattr(planted, verb)("/x", "/a")
        with pytest.raises(Locked):
            getattr(planted, verb)("/x", "/a", Permit("bob", permit.tokens))
        assert planted.found() == planted.untouched
        getattr(planted, verb)("/x", "/a", permit)

    def test_a_locked_directory_takes_no_new_name(self, planted, verb):
        permit = planted.lock("/d")
        with pytest.raises(Locked):
            getattr(planted, verb)("/x", "/d/x")
        getattr(planted, verb)("/x", "/d/x", permit)

    def test_the_lock_of_a_place_stays_with_the_place(self, planted, verb):
        # RFC 4918, 7.5: what comes to a locked place is added to its lock.
        permit = planted.lock("/a/f")
        getattr(planted, verb)("/x", "/a/f", permit)
        assert planted.is_locked("/a/f")
        with pytest.raises(Locked):
            planted.save("/a/f", b"not yours", BOB)
        planted.save("/a/f", b"mine", permit)

    def test_locks_below_a_place_go_with_it(self, planted, verb):
        permit = planted.lock("/a/b/g")
        getattr(planted, verb)("/d", "/a", permit)
        planted.mkdir("/a/b")
        planted.save("/a/b/g", b"new")


def test_touching_sets_what_is_given(planted):
    before = planted.node("/x")
    touched = planted.tree.touch(("x",), ADA, modified_ns=5)
    assert touched == planted.node("/x") == before._replace(modified_ns=5)
    assert planted.tree.touch(("x",), ADA, created_ns=-7).created_ns == -7
    with pytest.raises(NotFound):
        planted.tree.touch(("gone",), ADA, modified_ns=5)
    planted.lock("/x")
    with pytest.raises(Locked):
        planted.tree.touch(("x",), ADA, modified_ns=6)


def test_totals_count_what_there_is(planted):
    assert planted.tree.totals() == (3, 3, 2 + 3 + 1)
    planted.copy("/a", "/e")
    assert planted.tree.totals() == (5, 5, 2 + 3 + 1 + 2 + 3)


def test_a_large_tree_is_copied_and_deleted_whole(drive):
    chance = random.Random(1)
    directories = ["/t"]
    drive.mkdir("/t")
    for number in range(150):
        path = f"{chance.choice(directories)}/{number}"
        if number % 3:
            drive.save(path, b"%d" % number)
        else:
            drive.mkdir(path)
            directories.append(path)
    tree = drive.found("/t")
    drive.copy("/t", "/u")
    assert {path.replace("/u", "/t", 1): data for path, data in drive.found("/u").items()} == tree
    drive.delete("/t")
    assert len(drive.found("/u")) == len(tree)
    drive.delete("/u")
    assert drive.found() == {}
