"""A drain that is taken back while it runs: the store keeps what it has, and others may need it."""

import contextlib
from functools import partial

import pytest
from sqlalchemy import select

from tests.blocks.room import FIRST_STORE, KIB, SECOND_STORE, Room, content
from tests.blocks.test_draining import THIRD_STORE, extents, first, kept, second, shut_during
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.flushing.draining import Draining
from tgdav.blocks.rows import index, roster
from tgdav.blocks.rows.tables import packs
from tgdav.blocks.vault import Extent
from tgdav.errors import StoreBusy
from tgdav.stores.base import Locator
from tgdav.stores.memory import MemoryStore
from tgdav.stores.pool import Replica

__all__ = ["extents", "first", "second"]

_PACKS = select(packs.c.no, packs.c.pack_id)


@pytest.fixture
def third(room: Room, second: FaultyStore) -> FaultyStore:
    """One that takes packs whatever becomes of the other two."""
    added = room.stores[THIRD_STORE] = FaultyStore(MemoryStore())
    room.record_store(THIRD_STORE, "memory")
    room.vault.refresh()
    return added


@pytest.fixture
def draining(room: Room, third: FaultyStore) -> Draining:
    return room.vault._flusher._draining


def test_a_drain_that_ends_before_its_store_is_looked_at_takes_nothing(
    room: Room,
    first: FaultyStore,
    draining: Draining,
    extents: list[Extent],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room.vault.begin_drain(FIRST_STORE)
    to_empty = draining.stores()
    room.vault.end_drain(FIRST_STORE)
    monkeypatch.setattr(draining, "stores", lambda: to_empty)
    assert not draining.go_on()
    assert kept(room) == {FIRST_STORE: 8}
    assert len(list(first.scan())) == 8
    assert first.reads == []
    assert room.read(extents) == content(1000 * KIB)


def test_a_drain_that_ends_while_another_store_is_read_takes_nothing(
    room: Room, first: FaultyStore, second: FaultyStore, draining: Draining
) -> None:
    room.pool.use(FIRST_STORE, writable=False)
    saved = room.save(content(300 * KIB, seed=2))
    room.vault.flush()
    held = kept(room)[SECOND_STORE]
    for store in (FIRST_STORE, SECOND_STORE):
        room.vault.begin_drain(store)
    shut_during(first, "read", lambda: roster.end_drain(room.db, SECOND_STORE))
    assert draining.go_on()
    assert kept(room)[SECOND_STORE] == len(list(second.scan())) == held
    assert room.read(saved) == content(300 * KIB, seed=2)


# ---- what was dropped, and the store has not deleted yet


@pytest.fixture
def undeleted(room: Room, first: FaultyStore, draining: Draining) -> None:
    """Half of the first store went to the second; it deleted nothing of that, and is to stay."""
    plain = first.delete

    def busy(_: list[Locator]) -> None:
        raise StoreBusy("not now", 0.01)

    first.delete = busy
    room.vault.begin_drain(FIRST_STORE)
    go_through(room, draining)
    assert kept(room) == {FIRST_STORE: 4, SECOND_STORE: 4}
    room.vault.end_drain(FIRST_STORE)
    first.delete = plain


def go_through(room: Room, draining: Draining) -> None:
    """Drain, and deliver what comes to the spool, until nothing more can be done."""
    room.vault.refresh()
    for _ in range(8):
        with contextlib.suppress(StoreBusy):
            draining.go_on()
        room.vault.flush()


def record_strays(room: Room, store: FaultyStore, no: int) -> None:
    """Have the rows say what the store has, as repair does. In memory a locator is a pack's id."""
    with room.db.read() as connection:
        known = {pack_id: pack for pack, pack_id in connection.execute(_PACKS)}
    for listed in store.scan():
        pack, replica = known[bytes.fromhex(listed.locator)], Replica(no, listed.locator)
        room.db.write(partial(index.record_replica, pack=pack, replica=replica))


@pytest.mark.parametrize("is_other_process", [False, True])
def test_what_a_row_names_again_is_not_deleted(
    room: Room,
    first: FaultyStore,
    draining: Draining,
    undeleted: None,
    extents: list[Extent],
    is_other_process: bool,
) -> None:
    record_strays(room, first, FIRST_STORE)
    room.vault.begin_drain(SECOND_STORE)
    if is_other_process:
        room.open(open_store=room.open_store)
        go_through(room, room.vault._flusher._draining)
    else:
        go_through(room, draining)
    assert kept(room) == {FIRST_STORE: 8}
    room.vault.begin_drain(FIRST_STORE)
    go_through(room, draining)
    assert kept(room) == {THIRD_STORE: 8}
    assert list(first.scan()) == []
    assert room.read(extents) == content(1000 * KIB)


def test_what_no_row_names_is_left_to_repair_if_the_store_is_to_stay(
    room: Room,
    first: FaultyStore,
    draining: Draining,
    undeleted: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draining, "stores", lambda: [FIRST_STORE])  # as before it was ended
    assert not draining.go_on()
    assert len(list(first.scan())) == 8
