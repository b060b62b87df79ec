import threading
import time
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.blocks.room import (
    FIRST_STORE,
    KEYS,
    KIB,
    SECOND_STORE,
    SPOOL,
    Room,
    content,
    refuse,
    until,
)
from tests.doubles.faulty import FaultyStore
from tgdav.blocks.flushing.delivery import Delivery
from tgdav.blocks.form.pack import PackContents, parse_caption, read_pack
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import blocks, packed, packs, replicas, staged
from tgdav.errors import PackDamaged, StoreBusy, StoreError
from tgdav.stores.base import Locator


def contents(store: FaultyStore) -> list[PackContents]:
    """What the store's packs say, in the order of their keeping."""
    return [
        read_pack(
            lambda offset, size, locator=listed.locator: store.read(locator, offset, size),
            listed.size,
            KEYS,
        )
        for listed in store.scan(newest_first=False)
    ]


class Journal:
    """Rows that are numbered from 1; gives two at a time."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []

    def __call__(self, _connection: Connection, after: int) -> tuple[int, bytes]:
        given = self.rows[after : after + 2]
        return after + len(given), b"".join(given)


@pytest.fixture
def store(room: Room) -> FaultyStore:
    return room.store


# ---- what a flush does


def test_a_flush_leaves_nothing_on_this_machine(room: Room, store: FaultyStore) -> None:
    small, large = content(3 * KIB), content(400 * KIB, seed=2)
    extents = room.save(small), room.save(large)
    room.vault.flush()
    assert room.rows(staged) == 0
    assert set(room.column(replicas.c.store)) == {FIRST_STORE}
    assert room.spooled_files() == []
    assert (room.read(extents[0]), room.read(extents[1])) == (small, large)


def test_a_flush_with_nothing_to_do_does_nothing(room: Room, store: FaultyStore) -> None:
    room.vault.flush()
    room.save(content(10 * KIB))
    room.vault.flush()
    room.vault.flush()
    assert store.puts == 1


def test_many_small_saves_share_a_pack(room: Room, store: FaultyStore) -> None:
    extents = [room.save(content(200, seed)) for seed in range(300)]
    room.vault.flush()
    assert room.rows(packs) == 1
    for seed, kept in enumerate(extents):
        assert room.read(kept) == content(200, seed)


def test_what_is_staged_fills_packs_of_the_size_asked_for(room: Room) -> None:
    for seed in range(12):
        room.save(content(40 * KIB, seed))
    room.vault.flush()
    assert room.rows(packs) == 4
    assert max(room.column(packs.c.size)) <= 128 * KIB + 16 * KIB


def test_a_pack_says_what_is_in_it(room: Room, store: FaultyStore) -> None:
    room.save(content(20 * KIB))
    room.vault.flush()
    (said,) = contents(store)
    assert said.drive_id == room.drive.drive_id
    assert sorted(entry.block_id for entry in said.entries) == room.column(blocks.c.block_id)
    (listed,) = store.scan()
    assert parse_caption(listed.caption) is not None


# ---- when


def test_a_full_pack_is_made_at_once(room: Room, store: FaultyStore) -> None:
    room.open(sizes={"flush_age_s": 3600.0})
    room.vault.start()
    for seed in range(5):
        room.save(content(40 * KIB, seed))
    until(lambda: store.puts == 1)
    assert room.vault.status().staged_bytes > 0


def test_a_small_bound_on_staging_makes_smaller_packs(room: Room, store: FaultyStore) -> None:
    room.open(sizes={"staging_limit": 40 * KIB, "flush_age_s": 3600.0})
    room.vault.start()
    room.save(content(30 * KIB))
    # It may be packed while the save still stages: then the rest waits, below the bound.
    until(lambda: store.puts > 0 and room.vault.status().staged_bytes < 20 * KIB)


def test_an_old_block_is_packed_with_what_came_after_it(room: Room, store: FaultyStore) -> None:
    room.open(sizes={"flush_age_s": 0.5})
    room.vault.start()
    room.save(content(KIB, 1))
    room.save(content(KIB, 2))
    time.sleep(0.1)
    assert store.puts == 0
    until(lambda: room.rows(staged) == 0 and not room.spooled_files())
    assert store.puts == 1


def test_closing_flushes_what_it_can(room: Room, store: FaultyStore) -> None:
    room.vault.start()
    room.save(content(10 * KIB))
    room.vault.close(grace_s=10)
    assert room.rows(staged) == 0
    assert len(contents(store)) == 1


def test_closing_does_not_wait_for_a_store_that_is_away(
    room: Room, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    room.vault.start()
    refuse(store, StoreBusy("the store waits", 3600.0))
    extents = room.save(content(10 * KIB))
    started = time.monotonic()
    room.vault.close(grace_s=5)
    assert time.monotonic() - started < 5
    room.open()
    assert room.read(extents) == content(10 * KIB)


# ---- the journal


def test_the_journal_rides_with_the_blocks(room: Room, store: FaultyStore) -> None:
    journal = Journal()
    room.open(journal=journal)
    journal.rows = [b"one ", b"two ", b"three "]
    room.save(content(5 * KIB))
    room.vault.flush()
    assert sorted(said.journal for said in contents(store)) == [
        b"1 0 2\none two ",
        b"1 2 3\nthree ",
    ]
    assert sorted(bool(said.entries) for said in contents(store)) == [False, True]
    assert room.column(packed.c.journal) == [3]
    captions = [parse_caption(listed.caption) for listed in store.scan()]
    assert sorted(said.position for said in captions if said) == [2, 3]
    room.vault.flush()
    assert store.puts == 2


def test_a_journal_alone_makes_a_pack_now_and_then(room: Room, store: FaultyStore) -> None:
    journal = Journal()
    room.open(journal=journal, sizes={"journal_age_s": 1.5})
    room.vault.start()
    journal.rows.append(b"one ")
    until(lambda: store.puts == 1)
    journal.rows.append(b"two ")
    time.sleep(0.5)
    assert store.puts == 1
    until(lambda: store.puts == 2)
    assert [said.journal for said in contents(store)] == [b"1 0 1\none ", b"1 1 2\ntwo "]


def test_a_flush_ends_while_the_journal_grows(room: Room, store: FaultyStore) -> None:
    def ever_growing(_connection: Connection, after: int) -> tuple[int, bytes]:
        newest = int((time.monotonic() - started) * 1e6)
        return (newest, b"rows ") if newest > after + 2_000 else (after, b"")

    started = time.monotonic()
    room.open(journal=ever_growing)
    room.save(content(5 * KIB))
    time.sleep(0.01)
    room.vault.flush()
    assert store.puts == 1


# ---- stores in trouble


@pytest.mark.parametrize("trouble", [StoreBusy("it waits", 9.0), StoreError("it is away")])
def test_what_a_store_does_not_take_waits_in_the_spool(
    room: Room, store: FaultyStore, trouble: Exception
) -> None:
    refuse(store, trouble)
    extents = room.save(content(300 * KIB))
    with pytest.raises(type(trouble)):
        room.vault.flush()
    assert room.rows(staged) == 0
    assert set(room.column(replicas.c.store)) == {SPOOL}
    assert room.read(extents) == content(300 * KIB)
    store.heal()
    room.vault.flush()
    assert set(room.column(replicas.c.store)) == {FIRST_STORE}


def test_the_clock_tries_again_until_the_store_is_back(
    room: Room, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(store, StoreError("it is away"))
    room.vault.start()
    room.save(content(300 * KIB))
    until(lambda: store.puts >= 3)
    store.heal()
    until(lambda: not room.spooled_files())
    assert caplog.text.count("it is away") == 1


def test_a_store_that_is_away_is_not_asked_for_each_pack(room: Room, store: FaultyStore) -> None:
    refuse(store, StoreError("it is away"))
    room.save(content(1000 * KIB))
    assert room.rows(packs) == 8
    with pytest.raises(StoreError):
        room.vault.flush()
    assert store.puts == 2


@pytest.mark.parametrize(("concurrency", "most"), [(1, 2), (16, 4), (400, 8)])
def test_as_many_packs_go_out_at_once_as_the_store_takes(
    room: Room, store: FaultyStore, concurrency: int, most: int
) -> None:
    room.save(content(2000 * KIB))
    store.limits = replace(store.limits, concurrency=concurrency)
    store.delay_s, store.busiest = 0.3, 0
    room.vault.flush()
    assert room.rows(packs) == store.puts == 16
    assert store.busiest == most


def test_the_next_pack_does_not_wait_for_the_slowest(room: Room, store: FaultyStore) -> None:
    room.save(content(600 * KIB))
    slow, done = threading.Event(), threading.Event()
    first = Delivery(room.vault._workshop).waiting()[0].pack_id

    def put(pack_id: bytes, *rest: Any) -> Locator:
        if pack_id == first:
            slow.wait(20)
        return FaultyStore.put(store, pack_id, *rest)

    store.put = put
    flushing = threading.Thread(target=lambda: (room.vault.flush(), done.set()))
    flushing.start()
    until(lambda: store.puts == room.rows(packs) - 1)
    assert not done.is_set()
    slow.set()
    flushing.join(20)
    assert done.is_set()


def test_a_slow_put_keeps_its_lease(room: Room, store: FaultyStore) -> None:
    other = Leases(room.db)
    room.save(content(100 * KIB))
    room.vault.require_current()
    store.delay_s = 4 * 0.5  # the room's leases last half a second
    flushing = threading.Thread(target=room.vault.flush)
    flushing.start()
    until(lambda: store.busiest > 0)
    time.sleep(1)
    assert not other.acquire(f"spool {SPOOL}", 0.01)
    flushing.join(20)
    assert store.puts == 1


def test_the_spool_keeps_a_pack_until_all_promised_stores_have_it(
    room: Room, store: FaultyStore
) -> None:
    second = room.add_store()
    refuse(second, StoreError("it is away"))
    room.open(copies=2)
    room.save(content(100 * KIB))
    with pytest.raises(StoreError):
        room.vault.flush()
    assert set(room.column(replicas.c.store)) == {SPOOL, FIRST_STORE}
    assert room.vault.status().oldest_unflushed_ns is not None
    second.heal()
    room.vault.flush()
    assert set(room.column(replicas.c.store)) == {FIRST_STORE, SECOND_STORE}
    assert store.puts == 1
    assert room.vault.status().oldest_unflushed_ns is None


def test_a_pack_that_was_damaged_in_the_spool_goes_nowhere(room: Room, store: FaultyStore) -> None:
    room.save(content(300 * KIB))
    harmed, *_ = (room.folder / "spool").glob("??/*.pack")
    data = bytearray(harmed.read_bytes())
    data[1000] ^= 1
    harmed.write_bytes(data)
    with pytest.raises(PackDamaged):
        room.vault.flush()
    assert room.spooled_files() == [harmed.name]
    assert len(contents(store)) == room.rows(packs) - 1
    assert "suspect" in room.column(replicas.c.state)
    # Saving the content again brings the blocks back.
    assert room.read(room.save(content(300 * KIB))) == content(300 * KIB)


def test_a_damaged_pack_does_not_keep_the_clock_from_the_others(
    room: Room, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    room.save(content(100 * KIB))
    (harmed,) = (room.folder / "spool").glob("??/*.pack")
    harmed.write_bytes(bytes(harmed.stat().st_size))
    room.vault.start()
    until(lambda: "suspect" in room.column(replicas.c.state))
    for seed in range(2, 6):
        room.save(content(100 * KIB, seed))
        until(lambda: room.spooled_files() == [harmed.name], within_s=5)
    assert caplog.text.count("damaged in the spool") == 1


# ---- several processes


def test_a_flush_waits_for_the_process_that_is_at_it(room: Room, store: FaultyStore) -> None:
    other = Leases(room.db)
    room.save(content(10 * KIB))
    assert other.acquire("pack", 60)
    flushing = threading.Thread(target=room.vault.flush)
    flushing.start()
    time.sleep(0.5)
    assert flushing.is_alive()
    assert store.puts == 0
    other.release("pack")
    flushing.join(20)
    assert store.puts == 1


def test_a_flush_ends_when_another_process_has_done_it(room: Room, store: FaultyStore) -> None:
    first = room.vault
    room.save(content(10 * KIB))
    other = Leases(room.db)
    assert other.acquire("pack", 60)
    flushing = threading.Thread(target=room.open().flush)
    flushing.start()
    time.sleep(0.3)
    first._flusher._pack_all()  # what the other process does under its lease
    flushing.join(20)
    assert not flushing.is_alive()
    assert store.puts == 1
    first.close()


def test_a_pack_that_comes_meanwhile_waits_for_no_other(room: Room, store: FaultyStore) -> None:
    delivery = Delivery(room.vault._workshop)
    room.save(content(100 * KIB))
    store.delay_s = 3.0
    delivering = threading.Thread(target=delivery.deliver, args=(delivery.waiting, lambda: None))
    delivering.start()
    until(lambda: store.running == 1)
    room.save(content(100 * KIB, seed=2))
    until(lambda: store.running == 2, within_s=2)
    delivering.join(20)
    assert not delivering.is_alive()
    assert set(room.column(replicas.c.store)) == {FIRST_STORE}
    delivery.close()


def test_a_flush_waits_for_no_packs_that_came_later(room: Room, store: FaultyStore) -> None:
    room.open(sizes={"deliveries": 1, "deliveries_most": 1})
    room.vault.start()
    store.delay_s = 0.2
    seeds, is_over = count(), threading.Event()

    def save() -> None:
        while not is_over.is_set():
            room.save(content(100 * KIB, next(seeds)))
            time.sleep(0.1)

    saving = threading.Thread(target=save)
    saving.start()
    until(lambda: store.puts > 2)
    began = time.monotonic()
    room.vault.flush()
    assert time.monotonic() - began < 15
    is_over.set()
    saving.join(20)


def test_a_pack_that_another_process_delivers_meanwhile_is_no_trouble(
    room: Room, store: FaultyStore
) -> None:
    delivery = Delivery(room.vault._workshop)
    room.save(content(300 * KIB))
    waiting = delivery.waiting()
    room.vault.flush()
    puts = store.puts
    delivery.deliver(lambda: waiting, lambda: None)
    assert store.puts == puts
    assert set(room.column(replicas.c.state)) == {"sound"}
    delivery.close()


def test_saves_and_reads_go_on_while_packs_move(room: Room, store: FaultyStore) -> None:
    room.open(sizes={"flush_age_s": 0.0})
    room.vault.start()
    errors: list[BaseException] = []

    def work(first_seed: int) -> None:
        try:
            for seed in range(first_seed, first_seed + 6):
                data = content((seed % 3) * 150 * KIB + 700, seed)
                extents = room.save(data)
                for _ in range(3):
                    assert room.read(extents) == data
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(100 * no,)) for no in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    room.vault.flush()
    with room.db.read() as connection:
        assert connection.execute(select(staged)).all() == []
