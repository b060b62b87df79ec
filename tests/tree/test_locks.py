import dataclasses
import time
import uuid

import pytest
from sqlalchemy import func, insert, select

from tests import invariants
from tests.tree.drive import statements
from tgdav.errors import Forbidden, LimitReached, Locked, LockMissing, NotADirectory, ParentMissing
from tgdav.tree.locks import (
    Locks,
    are_kept,
    drop_subtree,
    inherit,
    require_change,
    require_subtree,
)
from tgdav.tree.nodes import plant_root, walk
from tgdav.tree.permit import Permit
from tgdav.tree.tables import ROOT, locks, nodes, versions

ADA = Permit("ada")
BOB = Permit("bob")
EXCLUSIVE, SHARED = True, False
FOLDERS = [(), ("a",), ("a", "b"), ("a", "b", "c"), ("d",), ("empty",)]
FILES = [("f",), ("a", "f"), ("a", "b", "f"), ("a", "b", "c", "f"), ("ab",)]


class Ground:
    """A few nodes, and the locks on them."""

    def __init__(self, db):
        self.db = db
        self.locks = Locks(db, lambda: self._place)
        self._next = ROOT
        plant_root(db)
        db.write(self._plant)

    def lock(self, path, permit=ADA, *, exclusive=True, infinite=False, for_s=60, **more):
        options = {"exclusive": exclusive, "infinite": infinite, "owner": "", "for_s": for_s}
        return self.locks.lock(path, permit, **options, **more)[0]

    def chain(self, path):
        with self.db.read() as connection:
            return [node.no for node in walk(connection, path)]

    def may_change(self, path, permit):
        return self._may(require_change, self.chain(path), permit)

    def may_change_below(self, path, permit):
        return self._may(require_subtree, self.chain(path)[-1], permit)

    def _may(self, require, *what):
        try:
            self.db.write(lambda connection: require(connection, *what))
        except Locked:
            return False
        return True

    def _plant(self, connection):
        for path in sorted(FOLDERS[1:] + FILES, key=len):
            parent = walk(connection, path[:-1])[-1]
            if path in FILES:
                self._place(connection, parent, path[-1], ADA)
            else:
                self._insert(connection, parent.no, path[-1], None)

    def _place(self, connection, parent, name, permit):
        no = self._insert(connection, parent.no, name, self._version(connection))
        return parent._replace(no=no, parent=parent.no, name=name, version=no)

    def _version(self, connection):
        values = {"no": self._next + 1, "etag": uuid.uuid4().hex, "size": 0, "checksum": ""}
        connection.execute(insert(versions).values(**values, created_ns=0))
        return self._next + 1

    def _insert(self, connection, parent, name, version):
        self._next += 1
        values = {"no": self._next, "parent": parent, "name": name, "version": version}
        connection.execute(insert(nodes).values(**values, **self._times()))
        return self._next

    def _times(self):
        return {"owner": "ada", "created_ns": 0, "modified_ns": 0}


def holding(permit, *held):
    return Permit(permit.user, frozenset(lock.token for lock in held))


def count(db, table=locks):
    with db.read() as connection:
        return connection.scalar(select(func.count()).select_from(table))


@pytest.fixture
def ground(db):
    yield Ground(db)
    invariants.check(db)


def test_a_lock_is_what_was_asked_for(ground):
    before_ns = time.time_ns()
    asked = {"exclusive": False, "infinite": True, "owner": "<owner>ada</owner>", "for_s": 60}
    lock, created = ground.locks.lock(("a", "b"), ADA, **asked)
    assert not created
    assert (lock.path, lock.user, lock.owner) == (("a", "b"), "ada", "<owner>ada</owner>")
    assert (lock.exclusive, lock.infinite) == (False, True)
    assert 0 <= lock.until_ns - before_ns - 60 * 10**9 < 60 * 10**9
    assert ground.locks.covering(("a", "b")) == [lock]


def test_tokens_are_uuids_never_the_same(ground):
    tokens = [ground.lock(("f",), exclusive=False).token for _ in range(20)]
    assert len(set(tokens)) == 20
    assert all(uuid.UUID(token).version == 4 for token in tokens)
    assert all(token.startswith("urn:uuid:") for token in tokens)


