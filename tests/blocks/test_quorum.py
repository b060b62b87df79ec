"""A save waits for a quorum of its stores; the spool lets go when that has the pack."""

import contextlib

import pytest

from tests.blocks.room import FIRST_STORE, SECOND_STORE, SPOOL, Room, content, refuse, until
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.rows.tables import packs, replicas
from tgdav.errors import StoreError
from tgdav.stores.memory import MemoryStore
from tgdav.stores.pool import StorePool

KIB = 1 << 10
THIRD_STORE = 4


@pytest.fixture
def second(room: Room) -> FaultyStore:
    added = room.add_store()
    open_with_quorum(room)
    return added


def open_with_quorum(room: Room, quorum: int = 1, **options: object) -> None:
    room.open(copies=2, **options)
    room.pool.quorum = quorum


def stores(room: Room) -> set[int]:
    return set(room.column(replicas.c.store))


def test_all_copies_are_made_from_the_spool_when_all_stores_are_there(
    room: Room, second: FaultyStore
) -> None:
    room.save(content(300 * KIB))
    room.vault.flush()
    assert stores(room) == {FIRST_STORE, SECOND_STORE}
    assert room.store.reads == []


def test_a_store_that_is_away_keeps_no_pack_in_the_spool(
    room: Room, second: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(second, StoreError("it is away"))
    extents = room.save(content(300 * KIB))
    room.vault.flush()
    assert stores(room) == {FIRST_STORE}
    assert room.spooled_files() == []
    assert room.read(extents) == content(300 * KIB)


def test_the_spool_keeps_what_no_quorum_has(room: Room, second: FaultyStore) -> None:
    for store in (room.store, second):
        refuse(store, StoreError("it is away"))
    room.save(content(100 * KIB))
    with pytest.raises(StoreError):
        room.vault.flush()
    assert stores(room) == {SPOOL}
    second.heal()
    room.vault.flush()
    assert stores(room) == {SECOND_STORE}


def test_a_quorum_of_two_is_waited_for(room: Room, second: FaultyStore) -> None:
    open_with_quorum(room, 2)
    refuse(second, StoreError("it is away"))
    room.save(content(100 * KIB))
    with pytest.raises(StoreError):
        room.vault.flush()
    assert stores(room) == {SPOOL, FIRST_STORE}


def test_a_save_that_waits_for_stores_waits_for_the_quorum_only(
    room: Room, second: FaultyStore
) -> None:
    open_with_quorum(room, in_stores=True)
    large = room.save(content(300 * KIB))
    small = room.save(content(2 * KIB, 2))
    assert second.puts == 0
    assert stores(room) == {SPOOL, FIRST_STORE}
    refuse(second, StoreError("it is away"))
    room.save(content(2 * KIB, 3))
    second.heal()
    room.vault.flush()
    assert len(list(second.scan())) == room.rows(packs)
    assert stores(room) == {FIRST_STORE, SECOND_STORE}
    assert room.spooled_files() == []
    assert room.read(large) == content(300 * KIB)
    assert room.read(small) == content(2 * KIB, 2)


def test_the_clock_makes_the_rest_at_once(room: Room, second: FaultyStore) -> None:
    open_with_quorum(room, in_stores=True)
    room.vault.start()
    room.save(content(300 * KIB))
    until(lambda: len(list(second.scan())) == room.rows(packs))
    until(lambda: not room.spooled_files())


def test_what_is_drained_waits_in_the_spool_for_all_its_copies(
    room: Room, second: FaultyStore
) -> None:
    """A quorum had it before, too: let go, it would be read again and again."""
    extents = room.save(content(300 * KIB))
    room.vault.flush()
    third = room.stores[THIRD_STORE] = FaultyStore(MemoryStore())
    room.record_store(THIRD_STORE, "memory")
    open_with_quorum(room, open_store=room.open_store)
    refuse(third, StoreError("it is away"))
    room.vault.begin_drain(FIRST_STORE)
    room.vault.refresh()
    for _ in range(5):
        room.vault._flusher._draining.go_on()
        with contextlib.suppress(StoreError):
            room.vault.flush()
    assert len(room.store.reads + second.reads) == len(room.spooled_files()) == room.rows(packs)
    third.heal()
    room.vault.drain(FIRST_STORE)
    assert stores(room) == {SECOND_STORE, THIRD_STORE}
    assert room.read(extents) == content(300 * KIB)


def test_a_pack_that_is_adopted_before_it_is_recorded_costs_nothing(room: Room) -> None:
    """Repair finds it in the store while the save that put it has not said so yet."""
    from tgdav.blocks.flushing.adopting import adopt

    workshop = room.open(in_stores=True).workshop
    inner = room.store._inner
    put = inner.put

    def put_and_adopt(pack_id: bytes, data: bytes, caption: str) -> object:
        locator = put(pack_id, data, caption)
        (listed,) = [each for each in inner.scan() if each.locator == locator]
        adopt(workshop, FIRST_STORE, room.store, listed)
        return locator

    inner.put = put_and_adopt
    extents = [room.save(content(size * KIB, size)) for size in (300, 1, 20)]
    assert len(list(inner.scan())) == room.rows(packs)
    for size, kept in zip((300, 1, 20), extents, strict=True):
        assert room.read(kept) == content(size * KIB, size)
    room.vault.flush()
    assert stores(room) == {FIRST_STORE}


def test_the_pool_raises_only_below_what_is_enough() -> None:
    pool = StorePool(copies=2, quorum=1)
    pool.set(1, MemoryStore(), writable=True)
    assert len(list(pool.put(bytes(16), b"x", "", enough=1))) == 1
    assert len(list(pool.put(bytes(16), b"x", "", copies=1))) == 1
    with pytest.raises(StoreError, match="2 replicas"):
        list(pool.put(bytes(16), b"x", ""))
    assert StorePool(copies=2, quorum=5).quorum == 2
    pool.close()
