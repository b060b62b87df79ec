import threading
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.blocks.room import FIRST_STORE, KIB, SECOND_STORE, Room, content, until
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.rows.tables import blocks, replicas
from tgdav.blocks.vault import Extent
from tgdav.db import Database
from tgdav.errors import ContentLost, StoreBusy, StoreError
from tgdav.stores.base import Limits

FAR_AWAY = Limits(largest_pack=1 << 31, concurrency=8, local=False)


@pytest.fixture
def store(room: Room) -> FaultyStore:
    return room.store


def damage(store: FaultyStore, offsets: Iterable[int]) -> None:
    """Damage every replica at these offsets."""
    for listed in store.scan():
        for at in offsets:
            store.damage(listed.locator, at)


def saved(room: Room, data: bytes) -> list[Extent]:
    extents = room.save(data)
    room.vault.flush()
    return extents


def test_any_range_is_what_was_saved(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("room")
    database = Database.open(f"sqlite:///{folder / 'drive.db'}")
    room = Room(database, folder)
    room.open()
    data = content(200 * KIB) + bytes(100 * KIB) + content(50 * KIB, seed=2)
    extents = room.save(data)

    @settings(max_examples=60, deadline=None)
    @given(st.tuples(st.integers(0, len(data)), st.integers(0, len(data))).map(sorted))
    def check(bounds: list[int]) -> None:
        start, stop = bounds
        assert room.read(extents, start, stop) == data[start:stop]

    check()
    room.vault.close()
    database.close()


def test_parts_of_blocks_in_any_order_make_a_version(room: Room) -> None:
    data = content(300 * KIB)
    extents = room.save(data)
    part = extents[3]
    spliced = [
        Extent(0, 10, extents[5].block, 7),
        Extent(10, 100, part.block, part.size - 100),
        Extent(110, 1, part.block, 0),
        Extent(111, extents[0].size, extents[0].block, 0),
    ]
    five = data[extents[5].offset :]
    three = data[part.offset : part.offset + part.size]
    expected = five[7:17] + three[-100:] + three[:1] + data[: extents[0].size]
    assert room.read(spliced) == expected
    assert room.read(spliced, 5, 120) == expected[5:120]


def test_a_small_range_reads_two_blocks_at_most(room: Room, store: FaultyStore) -> None:
    data = content(1 << 20)
    extents = saved(room, data)
    largest = max(room.column(blocks.c.sealed_size))
    for start in range(0, len(data) - 100, 37 * KIB):
        store.reads.clear()
        assert room.read(extents, start, start + 100) == data[start : start + 100]
        assert sum(size for _, _, size in store.reads) <= 2 * largest
        assert len(store.reads) <= 2


def test_neighbours_in_a_pack_cost_one_read(room: Room, store: FaultyStore) -> None:
    extents = saved(room, content(64 * KIB))
    store.reads.clear()
    assert room.read(extents) == content(64 * KIB)
    assert len(store.reads) <= 64 // 16 + 3 < len(extents)


def test_a_dead_store_is_told_before_the_first_piece(room: Room, store: FaultyStore) -> None:
    extents = saved(room, content(100 * KIB))
    store.be_busy(times=1000)
    with pytest.raises(StoreBusy):
        room.vault.reader(iter(extents), 0, 100 * KIB)
    store.heal()
    store.is_away = True
    with pytest.raises(StoreError):
        room.vault.reader(iter(extents), 0, 100 * KIB)
    assert room.budget.used == 0
    # Out of reach is not lost: nothing is said against the replicas.
    assert set(room.column(replicas.c.state)) == {"sound"}
    store.heal()
    assert room.read(extents) == content(100 * KIB)


def test_a_store_that_dies_later_ends_the_bytes_short(room: Room, store: FaultyStore) -> None:
    data = content(300 * KIB)
    extents = saved(room, data)
    reader = room.vault.reader(iter(extents), 0, len(data))
    got = [bytes(next(reader))]
    store.be_busy(times=1000)
    with pytest.raises(StoreBusy):
        got.extend(map(bytes, reader))
    reader.close()
    assert data.startswith(b"".join(got))
    assert len(b"".join(got)) < len(data)
    until(lambda: room.budget.used == 0)  # what was under way is let go when it arrives


def test_a_piece_is_void_once_the_next_is_asked_for(room: Room) -> None:
    data = content(300 * KIB)
    extents = saved(room, data)
    reader = room.vault.reader(iter(extents), 0, len(data))
    first = next(reader)
    assert data.startswith(first)
    next(reader)
    # Its memory is another block's by now: better no bytes than wrong ones.
    with pytest.raises(ValueError, match="released"):
        bytes(first)
    reader.close()


@pytest.mark.parametrize("harm", ["missing", "flipped"])
def test_a_bad_replica_is_passed_over_and_reported(
    room: Room, store: FaultyStore, harm: str
) -> None:
    room.add_store()
    room.open(copies=2)
    extents = saved(room, content(300 * KIB))
    if harm == "missing":
        store.delete([listed.locator for listed in store.scan()])
    else:
        damage(store, range(0, 200 * KIB, 100))
    assert room.read(extents) == content(300 * KIB)
    with room.db.read() as connection:
        states = connection.execute(replicas.select()).all()
    assert {row.state for row in states if row.store == FIRST_STORE} == {"suspect"}
    assert {row.state for row in states if row.store == SECOND_STORE} == {"sound"}
    # The next reader asks the sound one first.
    store.reads.clear()
    room.open(copies=2)
    assert room.read(extents) == content(300 * KIB)
    assert store.reads == []


def test_two_replicas_damaged_in_different_blocks_make_one_sound(room: Room) -> None:
    second = room.add_store()
    room.open(copies=2, sizes={"window": 1 << 20})
    extents = saved(room, content(30 * KIB))
    damage(room.store, [200])
    damage(second, [25 * KIB])
    assert room.read(extents) == content(30 * KIB)


def test_no_sound_replica_is_content_lost_never_other_bytes(room: Room, store: FaultyStore) -> None:
    data = content(300 * KIB)
    extents = saved(room, data)
    damage(store, [60 * KIB])
    read = 0
    lost = 0
    for extent in extents:
        start, stop = extent.offset, extent.offset + extent.size
        try:
            assert room.read(extents, start, stop) == data[start:stop]
            read += 1
        except ContentLost:
            lost += 1
    assert (read, lost) == (len(extents) - lost, lost)
    assert lost >= 1


def test_what_is_staged_when_the_read_begins_may_be_packed_before_it_ends(room: Room) -> None:
    data = content(60 * KIB)
    extents = room.save(data)
    reader = room.vault.reader(iter(extents), 0, len(data))
    first = bytes(next(reader))
    room.vault.flush()
    assert first + b"".join(map(bytes, reader)) == data


def test_a_pack_that_leaves_the_spool_meanwhile_is_read_from_the_store(room: Room) -> None:
    data = content(900 * KIB)
    extents = room.save(data)
    reader = room.vault.reader(iter(extents), 0, len(data))
    first = bytes(next(reader))
    room.vault.flush()
    assert room.spooled_files() == []
    assert first + b"".join(map(bytes, reader)) == data
    assert set(room.column(replicas.c.state)) == {"sound"}


@pytest.mark.parametrize("missing", [0, 2, -1])
def test_bytes_that_no_extent_has_are_never_made_up(room: Room, missing: int) -> None:
    extents = room.save(content(60 * KIB))
    stop = 60 * KIB
    extents.pop(missing)
    with pytest.raises(ContentLost):
        b"".join(map(bytes, room.vault.reader(iter(extents), 0, stop)))


def test_a_block_that_is_not_recorded_is_content_lost(room: Room) -> None:
    with pytest.raises(ContentLost):
        room.vault.reader(iter([Extent(0, 10, 12345, 0)]), 0, 10)


def test_closing_early_gives_back_what_is_on_its_way(room: Room, store: FaultyStore) -> None:
    extents = saved(room, content(600 * KIB))
    store.delay_s = 0.05
    reader = room.vault.reader(iter(extents), 0, 600 * KIB)
    for _ in range(20):
        next(reader)
    assert room.budget.used > 0
    reader.close()
    deadline = time.monotonic() + 10
    while room.budget.used and time.monotonic() < deadline:
        time.sleep(0.01)
    assert room.budget.used == 0


def test_readers_fetch_ahead_within_the_budget_only(room: Room, store: FaultyStore) -> None:
    data = content(600 * KIB)
    extents = saved(room, data)
    room.open(budget=100 * KIB)
    most = 0
    readers = [room.vault.reader(iter(extents), 0, len(data)) for _ in range(8)]
    got = [b"" for _ in readers]
    for _ in range(len(data) // 512):
        for no, reader in enumerate(readers):
            got[no] += next(reader, b"")
            most = max(most, room.budget.used)
    assert got == [data] * 8
    # A window of each reader is granted over the budget, what is fetched ahead is not.
    assert most <= 100 * KIB + 8 * 2 * 16 * KIB + 8 * 40


def test_a_long_read_fetches_ahead(room: Room, store: FaultyStore) -> None:
    extents = saved(room, content(600 * KIB))
    store.delay_s, store.busiest = 0.02, 0
    store.reads.clear()
    reader = room.vault.reader(iter(extents), 0, 600 * KIB)
    assert len(store.reads) == 1
    assert sum(map(len, reader)) == 600 * KIB
    assert store.busiest > 1


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (Limits(largest_pack=1 << 31, concurrency=4, local=True), 5),
        (FAR_AWAY, 9),
        (Limits(largest_pack=1 << 31, concurrency=20, local=False), 21),
        (Limits(largest_pack=1 << 31, concurrency=100, local=False), 45),
    ],
)
def test_as_much_is_fetched_ahead_as_the_store_takes(
    room: Room, store: FaultyStore, limits: Limits, most: int
) -> None:
    data = content(1500 * KIB)
    extents = saved(room, data)
    room.open()
    store.limits, store.delay_s, store.busiest = limits, 0.1, 0
    assert room.read(extents) == data
    assert most - 2 <= store.busiest <= most


