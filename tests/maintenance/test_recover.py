import contextlib
import time

import pytest
from sqlalchemy import update

from tests import invariants
from tests.blocks.room import SECOND_STORE, content
from tests.maintenance import disaster
from tests.maintenance.disaster import Mischief
from tgdav.blocks.form.pack import parse_caption
from tgdav.blocks.recovery import rebuilding
from tgdav.blocks.rows import snapshots, uptime
from tgdav.blocks.rows.tables import blocks, drive
from tgdav.db import Database
from tgdav.errors import (
    ContentLost,
    DriveMissing,
    RecoveryIncomplete,
    StoreError,
    StoresAhead,
)
from tgdav.maintenance import restoring, snapshot
from tgdav.maintenance.expire import expire
from tgdav.maintenance.fsck import fsck
from tgdav.maintenance.gc import Graces, gc
from tgdav.tree.tables import history, journal, retired, trash


@pytest.fixture
def lost(db, tmp_path):
    made = disaster.machine(db, tmp_path / "lost")
    yield made
    made.close()


@pytest.fixture
def other_db(tmp_path):
    """A database for the machine on which the drive is recovered."""
    database = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    yield database
    database.close()


def same(one, other, *, root=True):
    """`root`: its times are in snapshots only."""
    before, after = disaster.state(one.db), disaster.state(other.db)
    for what, rows in before.items():
        is_told = [what != "nodes" or root or row[0] != 0 for row in rows]
        expected = [row for row, told in zip(rows, is_told, strict=True) if told]
        found = [row for row in after[what] if what != "nodes" or root or row[0] != 0]
        assert found == expected, what
    assert one.drive.found() == other.drive.found()


def test_a_drive_comes_back_from_its_journal(lost, other_db, tmp_path):
    Mischief(lost.drive).run(200)
    lost.flush()
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    same(lost, again, root=False)
    assert (done.snapshot_position, done.unsaved, done.lost_blocks) == (0, 0, 0)
    again.close()


def test_a_drive_comes_back_from_snapshot_and_journal(lost, other_db, tmp_path):
    mischief = Mischief(lost.drive)
    mischief.run(200)
    taken = lost.snapshots.take()
    assert taken.trimmed > 0
    mischief.run(200)
    lost.flush()
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    same(lost, again)
    assert done.snapshot_position == taken.position
    assert done.position > taken.position
    assert (done.unsaved, done.lost_blocks, done.notes) == (0, 0, [])
    again.close()


def kept(lost, kind):
    """What the store has of a kind, the newest first."""
    listed = [(each, parse_caption(each.caption)) for each in lost.room.store.scan()]
    return [each for each, said in listed if said and said.kind == kind]


def test_what_had_not_reached_a_store_never_happened(lost, other_db, tmp_path):
    """The journal may be ahead of the blocks: those packs were still to come."""
    lost.drive.save("/old", b"old" * 500, modified_ns=5)
    lost.flush()
    before = {each.locator for each in lost.room.store.scan()}
    lost.drive.save("/old", b"new" * 700)
    lost.drive.splice("/old", 0, b"newer" * 700)
    lost.drive.save("/fresh", b"fresh" * 900)
    lost.drive.save("/twin", b"fresh" * 900)
    lost.drive.copy("/fresh", "/copied")
    lost.drive.mkdir("/directory")
    lost.drive.move("/fresh", "/directory/moved")
    lost.drive.save("/last", b"")
    lost.flush()
    (pack,) = [each for each in lost.room.store.scan() if each.locator not in before]
    with_journal_alone(lost, pack)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert again.drive.found() == {"/old": b"old" * 500, "/directory": None, "/last": b""}
    assert again.drive.node("/old").modified_ns == 5
    assert sorted(done.unsaved_names) == ["copied", "moved", "old", "twin"]
    assert done.lost_blocks == 0
    again.close()


