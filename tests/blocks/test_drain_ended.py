"""A drain that is taken back while it runs: the store keeps what it has, and others may need it."""

import pytest

from tests.blocks.room import FIRST_STORE, KIB, SECOND_STORE, Room, content
from tests.blocks.test_draining import THIRD_STORE, extents, first, kept, second, shut_during
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.flushing.draining import Draining
from tgdav.blocks.rows import roster
from tgdav.blocks.vault import Extent
from tgdav.stores.memory import MemoryStore

__all__ = ["extents", "first", "second"]


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
