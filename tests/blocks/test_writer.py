import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from tests.blocks.room import FIRST_STORE, KIB, SPOOL, Room, content
from tgdav.blocks.rows.tables import blocks, holds, packs, replicas, staged, stores
from tgdav.blocks.vault import BlockWriter, Draft, Extent
from tgdav.db import Database
from tgdav.errors import Busy, ContentLost, DiskFull, StagingFull, StoreError
from tgdav.stores.base import Buffer
from tgdav.stores.directory import DirectoryStore, PackSink


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 20 * KIB, 60 * KIB, 300 * KIB, 1024 * KIB])
def test_what_was_saved_is_read_back(room: Room, size: int, announced: bool) -> None:
    data = content(size)
    extents = room.save(data, announced=announced)
    assert sum(extent.size for extent in extents) == size
    assert room.read(extents) == data


def test_how_it_is_fed_does_not_matter(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'drive.db'}")
    room = Room(database, tmp_path)
    room.open()

    @settings(max_examples=25, deadline=None)
    @given(size=st.integers(0, 90_000), step=st.integers(1, 40_000), seed=st.integers(0, 3))
    def check(size: int, step: int, seed: int) -> None:
        extents = room.save(content(size, seed), step=step)
        assert room.read(extents) == content(size, seed)

    check()
    room.vault.close()
    database.close()


def test_a_small_save_is_recorded_nowhere_before_it_is_published(room: Room) -> None:
    draft = room.draft(content(5000))
    assert (room.rows(blocks), room.rows(staged), room.rows(packs)) == (0, 0, 0)
    assert room.spooled_files() == []
    extents = room.publish(draft)
    assert room.rows(staged) == room.rows(blocks) == len(extents)


def test_publishing_may_run_again(room: Room) -> None:
    draft = room.draft(content(40 * KIB))
    pieces, pending = list(draft.pieces), draft.pending

    def overtaken(connection: object) -> None:
        room.vault.adopt(connection, draft)
        raise Busy("overtaken")

    for _ in range(2):
        with pytest.raises(Busy):
            room.db.write(overtaken)
    assert room.rows(blocks) == len(draft.pieces) - len(draft.pending)
    assert (list(draft.pieces), draft.pending) == (pieces, pending)
    assert room.read(room.publish(draft)) == content(40 * KIB)


@pytest.mark.parametrize("size", [3 * KIB, 40 * KIB, 500 * KIB])
def test_leaving_without_finish_leaves_nothing(room: Room, size: int) -> None:
    with room.vault.writer(size) as writer:
        writer.write(content(size))
    assert room.budget.used == 0
    room.vault.close()
    assert not [name for name in room.spooled_files() if name.endswith(".part")]
    assert room.rows(holds) == 0


def test_equal_chunks_in_one_save_are_kept_once(room: Room) -> None:
    part = content(64 * KIB)
    extents = room.save(part * 8)
    assert room.read(extents) == part * 8
    with room.db.read():
        kept = sum(room.column(blocks.c.size))
    assert kept <= 2 * len(part) + 2 * 16 * KIB


def test_32_mib_saved_twice_store_nothing_new(room: Room) -> None:
    room.open(sizes={"pack_size": 4 << 20, "spool_limit": 1 << 30})
    data = content(32 << 20)
    first = room.save(data, step=1 << 20)
    before = room.vault.status()
    assert room.save(data, step=1 << 20) == first
    assert room.vault.status() == before


@pytest.mark.parametrize("place", ["staged", "spooled", "in a store"])
def test_known_blocks_cost_nothing_wherever_they_are(room: Room, place: str) -> None:
    data = content(40 * KIB if place == "staged" else 400 * KIB)
    first = room.save(data)
    if place == "in a store":
        room.vault.flush()
    before = room.vault.status()
    assert room.save(data) == first
    assert room.vault.status() == before


def test_a_byte_inserted_in_front_costs_a_few_blocks(room: Room) -> None:
    data = content(1 << 20)
    room.save(data)
    before = room.rows(blocks)
    assert room.read(room.save(b"+" + data)) == b"+" + data
    assert room.rows(blocks) - before <= 4