def test_what_is_given_back_may_have_been_given_up(lost, other_db, tmp_path):
    lost.drive.save("/f", b"old" * 500)
    lost.flush()
    before = {each.locator for each in lost.room.store.scan()}
    lost.drive.save("/f", b"new" * 700)
    lost.drive.tree.trash.forget_versions_older(time.time_ns())
    lost.flush()
    (pack,) = [each for each in lost.room.store.scan() if each.locator not in before]
    with_journal_alone(lost, pack)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert done.unsaved_names == ["f"]
    assert again.drive.found() == {"/f": b"old" * 500}
    again.close()


def test_a_snapshot_by_the_clock_does_not_overtake_what_it_names(lost, other_db, tmp_path):
    lost.drive.save("/doc", b"old" * 500)
    lost.flush()
    lost.drive.save("/doc", b"new" * 700)
    lost.drive.save("/fresh", b"fresh" * 900)
    lost.snapshots.run_if_due(1)
    delivery = lost.vault._flusher._delivery
    delivery.deliver(delivery.waiting, lambda: None)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert done.snapshot_position == 3
    assert (done.unsaved, done.lost_blocks) == (0, 0)
    same(lost, again)
    again.close()


def with_journal_alone(lost, listed):
    """Put in place of a pack one that has its journal and none of its blocks."""
    from tests.blocks.room import KEYS
    from tgdav.blocks.form.pack import PackWriter, read_pack

    store = lost.room.store
    contents = read_pack(lambda o, s: store.read(listed.locator, o, s), listed.size, KEYS)
    written = bytearray()
    aead = lost.room.drive.aead
    writer = PackWriter(written.extend, KEYS, aead, contents.drive_id, contents.pack_id)
    writer.journal(contents.journal)
    writer.finish()
    store.delete([listed.locator])
    store.put(contents.pack_id, bytes(written), listed.caption)


def test_a_torn_snapshot_is_passed_over(lost, other_db, tmp_path):
    mischief = Mischief(lost.drive)
    mischief.run(60)
    older = lost.snapshots.take()
    mischief.run(60)
    newer = lost.snapshots.take()
    mischief.run(30)
    lost.flush()
    assert newer.position > older.position
    damaged = kept(lost, "snapshot")[0]
    whole = lost.room.store.read(damaged.locator, 0, damaged.size)
    said = parse_caption(damaged.caption)
    lost.room.store.delete([damaged.locator])
    torn = bytearray(whole)
    torn[200] ^= 1
    lost.room.store.put(said.pack_id, bytes(torn), damaged.caption)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    same(lost, again)
    assert done.snapshot_position == older.position
    assert str(newer.position) in done.notes[0]
    again.close()


def test_a_snapshot_without_its_last_part_is_passed_over(lost, other_db, tmp_path):
    Mischief(lost.drive).run(60)
    lost.snapshots.take()
    lost.room.store.delete([kept(lost, "snapshot")[0].locator])
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    same(lost, again, root=False)
    assert done.snapshot_position == 0
    again.close()


def test_a_missing_journal_pack_is_named_and_nothing_given_up(lost, other_db, tmp_path):
    for name in "abc":
        lost.drive.save(f"/{name}", name.encode() * 50)
        lost.flush()
    newest_first = kept(lost, "pack")
    gone = newest_first[1]
    whole = lost.room.store.read(gone.locator, 0, gone.size)
    lost.room.store.delete([gone.locator])
    recovery = disaster.recovering(other_db, furnished(other_db, lost, tmp_path))
    with pytest.raises(RecoveryIncomplete, match="changes 2 to 2"):
        recovery.run()
    lost.room.store.put(parse_caption(gone.caption).pack_id, whole, gone.caption)
    recovery.run()
    assert disaster.state(other_db)["nodes"][1:] == disaster.state(lost.db)["nodes"][1:]


def furnished(db, lost, folder):
    (folder / "again").mkdir()
    return disaster.furnish(db, folder / "again", lost.room)


