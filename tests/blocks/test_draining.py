import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.blocks.room import FIRST_STORE, KIB, SECOND_STORE, SPOOL, Room, content, until
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.fetching import fetch
from tgdav.blocks.rows import index, roster
from tgdav.blocks.rows.tables import packs, replicas, stores
from tgdav.blocks.vault import Extent
from tgdav.errors import ContentLost, Refused, StoreBusy, StoreError
from tgdav.stores.base import Locator
from tgdav.stores.memory import MemoryStore
from tgdav.stores.packfile import PackSink

THIRD_STORE = 4


@pytest.fixture
def first(room: Room) -> FaultyStore:
    return room.store


@pytest.fixture
def extents(room: Room, first: FaultyStore) -> list[Extent]:
    """A file in eight packs of the first store."""
    kept = room.save(content(1000 * KIB))
    room.vault.flush()
    return kept


@pytest.fixture
def second(room: Room, extents: list[Extent]) -> FaultyStore:
    """Another store, which the vault opened now has."""
    added = room.add_store()
    room.open(open_store=room.open_store)
    return added


def drained(room: Room, store: int = FIRST_STORE) -> list[tuple[int, int]]:
    """Drain it; what the progress said."""
    told: list[tuple[int, int]] = []
    room.vault.begin_drain(store)
    room.vault.drain(store, lambda done, total: told.append((done, total)))
    return told


def kept(room: Room) -> dict[int, int]:
    """How many packs each store has, by the rows."""
    counted: dict[int, int] = {}
    for store in room.column(replicas.c.store):
        counted[store] = counted.get(store, 0) + 1
    return counted


def shut_during(store: FaultyStore, method: str, do: Callable[[], None]) -> None:
    """Call `do` before each such call of the store."""
    plain = getattr(store, method)

    def call(*arguments: Any) -> Any:
        do()
        return plain(*arguments)

    setattr(store, method, call)


# ---- what it does


def test_a_drained_store_is_empty_and_gone(
    room: Room, first: FaultyStore, second: FaultyStore, extents: list[Extent]
) -> None:
    told = drained(room)
    assert room.state(FIRST_STORE) == "gone"
    assert kept(room) == {SECOND_STORE: 8}
    assert list(first.scan()) == []
    assert len(list(second.scan())) == 8
    assert room.spooled_files() == []
    assert room.read(extents) == content(1000 * KIB)
    size = sum(room.column(packs.c.size))
    assert told[0] == (0, size)
    assert told[-1] == (size, size)
    assert told == sorted(told)


def test_the_clock_drains_what_another_process_says(
    room: Room, first: FaultyStore, second: FaultyStore, extents: list[Extent]
) -> None:
    room.vault.start()
    watching = room.vault
    room.open(open_store=room.open_store)
    room.vault.begin_drain(FIRST_STORE)
    room.vault.drain(FIRST_STORE, beside=True)
    assert room.state(FIRST_STORE) == "gone"
    assert kept(room) == {SECOND_STORE: 8}
    watching.close()