def test_a_big_save_makes_even_packs(room: Room) -> None:
    room.save(content(5 * 128 * KIB + 30 * KIB))
    assert room.rows(packs) == 5
    assert min(room.column(packs.c.size)) > 100 * KIB
    assert sum(room.column(staged.c.sealed_size)) <= 16 * KIB


def test_an_unannounced_save_is_staged_until_it_is_big(room: Room) -> None:
    with room.vault.writer() as writer:
        writer.write(content(60 * KIB))
        assert room.rows(packs) == room.rows(staged) == 0
        (log,) = (room.folder / "staging").iterdir()
        assert 30 * KIB < log.stat().st_size <= 64 * KIB
        writer.write(content(300 * KIB, seed=2))
        draft = writer.finish()
    assert room.rows(packs) >= 2
    assert room.read(room.publish(draft)) == content(60 * KIB) + content(300 * KIB, seed=2)


def test_two_saves_of_one_content_at_once_make_one_set_of_blocks(room: Room) -> None:
    data = content(600 * KIB)
    drafts: list[Draft] = []
    threads = [threading.Thread(target=lambda: drafts.append(room.draft(data))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = [room.publish(draft) for draft in drafts]
    assert len(published) == 4
    assert all(room.read(extents) == data for extents in published)
    assert sum(room.column(blocks.c.size)) == len(data)


def test_a_block_that_vanished_is_told_and_saved_anew(room: Room) -> None:
    data = content(40 * KIB)
    room.save(data)
    draft = room.draft(data)
    room.db.write(lambda c: (c.execute(delete(staged)), c.execute(delete(blocks))))
    with pytest.raises(Busy):
        room.publish(draft)
    assert room.rows(blocks) == 0
    assert room.read(room.save(data)) == data


@pytest.mark.parametrize("size", [40 * KIB, 400 * KIB])
@pytest.mark.parametrize("loss", ["suspect", "gone"])
def test_a_lost_block_is_kept_again_and_heals_old_files(room: Room, loss: str, size: int) -> None:
    old = room.save(content(size))
    room.vault.flush()
    room.store.delete([listed.locator for listed in room.store.scan()])
    if loss == "gone":
        room.db.write(
            lambda c: c.execute(
                update(stores).values(state="gone").where(stores.c.no == FIRST_STORE)
            )
        )
    for extent in old:
        with pytest.raises(ContentLost):
            room.read(old, extent.offset, extent.offset + 1)
    new = room.save(content(size))
    assert room.read(new) == room.read(old) == content(size)
    assert [extent.block for extent in new] == [extent.block for extent in old]


def test_a_long_save_holds_what_it_relies_on_until_it_is_published(room: Room) -> None:
    room.open(sizes={"hold_after_s": 0.0, "hold_for_s": 0.0})
    data = content(300 * KIB)
    extents = room.save(data)
    draft = room.draft(data)
    held = set(room.column(holds.c.block))
    assert held
    assert held <= {extent.block for extent in extents}
    room.publish(draft)
    assert room.rows(holds) == 0


def test_a_hold_ends_with_a_save_that_is_given_up(room: Room) -> None:
    room.open(sizes={"hold_after_s": 0.0})
    data = content(100 * KIB)
    room.save(data)
    with room.vault.writer() as writer:
        writer.write(data)
        assert room.rows(holds) > 0
    assert room.rows(holds) == 0
    draft = room.draft(data)
    assert room.rows(holds) > 0
    room.vault.release(draft)
    assert room.rows(holds) == 0


def test_at_the_bound_no_save_begins_and_reads_go_on(room: Room) -> None:
    room.open(sizes={"staging_limit": 30 * KIB})
    extents = room.save(content(30 * KIB))
    with pytest.raises(StagingFull) as refusal:
        room.vault.writer(10)
    assert refusal.value.retry_after_s > 0
    assert room.read(extents) == content(30 * KIB)
    room.vault.flush()
    room.save(content(20 * KIB, seed=2))


def test_a_running_save_waits_for_room_and_then_gives_up(room: Room) -> None:
    room.open(sizes={"spool_limit": 300 * KIB})
    with pytest.raises(StagingFull):
        room.save(content(2000 * KIB))
    room.vault.flush()

    room.open(sizes={"spool_limit": 300 * KIB, "patience_s": 20.0})
    saved = threading.Event()

    def flush_until_saved() -> None:
        while not saved.wait(0.1):
            room.vault.flush()

    flushing = threading.Thread(target=flush_until_saved)
    flushing.start()
    try:
        draft = room.draft(content(1000 * KIB, seed=2), step=KIB)
    finally:
        saved.set()
        flushing.join()
    assert room.read(room.publish(draft)) == content(1000 * KIB, seed=2)


class FullDisk(DirectoryStore):
    """A spool whose disk has no room for more than `room` bytes of a pack."""

    room = 100 * KIB

    def create(self, pack_id: bytes, caption: str) -> PackSink:
        sink = super().create(pack_id, caption)
        write, left = sink.write, [self.room]

        def bounded(data: Buffer) -> None:
            left[0] -= len(data)
            if left[0] < 0:
                raise DiskFull("the disk of a store is full")
            write(data)

        sink.write = bounded  # type: ignore[method-assign]
        return sink


def test_a_full_disk_is_told_leaves_nothing_and_comes_back(room: Room) -> None:
    room.spool = FullDisk.make(room.folder / "spool")
    room.open()
    with pytest.raises(DiskFull):
        room.save(content(400 * KIB))
    assert room.spooled_files() == []
    assert room.rows(packs) == 0
    room.spool.room = 1 << 30
    assert room.read(room.save(content(400 * KIB))) == content(400 * KIB)


class SlowDisk(DirectoryStore):
    """A spool whose first pack is not written to before `go_on`."""

    begun = threading.Event()
    go_on = threading.Event()

    def create(self, pack_id: bytes, caption: str) -> PackSink:
        self.begun.set()
        assert self.go_on.wait(20)
        return super().create(pack_id, caption)


@pytest.fixture
def slow(room: Room) -> SlowDisk:
    slow = room.spool = SlowDisk.make(room.folder / "spool")
    slow.begun, slow.go_on = threading.Event(), threading.Event()
    room.open()
    return slow


def write_until_begun(writer: BlockWriter, data: bytes, slow: SlowDisk) -> int:
    """Write until the disk is asked for something; how much was written."""
    at = 0
    while not slow.begun.wait(0.05):
        writer.write(data[at : at + KIB])
        at += KIB
    return at


def test_bytes_are_taken_while_those_before_wait_for_the_disk(room: Room, slow: SlowDisk) -> None:
    data = content(400 * KIB)
    with room.vault.writer(len(data)) as writer:
        at = write_until_begun(writer, data, slow)
        writer.write(data[at : at + KIB])
        slow.go_on.set()
        writer.write(data[at + KIB :])
        draft = writer.finish()
    assert room.read(room.publish(draft)) == data


def test_a_save_given_up_leaves_nothing_to_those_who_work_on_it(room: Room, slow: SlowDisk) -> None:
    data = content(400 * KIB)
    with room.vault.writer(len(data)) as writer:
        write_until_begun(writer, data, slow)
        threading.Timer(0.2, slow.go_on.set).start()
    assert slow.go_on.is_set()
    assert room.spooled_files() == []
    assert room.rows(blocks) == 0
    assert room.vault.status().memory_bytes == 0


@pytest.mark.parametrize("size", [500, 30 * KIB, 400 * KIB])
def test_a_save_that_waits_for_the_stores_ends_when_they_have_it(room: Room, size: int) -> None:
    room.open(in_stores=True)
    room.store.is_away = True
    with pytest.raises(StoreError):
        room.draft(content(size))
    assert room.rows(packs) == 0
    assert room.spooled_files() == []
    room.store.heal()
    draft = room.draft(content(size))
    assert draft.pending == ()
    assert set(room.column(replicas.c.store)) == {FIRST_STORE}
    assert SPOOL not in room.column(replicas.c.store)
    assert room.rows(staged) == 0
    assert room.spooled_files() == []
    assert room.read(room.publish(draft)) == content(size)


def test_extents_follow_each_other(room: Room) -> None:
    extents = room.save(content(300 * KIB))
    at = 0
    for extent in extents:
        assert extent == Extent(at, extent.size, extent.block, 0)
        at += extent.size
