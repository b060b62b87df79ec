import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.blocks.room import FIRST_STORE, KIB, SECOND_STORE, SPOOL, Room, content, until
from tgdav.blocks.rows.roster import StoreRow
from tgdav.blocks.rows.tables import blocks, packs, replicas, stores
from tgdav.blocks.slabs import Slabs
from tgdav.errors import StoreBusy, StoreError
from tgdav.stores.base import Store
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.memory import MemoryStore


def set_state(room: Room, no: int, state: str) -> None:
    room.db.write(lambda c: c.execute(update(stores).values(state=state).where(stores.c.no == no)))


# ---- figures


def test_an_empty_room_has_nothing(room: Room) -> None:
    status = room.vault.status()
    assert (status.blocks, status.block_bytes, status.sealed_bytes, status.packs) == (0, 0, 0, 0)
    assert (status.staged_bytes, status.spool_bytes, status.memory_bytes) == (0, 0, 0)
    assert status.oldest_unflushed_ns is None


def test_the_figures_are_what_is_there(room: Room) -> None:
    began = time.time_ns()
    room.save(bytes(16 * KIB) + content(10 * KIB))
    room.save(content(300 * KIB, seed=2))
    status = room.vault.status()
    assert status.blocks == room.rows(blocks)
    assert status.block_bytes == sum(room.column(blocks.c.size)) == 326 * KIB
    assert status.sealed_bytes == sum(room.column(blocks.c.sealed_size)) < status.block_bytes
    assert status.packs == room.rows(packs) == 2
    assert status.spool_bytes == sum(room.column(packs.c.size))
    assert 0 < status.staged_bytes < 40 * KIB
    assert status.oldest_unflushed_ns is not None
    assert began <= status.oldest_unflushed_ns <= time.time_ns()


def test_figures_beside_the_memory_are_plain_whole_numbers(room: Room) -> None:
    room.save(content(300 * KIB))
    room.vault.flush()
    status = room.vault.status()
    for figure in (status.blocks, status.block_bytes, status.spool_bytes, status.staged_bytes):
        assert type(figure) is int


def test_a_running_save_shows_in_the_memory(room: Room) -> None:
    with room.vault.writer(100) as writer:
        writer.write(content(100))
        assert room.vault.status().memory_bytes == 100
    assert room.vault.status().memory_bytes == 0


def test_the_oldest_waits_from_when_it_was_staged_until_the_stores_have_it(room: Room) -> None:
    room.save(content(5 * KIB))
    staged_ns = room.vault.status().oldest_unflushed_ns
    room.save(content(5 * KIB, seed=2))
    assert room.vault.status().oldest_unflushed_ns == staged_ns
    room.vault.flush()
    assert room.vault.status().oldest_unflushed_ns is None


def test_every_store_says_what_it_keeps(room: Room) -> None:
    room.save(content(300 * KIB))
    spool, store = room.vault.stores()
    assert (spool.no, spool.kind, spool.packs, store.packs) == (SPOOL, "spool", 2, 0)
    room.vault.flush()
    spool, store = room.vault.stores()
    assert (spool.packs, spool.bytes, store.packs) == (0, 0, room.rows(packs))
    assert store.bytes == sum(room.column(packs.c.size))


# ---- stores that come and go


def opener(made: dict[int, Store]) -> Callable[[StoreRow], Store]:
    def open_store(row: StoreRow) -> Store:
        if row.no not in made:
            raise StoreError("its disk is not there")
        return made[row.no]

    return open_store


def test_a_store_that_another_process_adds_is_used(room: Room) -> None:
    made: dict[int, Store] = {FIRST_STORE: room.stores[FIRST_STORE]}
    room.open(copies=2, open_store=opener(made))
    room.vault.start()
    extents = room.save(content(300 * KIB))
    until(lambda: FIRST_STORE in room.column(replicas.c.store))
    made[SECOND_STORE] = MemoryStore()
    room.record_store(SECOND_STORE, "memory")
    until(lambda: not room.spooled_files())
    room.vault.flush()
    assert set(room.column(replicas.c.store)) == {FIRST_STORE, SECOND_STORE}
    assert room.read(extents) == content(300 * KIB)


def test_a_draining_store_is_read_and_gets_nothing(room: Room) -> None:
    made: dict[int, Store] = {FIRST_STORE: MemoryStore(), SECOND_STORE: MemoryStore()}
    room.record_store(SECOND_STORE, "memory")
    room.open(open_store=opener(made))
    room.vault.refresh()
    old = room.save(content(100 * KIB))
    room.vault.flush()
    set_state(room, FIRST_STORE, "draining")
    room.vault.refresh()
    room.save(content(100 * KIB, seed=2))
    room.vault.flush()
    assert set(room.column(replicas.c.store)) == {FIRST_STORE, SECOND_STORE}
    assert room.read(old) == content(100 * KIB)
    set_state(room, FIRST_STORE, "gone")
    room.vault.refresh()
    assert not room.pool.has(FIRST_STORE)