def test_what_others_have_as_promised_is_only_let_go(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    for pack in range(8):
        put_also(room, second, pack)
    first.reads.clear()
    drained(room)
    assert first.reads == second.reads == []
    assert second.puts == 8
    assert kept(room) == {SECOND_STORE: 8}


def test_each_pack_gets_as_many_stores_as_promised(room: Room, second: FaultyStore) -> None:
    room.stores[THIRD_STORE] = FaultyStore(MemoryStore())
    room.record_store(THIRD_STORE, "memory")
    room.open(copies=2, open_store=room.open_store)
    drained(room)
    assert kept(room) == {SECOND_STORE: 8, THIRD_STORE: 8}


def test_a_pack_that_waits_in_the_spool_goes_elsewhere(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    waiting = room.save(content(300 * KIB, seed=2))
    drained(room)
    room.vault.flush()
    assert set(kept(room)) == {SECOND_STORE}
    assert room.read(waiting) == content(300 * KIB, seed=2)


def test_nothing_is_dropped_before_it_is_kept_nor_deleted_before_it_is_dropped(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    wrong: list[str] = []

    def note(store: int, locator: str, what: str) -> None:
        with room.db.read() as connection:
            told = select(replicas.c.store).where(replicas.c.locator == locator)
            if (store in connection.scalars(told).all()) is not (what == "kept"):
                wrong.append(f"{what}: {locator}")

    shut_during(
        second, "put", lambda: [note(FIRST_STORE, listed.locator, "kept") for listed in last]
    )
    deleted = first.delete

    def delete(locators: list[Locator]) -> None:
        for locator in locators:
            note(FIRST_STORE, locator, "dropped")
            if SECOND_STORE not in of_pack(room, locator):
                wrong.append(f"not kept: {locator}")
        deleted(locators)

    first.delete = delete
    last = list(first.scan())[-1:]
    drained(room)
    assert wrong == []


def of_pack(room: Room, locator: Locator) -> list[int]:
    """The stores that have the pack; in memory its locator is its id."""
    with room.db.read() as connection:
        told = select(replicas.c.store).join(packs).where(packs.c.pack_id == bytes.fromhex(locator))
        return list(connection.scalars(told))


def test_little_waits_in_the_spool_meanwhile(room: Room, second: FaultyStore) -> None:
    room.open(open_store=room.open_store, sizes={"spool_limit": 1024 * KIB})
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, len(room.spooled_files()))

    shut_during(second, "put", look)
    drained(room)
    # A quarter of the bound, and what is fetched at once when there is room.
    assert most <= 2 + 4
    assert room.state(FIRST_STORE) == "gone"


# ---- it may end and go on


@pytest.mark.parametrize("nth", [1, 3, 8])
@pytest.mark.parametrize("is_kept", [False, True])
def test_it_goes_on_where_it_ended(
    room: Room, first: FaultyStore, second: FaultyStore, nth: int, is_kept: bool
) -> None:
    second.fail_put(nth, kept=is_kept)
    with pytest.raises(StoreError):
        drained(room)
    assert room.state(FIRST_STORE) == "draining"
    room.open(open_store=room.open_store)
    drained(room)
    assert kept(room) == {SECOND_STORE: 8}
    assert len(list(second.scan())) == 8
    assert list(first.scan()) == []


def test_a_store_that_is_busy_is_waited_for(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    second.be_busy(0.1, times=5)
    first.be_busy(0.1, times=5)
    drained(room)
    assert kept(room) == {SECOND_STORE: 8}


def test_patience_ends(room: Room, second: FaultyStore) -> None:
    second.be_busy(0.05, times=10_000)
    room.vault.begin_drain(FIRST_STORE)
    with pytest.raises(StoreBusy, match="store 2 still holds 8 packs: nothing has moved for 1 s"):
        room.vault.drain(FIRST_STORE, patience_s=1)
    assert room.state(FIRST_STORE) == "draining"


def test_a_store_that_does_not_delete_is_asked_again(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    deleted, refusals = first.delete, [StoreBusy("not now", 0.01), StoreBusy("nor now", 0.01)]

    def delete(locators: list[Locator]) -> None:
        if refusals:
            raise refusals.pop()
        deleted(locators)

    first.delete = delete
    drained(room)
    assert list(first.scan()) == []


def test_a_drain_may_be_taken_back(room: Room, first: FaultyStore, second: FaultyStore) -> None:
    second.fail_put(1)
    with pytest.raises(StoreError):
        drained(room)
    room.vault.end_drain(FIRST_STORE)
    with pytest.raises(StoreError, match="not being drained"):
        room.vault.drain(FIRST_STORE)
    room.vault.flush()
    assert room.state(FIRST_STORE) == "active"
    room.save(content(100 * KIB, seed=3))
    room.vault.flush()
    assert FIRST_STORE in kept(room)


# ---- damage


def test_a_damaged_replica_is_made_again_from_a_sound_one(
    room: Room, first: FaultyStore, second: FaultyStore, extents: list[Extent]
) -> None:
    room.open(copies=2, open_store=room.open_store)
    room.save(content(1000 * KIB))  # known, so nothing new
    for pack in range(8):
        put_also(room, second, pack)
    room.stores[THIRD_STORE] = FaultyStore(MemoryStore())
    room.record_store(THIRD_STORE, "memory")
    harmed = list(first.scan())[3].locator
    first.damage(harmed, at=5000)
    drained(room)
    assert kept(room) == {SECOND_STORE: 8, THIRD_STORE: 8}
    assert set(room.column(replicas.c.state)) == {"sound"}
    assert room.read(extents) == content(1000 * KIB)


def put_also(room: Room, store: FaultyStore, nth: int) -> None:
    """Give the second store a replica of its own of the first store's nth pack."""
    listed = list(room.store.scan())[nth]
    pack_id = bytes.fromhex(listed.locator)
    locator = store.put(pack_id, room.store.read(listed.locator, 0, listed.size), listed.caption)
    with room.db.read() as connection:
        no = connection.scalars(select(packs.c.no).where(packs.c.pack_id == pack_id)).one()
    row = {"pack": no, "store": SECOND_STORE, "locator": locator}
    row |= {"state": "sound", "verified_ns": 0}
    room.db.write(lambda c: c.execute(replicas.insert(), row))


@pytest.mark.parametrize("harm", ["damage", "lose"])
def test_what_nobody_has_sound_keeps_the_store_and_nothing_else(
    room: Room, first: FaultyStore, second: FaultyStore, harm: str
) -> None:
    listed = list(first.scan(newest_first=False))[2]
    getattr(first, harm)(listed.locator)
    with pytest.raises(ContentLost, match=listed.locator):
        drained(room)
    assert room.state(FIRST_STORE) == "draining"
    assert kept(room) == {FIRST_STORE: 1, SECOND_STORE: 7}
    first.heal()
    drained(room)
    assert kept(room) == {SECOND_STORE: 8}


def test_many_lost_packs_do_not_keep_the_others(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    for listed in list(first.scan(newest_first=False))[:6]:
        first.lose(listed.locator)
    with pytest.raises(ContentLost):
        drained(room)
    assert kept(room) == {FIRST_STORE: 6, SECOND_STORE: 2}


# ---- beside saves and reads


def test_the_sweep_leaves_alone_what_is_about_to_be_recorded(
    room: Room, second: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PackSink.keep

    def keep(sink: PackSink) -> Locator:
        locator = plain(sink)
        room.vault._flusher._delivery.sweep()
        return locator

    monkeypatch.setattr(PackSink, "keep", keep)
    drained(room)
    assert kept(room) == {SECOND_STORE: 8}


def test_reads_go_on_while_their_packs_move(
    room: Room, first: FaultyStore, second: FaultyStore, extents: list[Extent]
) -> None:
    room.vault.start()
    first.delay_s = second.delay_s = 0.01
    wrong: list[object] = []
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.01):  # two that never rest keep the move from its turn
            try:
                if room.read(extents) != content(1000 * KIB):
                    wrong.append("other bytes")
            except Exception as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    room.vault.begin_drain(FIRST_STORE)
    until(lambda: room.state(FIRST_STORE) == "gone")
    time.sleep(0.1)
    over.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_what_was_located_before_its_store_was_given_up_is_found_elsewhere(
    room: Room, first: FaultyStore, second: FaultyStore, extents: list[Extent]
) -> None:
    with room.db.read() as connection:
        run = index.locate(connection, [extents[0].block])
    drained(room)
    room.vault.refresh()
    assert not room.pool.has(FIRST_STORE)
    (chunk,) = fetch(room.vault.workshop, run).values()
    assert content(1000 * KIB).startswith(bytes(chunk))


@pytest.mark.parametrize("count", [1, 3])
def test_a_store_out_of_reach_is_no_lost_content(
    room: Room, first: FaultyStore, extents: list[Extent], count: int
) -> None:
    with room.db.read() as connection:
        run = index.locate(connection, [extent.block for extent in extents[:count]])
    first.is_away = True
    with pytest.raises(StoreError, match="away"):
        fetch(room.vault.workshop, run)


def test_a_store_that_is_given_up_under_a_put_does_not_count(
    room: Room, first: FaultyStore, second: FaultyStore
) -> None:
    """A process that has not seen yet that the store is gone puts a pack there."""
    new = room.save(content(100 * KIB, seed=2))

    def give_up() -> None:
        gone = update(stores).where(stores.c.no == FIRST_STORE).values(state="gone")
        room.db.write(lambda c: c.execute(gone))

    shut_during(first, "put", give_up)
    with pytest.raises(StoreBusy, match="store 2 was given up"):
        room.vault.flush()
    assert len(room.spooled_files()) == 1
    room.vault.refresh()
    room.vault.flush()
    assert room.read(new) == content(100 * KIB, seed=2)


# ---- what is refused


def test_a_store_that_is_needed_stays(room: Room, extents: list[Extent]) -> None:
    for refused in (room.vault.begin_drain, room.vault.remove_store):
        with pytest.raises(Refused, match=r"store 2 is needed: .* 1 stores, and 0 others"):
            refused(FIRST_STORE)
        for no in (SPOOL, 99):
            with pytest.raises(Refused, match=f"there is no store {no}"):
                refused(no)
    assert room.state(FIRST_STORE) == "active"


def test_a_store_is_removed_when_it_is_empty(room: Room, second: FaultyStore) -> None:
    with pytest.raises(Refused, match="store 2 holds 8 packs"):
        room.vault.remove_store(FIRST_STORE)
    room.vault.remove_store(SECOND_STORE)
    assert room.state(SECOND_STORE) == "gone"
    with pytest.raises(Refused, match="there is no store 3"):
        room.vault.remove_store(SECOND_STORE)


def test_a_store_that_was_added_in_vain_is_withdrawn(room: Room, second: FaultyStore) -> None:
    for no in (FIRST_STORE, SECOND_STORE):
        roster.withdraw(room.db, no)
    assert (room.state(FIRST_STORE), room.state(SECOND_STORE)) == ("active", "gone")