def test_covering_is_on_the_node_and_infinite_above(ground):
    above = ground.lock(("a",), exclusive=False, infinite=True)
    ground.lock((), exclusive=False)
    ground.lock(("a", "b"), exclusive=False)
    on = ground.lock(("a", "b", "f"), exclusive=False)
    ground.lock(("d",), exclusive=False, infinite=True)
    assert {lock.token for lock in ground.locks.covering(("a", "b", "f"))} == {
        above.token,
        on.token,
    }
    assert ground.locks.covering(("a", "b", "c", "new", "newer")) == [above]
    assert ground.locks.covering(("ab",)) == []


def test_below_is_inside_at_any_depth(ground):
    inner = [
        ground.lock(path, exclusive=False, infinite=True)
        for path in [("a", "b"), ("a", "b", "c", "f"), ("a", "f")]
    ]
    outer = [ground.lock(path, exclusive=False) for path in [(), ("a",), ("ab",), ("f",)]]
    assert ground.locks.below(("a",)) == inner
    assert set(ground.locks.below(())) == {*inner, *outer[1:]}
    assert ground.locks.below(("d",)) == []
    assert ground.locks.below(("f",)) == []
    assert ground.locks.below(("nothing", "here")) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((("f",), False), (("f",), False)),
        ((("a",), False), (("a",), True)),
        ((("a",), True), (("a", "b", "f"), False)),
        ((("a", "b", "f"), False), (("a",), True)),
        (((), True), (("f",), True)),
        ((("a", "b"), True), ((), True)),
    ],
)
def test_locks_that_share_a_node_conflict_unless_both_are_shared(ground, first, second):
    for held, asked in [(EXCLUSIVE, EXCLUSIVE), (EXCLUSIVE, SHARED), (SHARED, EXCLUSIVE)]:
        lock = ground.lock(first[0], ADA, exclusive=held, infinite=first[1])
        for permit in [BOB, holding(BOB, lock), ADA, holding(ADA, lock)]:
            with pytest.raises(Locked) as caught:
                ground.lock(second[0], permit, exclusive=asked, infinite=second[1])
            assert caught.value.path == first[0]
        assert count(ground.db) == 1
        ground.locks.unlock(first[0], ADA, lock.token)
    ground.lock(first[0], ADA, exclusive=SHARED, infinite=first[1])
    ground.lock(second[0], BOB, exclusive=SHARED, infinite=second[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((("a",), False), (("a", "f"), False)),
        ((("a", "f"), False), (("a",), False)),
        ((("a",), True), (("ab",), False)),
        ((("a", "b"), True), (("a", "f"), True)),
        ((("a", "b"), True), ((), False)),
    ],
)
def test_locks_that_share_no_node_let_each_other_in(ground, first, second):
    ground.lock(first[0], ADA, infinite=first[1])
    ground.lock(second[0], BOB, infinite=second[1])
    assert count(ground.db) == 2


def test_shared_locks_of_many_coexist(ground):
    for user in "abc":
        ground.lock(("a",), Permit(user), exclusive=False, infinite=True)
        ground.lock(("a", "b", "f"), Permit(user), exclusive=False)
        ground.lock((), Permit(user), exclusive=False, infinite=True)
    assert len(ground.locks.covering(("a", "b", "f"))) == 9


def test_a_change_needs_the_token_of_its_own_user(ground):
    lock = ground.lock(("a", "f"))
    assert ground.may_change(("a", "f"), holding(ADA, lock))
    assert not ground.may_change(("a", "f"), ADA)
    assert not ground.may_change(("a", "f"), holding(BOB, lock))
    assert ground.may_change(("a", "b", "f"), BOB)
    assert ground.may_change(("a",), BOB)


def test_an_infinite_lock_covers_all_below_and_its_names(ground):
    lock = ground.lock(("a",), infinite=True)
    for path in [("a",), ("a", "b"), ("a", "b", "c", "f")]:
        assert ground.may_change(path, holding(ADA, lock))
        assert not ground.may_change(path, BOB)
    assert ground.may_change((), BOB)