def test_what_is_accepted_to_be_missing_ends_before_the_gap(lost, other_db, tmp_path):
    for name in "abc":
        lost.drive.save(f"/{name}", name.encode() * 50)
        lost.flush()
    lost.room.store.delete([kept(lost, "pack")[1].locator])
    again, done = disaster.recovered(other_db, lost, tmp_path / "again", accept_loss=True)
    assert again.drive.found() == {"/a": b"a" * 50}
    assert done.notes[-1] == "no pack at hand has the changes 2 to 2"
    again.close()


def test_lost_content_shows_its_name_and_heals_when_it_is_saved_again(lost, other_db, tmp_path):
    data = content(30_000)
    lost.drive.save("/f", data)
    lost.flush()
    gone = kept(lost, "pack")[0]
    lost.drive.save("/g", b"other")
    lost.snapshots.take()
    lost.room.store.delete([gone.locator])
    room = furnished(other_db, lost, tmp_path)
    with pytest.raises(RecoveryIncomplete, match="blocks that files need"):
        disaster.recovering(other_db, room).run()
    done = disaster.recovering(other_db, room, accept_loss=True).run()
    assert done.lost_blocks > 0
    room.drive = done.drive
    again = disaster.Machine(room)
    assert again.drive.read("/g") == b"other"
    with pytest.raises(ContentLost):
        again.drive.read("/f")
    again.drive.save("/same", data)
    assert again.drive.read("/f") == data
    again.flush()
    invariants.check(other_db)
    again.close()


def clear(machine):
    """Expire and collect what was given up, as weeks of serving do."""
    later_ns = time.time_ns() + 60 * 86400 * 10**9
    nothing = {"keep_s": 30 * 86400, "now_ns": later_ns}
    expire(machine.db, machine.drive.tree.trash, lambda *_: None, **nothing)
    with machine.db.read() as connection:
        floor = snapshots.needed_since(connection)
    for _ in range(5):
        told = {"graces": Graces(), "dry": False, "yes": True, "floor": floor, "now_ns": later_ns}
        gc(machine.vault.workshop, lambda *_: None, **told)
        uptime.add(machine.db, 2 * 86400 * 10**9)
        machine.flush()


def test_what_was_given_up_and_collected_is_not_missed(lost, other_db, tmp_path):
    """The snapshot has it still."""
    for number in range(12):
        lost.drive.save(f"/{number}", content(30_000, number))
    lost.drive.save("/11", content(30_000, 100))
    lost.snapshots.take()
    for number in range(9):
        lost.drive.delete(f"/{number}")
    lost.flush()
    clear(lost)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert (done.snapshot_position, done.unsaved, done.lost_blocks) == (13, 0, 0)
    same(lost, again)
    assert list(fsck(again.vault.workshop)) == []
    clear(again)
    again.close()


def test_nor_in_the_journal_where_a_store_is_not_at_hand(lost, other_db, tmp_path):
    lost.drive.save("/kept", content(30_000))
    lost.snapshots.take()
    lost.drive.save("/f", content(30_000, 2))
    lost.flush()
    lost.drive.save("/f", content(30_000, 3))
    lost.flush()
    clear(lost)
    lost.room.record_store(SECOND_STORE, "memory")
    lost.snapshots.tell()
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert (done.snapshot_position, done.unsaved, done.lost_blocks) == (1, 0, 0)
    same(lost, again)
    again.close()


def test_a_store_out_of_reach_is_not_an_empty_one(lost, other_db, tmp_path):
    Mischief(lost.drive).run(30)
    lost.flush()
    room = furnished(other_db, lost, tmp_path)
    broken = room.add_store() if len(room.stores) < 2 else None
    assert broken is not None
    broken.close()
    with pytest.raises(StoreError):
        disaster.recovering(other_db, room).run()


