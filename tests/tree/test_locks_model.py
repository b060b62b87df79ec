"""Locks against the rules of RFC 4918 §6 and §7, written down plainly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tree.test_locks import ADA, BOB, FILES, FOLDERS, Ground, holding
from tgdav.db import Database
from tgdav.errors import Locked
from tgdav.tree.permit import Permit

OPERATION = st.tuples(
    st.sampled_from(["lock", "unlock", "change", "below"]),
    st.sampled_from(FOLDERS + FILES),
    st.sampled_from([ADA, BOB]),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(operations=st.lists(OPERATION, max_size=25))
def test_locks_are_what_the_rfc_says(tmp_path_factory, operations):
    """Against the rules written down plainly: which locks share a node, which tokens open it."""
    folder = tmp_path_factory.mktemp("model")
    db = Database.open(f"sqlite:///{folder / 'drive.db'}")
    ground, held = Ground(db), []
    for what, path, permit, exclusive, infinite in operations:
        owned = holding(permit, *(lock for lock in held if lock.user == permit.user))
        if what == "lock":
            rivals = [lock for lock in held if _share_a_node(lock, path, infinite)]
            if all(not (exclusive or lock.exclusive) for lock in rivals):
                held.append(ground.lock(path, permit, exclusive=exclusive, infinite=infinite))
            else:
                with pytest.raises(Locked):
                    ground.lock(path, permit, exclusive=exclusive, infinite=infinite)
        elif what == "unlock" and held:
            lock = held.pop(len(operations) % len(held))
            ground.locks.unlock(lock.path, Permit(lock.user), lock.token)
        elif what == "change":
            covering = [lock for lock in held if _covers(lock, path)]
            assert ground.may_change(path, owned) == _opens(owned, covering)
        else:
            below = [lock for lock in held if lock.path[: len(path)] == path != lock.path]
            places = {lock.path for lock in below}
            assert ground.may_change_below(path, owned) == all(
                _opens(owned, [lock for lock in below if lock.path == place]) for place in places
            )
    db.close()


def _covers(lock, path):
    return lock.path == path or (lock.infinite and lock.path == path[: len(lock.path)])


def _share_a_node(lock, path, infinite):
    return _covers(lock, path) or (infinite and path == lock.path[: len(path)])


def _opens(permit, places):
    mine = [lock.token in permit.tokens for lock in places]
    return not places or (all(mine) if any(lock.exclusive for lock in places) else any(mine))