def test_a_lock_of_depth_0_covers_the_names_in_a_directory_but_not_the_nodes(ground):
    ground.lock(("a", "b"))
    assert not ground.may_change(("a", "b"), BOB)
    assert ground.may_change(("a", "b", "f"), BOB)
    assert ground.may_change(("a", "b", "c"), BOB)


def test_one_of_the_shared_tokens_is_enough(ground):
    of_ada = ground.lock(("a",), ADA, exclusive=False, infinite=True)
    of_bob = ground.lock(("a", "f"), BOB, exclusive=False)
    for permit in [holding(ADA, of_ada), holding(BOB, of_bob)]:
        assert ground.may_change(("a", "f"), permit)
    for permit in [ADA, BOB, holding(ADA, of_bob), holding(BOB, of_ada)]:
        assert not ground.may_change(("a", "f"), permit)


def test_what_stands_in_the_way_is_named(ground):
    ground.lock(("a", "b"), infinite=True)
    for require, what in [
        (require_change, ground.chain(("a", "b", "c", "f"))),
        (require_subtree, ground.chain(("a",))[-1]),
    ]:
        with pytest.raises(Locked) as caught:
            ground.db.write(lambda c, require=require, what=what: require(c, what, BOB))
        assert caught.value.path == ("a", "b")


def test_a_subtree_needs_all_tokens_below(ground):
    first = ground.lock(("a", "b"))
    second = ground.lock(("a", "b", "c", "f"))
    assert ground.may_change_below(("a",), holding(ADA, first, second))
    for permit in [ADA, holding(ADA, first), holding(ADA, second), holding(BOB, first, second)]:
        assert not ground.may_change_below(("a",), permit)
    assert ground.may_change_below(("a", "b"), holding(ADA, second))
    assert ground.may_change_below(("d",), BOB)


def test_each_place_below_needs_one_of_its_shared_tokens(ground):
    held = [ground.lock(("a", "f"), permit, exclusive=False) for permit in (ADA, BOB)]
    below = ground.lock(("a", "b", "f"), ADA, exclusive=False)
    assert ground.may_change_below(("a",), holding(ADA, held[0], below))
    assert not ground.may_change_below(("a",), holding(ADA, held[0]))
    assert not ground.may_change_below(("a",), holding(BOB, held[1], below))


def test_a_dropped_subtree_has_no_locks_left(ground):
    for path in [("a",), ("a", "b", "f"), ("a", "f")]:
        ground.lock(path, exclusive=False, infinite=True)
    ground.lock(("a", "b"), for_s=0, exclusive=False)
    kept = [ground.lock((), exclusive=False), ground.lock(("ab",))]
    dropped = ground.chain(("a",))[-1]
    ground.db.write(lambda c: drop_subtree(c, dropped))
    with ground.db.read() as connection:
        left = connection.scalars(select(locks.c.token)).all()
    assert sorted(left) == sorted(lock.token for lock in kept)


def test_a_node_inherits_the_locks_of_the_place_it_takes(ground):
    lock = ground.lock(("f",), exclusive=False)
    other = ground.lock((), exclusive=False)
    old, new = ground.chain(("f",))[-1], ground.chain(("d",))[-1]
    ground.db.write(lambda connection: inherit(connection, old, new))
    assert ground.locks.covering(("f",)) == []
    assert ground.locks.covering(("d",)) == [dataclasses.replace(lock, path=("d",))]
    assert ground.locks.covering(()) == [other]


def test_an_expired_lock_is_void_at_once(ground):
    lock = ground.lock(("a",), infinite=True, for_s=0)
    assert not ground.locks.any()
    assert ground.locks.covering(("a", "f")) == ground.locks.below(()) == []
    assert ground.may_change(("a", "f"), BOB)
    assert ground.may_change_below((), BOB)
    for call in [
        lambda: ground.locks.refresh(("a",), ADA, lock.token, 60),
        lambda: ground.locks.unlock(("a",), ADA, lock.token),
    ]:
        with pytest.raises(LockMissing):
            call()


def test_an_expired_lock_makes_room(ground):
    ground.lock(("f",), for_s=0, limit=1)
    taken = ground.lock(("f",), BOB)
    assert ground.locks.covering(("f",)) == [taken]
    assert count(ground.db) == 1