def test_a_store_that_does_not_open_is_told_once_and_tried_again(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    made: dict[int, Store] = {FIRST_STORE: room.stores[FIRST_STORE]}
    room.record_store(SECOND_STORE, "memory")
    room.open(open_store=opener(made))
    for _ in range(3):
        room.vault.refresh()
        time.sleep(0.05)
    assert caplog.text.count("its disk is not there") == 1
    assert not room.pool.has(SECOND_STORE)
    assert room.column(stores.c.trouble) == ["", "", "its disk is not there"]
    made[SECOND_STORE] = MemoryStore()
    until(lambda: room.vault.refresh() or room.pool.has(SECOND_STORE))
    assert room.column(stores.c.trouble) == ["", "", ""]


def test_a_store_that_does_not_open_is_tried_less_and_less_often(room: Room) -> None:
    tries: list[float] = []

    def open_store(row: StoreRow) -> Store:
        if row.no == FIRST_STORE:
            return room.stores[row.no]
        tries.append(time.monotonic())
        raise StoreBusy("it waits", 0.3 if len(tries) == 3 else 0.0)

    room.record_store(SECOND_STORE, "memory")
    room.open(open_store=open_store, sizes={"refresh_s": 0.05})
    until(lambda: room.vault.refresh() or len(tries) == 5)
    pauses = [after - before for before, after in pairwise(tries)]
    for pause, least in zip(pauses, (0.05, 0.1, 0.3, 0.6), strict=True):
        assert pause >= least


def test_on_one_disk_a_store_takes_the_spools_file_itself(room: Room, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    room.stores[FIRST_STORE] = DirectoryStore.make(folder)
    room.open()
    extents = room.save(content(300 * KIB))
    spooled = {path.stat().st_ino for path in (room.folder / "spool").glob("??/*.pack")}
    assert len(spooled) == 2
    room.vault.flush()
    assert spooled <= {path.stat().st_ino for path in folder.glob("??/*.pack")}
    assert room.spooled_files() == []
    assert room.read(extents) == content(300 * KIB)


# ---- memory and threads


def test_many_saves_and_reads_at_once_stay_within_the_memory(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgdav.blocks.slabs.SMALL", 0)
    monkeypatch.setattr("tgdav.blocks.slabs.ROUND", KIB)
    room.open(budget=256 * KIB)
    lent = Lent(256 * KIB // 8)
    object.__setattr__(room.vault._workshop, "slabs", lent)
    kept = room.save(content(500 * KIB))
    wrong: list[int] = []

    def save(seed: int) -> None:
        if room.read(room.save(content(200 * KIB, seed), step=700)) != content(200 * KIB, seed):
            wrong.append(seed)

    def read(seed: int) -> None:
        if room.read(kept, seed) != content(500 * KIB)[seed:]:
            wrong.append(seed)

    jobs = [(save, seed) for seed in range(2, 10)] + [(read, seed) for seed in range(16)]
    threads = [threading.Thread(target=work, args=(seed,)) for work, seed in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    # A window of 16 KiB for each reader, the bench's 64 KiB, and what is fetched ahead.
    assert lent.most < 256 * KIB + 24 * 2 * 16 * KIB


class Lent(Slabs):
    """Slabs that know how much is lent at most."""

    def __init__(self, keep: int) -> None:
        super().__init__(keep)
        self.now = self.most = 0
        self.counting = threading.Lock()

    def take(self, size: int) -> memoryview:
        loan = super().take(size)
        with self.counting:
            self.now += size
            self.most = max(self.most, self.now)
        return loan

    def give(self, loan: object) -> None:
        if isinstance(loan, memoryview) and isinstance(loan.obj, bytearray):
            with self.counting:
                self.now -= len(loan)
        super().give(loan)


def test_closing_leaves_no_thread_behind(room: Room) -> None:
    before = threading.active_count()
    room.open()
    room.vault.start()
    room.read(room.save(content(300 * KIB)))
    room.vault.close()
    until(lambda: threading.active_count() <= before)


def test_what_one_vault_keeps_another_process_reads(room: Room) -> None:
    data = content(300 * KIB)
    extents = room.save(data)
    room.open()
    assert room.read(extents) == data
    assert room.save(data) == extents