def test_whole_files_do_not_wash_out_the_cache(room: Room, store: FaultyStore) -> None:
    small, large = content(900, seed=2), content(900 * KIB)
    kept, passing = saved(room, small), saved(room, large)
    room.open(cache=32 * KIB)
    assert room.read(kept) == small
    assert room.read(passing) == large
    store.reads.clear()
    assert room.read(kept) == small
    assert store.reads == []


def test_the_rest_of_a_block_is_at_hand_after_a_part_of_it(room: Room, store: FaultyStore) -> None:
    extents = saved(room, content(60 * KIB))
    size = extents[0].size
    store.reads.clear()
    for at in range(0, size, 100):
        room.read(extents, at, min(at + 100, size))
    assert len(store.reads) == 1


def test_blocks_of_a_distant_store_stay_on_this_disk(room: Room, store: FaultyStore) -> None:
    store.limits = FAR_AWAY
    data = content(300 * KIB)
    extents = saved(room, data)
    room.open(disk_cache=1 << 20)
    assert room.read(extents) == data
    store.reads.clear()
    room.open(disk_cache=1 << 20)
    assert room.read(extents) == data
    assert store.reads == []


def test_a_damaged_cache_is_no_loss(room: Room, store: FaultyStore) -> None:
    store.limits = FAR_AWAY
    data = content(100 * KIB)
    extents = saved(room, data)
    room.open(disk_cache=1 << 20)
    room.read(extents)
    for path in (room.folder / "cache").rglob("*"):
        if path.is_file():
            path.write_bytes(b"?" * path.stat().st_size)
    room.open(disk_cache=1 << 20)
    assert room.read(extents) == data


def test_many_readers_of_one_file_at_once(room: Room, store: FaultyStore) -> None:
    data = content(400 * KIB)
    extents = saved(room, data)
    got: list[bool] = []

    def read(start: int) -> None:
        got.append(room.read(extents, start) == data[start:])

    threads = [threading.Thread(target=read, args=(no * KIB,)) for no in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 32