def test_what_was_kept_is_kept_from_when_the_journal_says(lost, other_db, tmp_path):
    """Not from the recovery: old versions would else be kept for their time once more."""
    lost.drive.save("/old", b"1")
    lost.drive.save("/old", b"22")
    lost.drive.save("/away", b"333")
    lost.drive.delete("/away")
    lost.drive.save("/over", b"4444")
    lost.drive.copy("/old", "/over")
    then_ns = 10**18
    lost.db.write(lambda c: c.execute(update(journal).values(at_ns=then_ns)))
    lost.flush()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    assert set(again.room.column(history.c.retired_ns)) == {then_ns}
    assert set(again.room.column(retired.c.retired_ns)) == {then_ns}
    assert set(again.room.column(trash.c.deleted_ns)) == {then_ns}
    again.close()


def test_a_drive_comes_back_into_postgresql_and_its_numbers_go_on(other_db, postgres_url, tmp_path):
    lost = disaster.machine(other_db, tmp_path / "lost")
    Mischief(lost.drive).run(60)
    lost.snapshots.take()
    lost.drive.save("/late", b"x")
    lost.flush()
    with contextlib.closing(Database.open(postgres_url)) as db:
        again, done = disaster.recovered(db, lost, tmp_path / "again")
        same(lost, again)
        again.drive.save("/new", b"numbers go on")
        assert again.room.column(journal.c.no) == [done.position + 1]
        again.flush()
        again.close()
    lost.close()


def test_a_clock_set_back_changes_nothing(lost, other_db, tmp_path, monkeypatch):
    """What is newer is told by numbers, not by times."""
    mischief = Mischief(lost.drive)
    mischief.run(40)
    lost.snapshots.take()
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() - 30 * 86400 * 10**9)
    mischief.run(40)
    newer = lost.snapshots.take()
    mischief.run(40)
    lost.flush()
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    same(lost, again)
    assert done.snapshot_position == newer.position
    again.snapshots.tell()
    lost.vault._flusher.horizon._good_until = 0
    with pytest.raises(StoresAhead):
        lost.flush()
    again.close()


class Stopped(Exception):
    pass


def test_a_recovery_stopped_anywhere_goes_on(lost, tmp_path, monkeypatch):
    monkeypatch.setattr(restoring, "REPLAYED", 9)
    monkeypatch.setattr(rebuilding, "BLOCKS", 20)
    monkeypatch.setattr(snapshot, "CHUNK", 3000)
    mischief = Mischief(lost.drive)
    mischief.run(80)
    lost.snapshots.take()
    mischief.run(80)
    lost.flush()
    other_db = Database.open(f"sqlite:///{tmp_path / 'stopped.db'}")
    room = furnished(other_db, lost, tmp_path)
    stops = 0
    write = other_db.write
    while True:
        left = [1 + stops]

        def failing(work, left=left):
            told = write(work)
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
            return told

        other_db.write = failing  # each run is stopped after one commit more
        try:
            disaster.recovering(other_db, room).run()
        except Stopped:
            stops += 1
            if room.rows(drive):
                break
        else:
            break
    other_db.write = write
    assert stops > 10
    invariants.check(other_db)
    assert disaster.state(other_db) == disaster.state(lost.db)
    other_db.close()


def test_another_drives_recovery_is_not_gone_on_with(lost, other_db, tmp_path):
    lost.drive.save("/f", b"x")
    lost.flush()
    room = furnished(other_db, lost, tmp_path)
    restoring.begin(other_db, lost.room.drive.drive_id)
    room.drive = lost.room.drive.__class__(bytes(16), 1, b"", 1, lost.room.drive.chunks)
    with pytest.raises(DriveMissing):
        disaster.recovering(other_db, room).run()


def test_nothing_of_a_recovery_is_left_behind(lost, other_db, tmp_path):
    Mischief(lost.drive).run(50)
    lost.snapshots.take()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    from tgdav.blocks.rows.tables import found, recovery
    from tgdav.tree.tables import unsaved

    assert [again.room.rows(table) for table in (found, recovery, unsaved)] == [0, 0, 0]
    assert again.room.rows(blocks) == lost.room.rows(blocks)
    again.close()