def test_a_lock_on_a_free_name_makes_an_empty_file(ground):
    files = count(ground.db, versions)
    lock, created = ground.locks.lock(
        ("d", "new"), ADA, exclusive=True, infinite=False, owner="", for_s=60
    )
    assert created
    with ground.db.read() as connection:
        node = walk(connection, ("d", "new"))[-1]
        assert node.name == "new"
        assert node.version is not None
    assert count(ground.db, versions) == files + 1
    assert ground.locks.covering(("d", "new")) == [lock]


def test_a_lock_that_is_refused_makes_no_file(ground):
    files = count(ground.db, versions)
    lock = ground.lock(("d",), infinite=True)
    ground.lock(("empty",))
    refusals = [
        (("d", "new"), ADA, {}),
        (("d", "new"), holding(ADA, lock), {}),
        (("empty", "new"), BOB, {}),
    ]
    for path, permit, more in refusals:
        with pytest.raises(Locked):
            ground.lock(path, permit, **more)
    with pytest.raises(LimitReached):
        ground.lock(("a", "new"), ADA, limit=2)
    with pytest.raises(ParentMissing):
        ground.lock(("nothing", "new"))
    with pytest.raises(NotADirectory):
        ground.lock(("f", "new"))
    assert count(ground.db, versions) == files
    assert count(ground.db) == 2


def test_a_new_name_in_a_locked_directory_can_be_locked_with_the_token(ground):
    lock = ground.lock(("empty",))
    new = ground.lock(("empty", "new"), holding(ADA, lock))
    assert ground.locks.covering(("empty", "new")) == [new]


def test_a_user_holds_so_many_locks_and_no_more(ground):
    for path in [("f",), ("a", "f"), ("ab",)]:
        ground.lock(path, limit=3)
    with pytest.raises(LimitReached):
        ground.lock(("d",), limit=3)
    ground.lock(("d",), BOB, limit=3)


def test_a_refresh_prolongs(ground):
    lock = ground.lock(("a",), infinite=True, for_s=60)
    for path in [("a",), ("a", "b", "f")]:
        longer = ground.locks.refresh(path, ADA, lock.token, 3600)
        assert longer.until_ns - lock.until_ns >= 3540 * 10**9
        assert longer.path == ("a",)
        assert ground.locks.covering(("a",)) == [longer]


def test_only_the_owner_refreshes_and_unlocks_and_only_where_it_is(ground):
    lock = ground.lock(("a",))
    for path, permit, token in [
        (("a",), BOB, lock.token),
        (("a", "b"), ADA, lock.token),
        ((), ADA, lock.token),
        (("nothing",), ADA, lock.token),
        (("a",), ADA, "urn:uuid:" + str(uuid.uuid4())),
        (("a",), ADA, ""),
    ]:
        with pytest.raises(LockMissing):
            ground.locks.refresh(path, permit, token, 60)
        with pytest.raises(Forbidden if permit is BOB else LockMissing):
            ground.locks.unlock(path, permit, token)
    assert ground.locks.covering(("a",)) == [lock]


@pytest.mark.parametrize("path", [("a",), ("a", "b", "f")])
def test_an_unlocked_node_is_free(ground, path):
    lock = ground.lock(("a",), infinite=True)
    ground.locks.unlock(path, ADA, lock.token)
    assert not ground.locks.any()
    assert ground.may_change(("a", "b", "f"), BOB)


def test_whether_there_is_a_lock_is_told(ground):
    assert not ground.locks.any()
    assert not ground.db.write(are_kept)
    ground.lock(("f",))
    assert ground.locks.any()
    assert ground.db.write(are_kept)


def test_each_question_is_one_statement(ground):
    for path in FILES:
        ground.lock(path, ADA)
    chain, top = ground.chain(("a", "b", "c", "f")), ground.chain(("d",))[-1]
    for ask in [
        lambda c: require_change(c, chain[:-1], BOB),
        lambda c: require_subtree(c, top, BOB),
        lambda c: drop_subtree(c, top),
    ]:
        with statements(ground) as said:
            ground.db.write(ask)
        assert len(said) == 1
