import contextlib
import shutil
import time

import pytest
from sqlalchemy import select, update

from tests import invariants
from tests.blocks.room import FIRST_STORE, content, refuse
from tests.maintenance import disaster
from tests.maintenance.disaster import Mischief
from tgdav.blocks.form import payload
from tgdav.blocks.form.pack import caption, parse_caption
from tgdav.blocks.rows import index, snapshots
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import packs, replicas
from tgdav.db import Database
from tgdav.errors import Busy, StoreBusy, StoresAhead
from tgdav.maintenance import snapshot
from tgdav.maintenance.snapshot import Snapshots
from tgdav.stores.pool import Replica
from tgdav.tree import journal as machine_journal
from tgdav.tree.tables import journal

OTHER_SPOOL = 77


@pytest.fixture
def machine(db, tmp_path):
    made = disaster.machine(db, tmp_path / "machine")
    yield made
    made.close()
    invariants.check(db)


def captions(machine, kind):
    said = [parse_caption(each.caption) for each in machine.room.store.scan()]
    return [each for each in said if each and each.kind == kind]


def complete(machine):
    with machine.db.read() as connection:
        return snapshots.complete(connection)


def test_a_snapshot_has_as_many_parts_as_it_takes(machine, monkeypatch):
    monkeypatch.setattr(snapshot, "CHUNK", 3000)
    for number in range(300):
        machine.drive.save(f"/{number}", content(3000, number))
    machine.flush()
    told = []
    object.__setattr__(machine.vault.workshop.sizes, "pack_size", 8000)
    taken = machine.snapshots.take(told.append)
    assert taken.parts > 1
    assert told == sorted(told)
    assert len(captions(machine, "snapshot")) == taken.parts
    (found,) = complete(machine)
    assert (found.position, found.bytes) == (taken.position, taken.bytes)


def test_the_last_three_are_kept_and_their_packs_only(machine):
    for number in range(5):
        machine.drive.save(f"/{number}", b"x")
        machine.snapshots.take()
    assert [each.position for each in complete(machine)] == [5, 4, 3]
    assert [each.position for each in captions(machine, "snapshot")] == [5, 4, 3]
    assert len(captions(machine, "head")) == 1
    with machine.db.read() as connection:
        kinds = connection.scalars(select(packs.c.kind).where(packs.c.kind != "pack")).all()
        assert snapshots.needed_since(connection) == 3
    assert sorted(kinds) == ["head", "snapshot", "snapshot", "snapshot"]


def test_the_journal_goes_from_the_database_when_packs_and_a_snapshot_have_it(machine):
    Mischief(machine.drive).run(60)
    before = machine.room.rows(journal)
    taken = machine.snapshots.take()
    assert (taken.trimmed, machine.room.rows(journal)) == (before, 0)
    machine.drive.save("/a", b"later")
    assert machine.room.column(journal.c.no)[0] > taken.position


def test_the_clock_takes_one_when_it_is_due_and_not_before(machine):
    machine.snapshots.run_if_due(10)
    assert complete(machine) == []
    machine.drive.save("/a", b"1")
    machine.snapshots.run_if_due(10)
    assert len(complete(machine)) == 1
    for number in range(9):
        machine.drive.save("/a", bytes([number]))
    machine.snapshots.run_if_due(10)
    assert len(complete(machine)) == 1
    machine.drive.save("/a", b"tenth")
    machine.snapshots.run_if_due(10)
    assert len(complete(machine)) == 2


def test_one_process_at_a_time_takes_one(machine):
    Leases(machine.db, "another").acquire("snapshot", 60)
    with pytest.raises(Busy):
        machine.snapshots.take()
    machine.snapshots.run_if_due()
    assert complete(machine) == []


class Killed(BaseException):
    pass


def test_one_that_was_torn_is_cleared_away_by_the_next(machine, monkeypatch):
    monkeypatch.setattr(snapshot, "CHUNK", 3000)
    Mischief(machine.drive).run(100)
    machine.flush()
    object.__setattr__(machine.vault.workshop.sizes, "pack_size", 2000)

    def die(told):
        if told > 9000:
            raise Killed

    with pytest.raises(Killed):
        machine.snapshots.take(die)
    machine.flush()
    torn = captions(machine, "snapshot")
    assert torn
    assert complete(machine) == []
    machine.snapshots.take()
    left = captions(machine, "snapshot")
    assert not {each.pack_id for each in torn} & {each.pack_id for each in left}
    assert len(complete(machine)) == 1


def test_a_store_that_takes_nothing_costs_no_older_snapshot(machine):
    machine.drive.save("/a", b"x")
    machine.snapshots.take()
    refuse(machine.room.store, StoreBusy("not now", 0.1))
    machine.drive.save("/b", b"x")
    with pytest.raises(StoreBusy):
        machine.snapshots.take()
    assert len(captions(machine, "snapshot")) == 1
    machine.room.store.heal()
    machine.snapshots.take()
    assert len(captions(machine, "snapshot")) >= 2


def test_none_is_complete_before_the_stores_have_what_it_names(machine):
    machine.drive.save("/a", b"x")

    def go_away(_told):
        machine.drive.save("/b", b"x" * 3000)
        refuse(machine.room.store, StoreBusy("not now", 0.1))

    with pytest.raises(StoreBusy):
        machine.snapshots.take(go_away)
    assert complete(machine) == []
    machine.room.store.heal()
    machine.snapshots.take()
    assert len(complete(machine)) == 1
    assert len(captions(machine, "snapshot")) == 1
    assert machine.room.spooled_files() == []


def test_none_is_complete_while_another_gateway_has_what_it_names(machine):
    machine.drive.save("/a", b"x" * 3000)
    machine.flush()
    machine.room.record_store(OTHER_SPOOL, "spool")

    def move(source, target):
        moved = update(replicas).where(replicas.c.store == source).values(store=target)
        machine.db.write(lambda connection: connection.execute(moved))

    move(FIRST_STORE, OTHER_SPOOL)
    for take in (machine.snapshots.take, lambda: machine.snapshots.run_if_due(1)):
        with pytest.raises(Busy, match="1 packs wait in the spool of another gateway"):
            take()
    assert complete(machine) == []
    move(OTHER_SPOOL, FIRST_STORE)
    machine.snapshots.take()
    assert len(complete(machine)) == 1


def test_the_clock_keeps_heads_true_while_a_store_takes_no_packs(machine):
    machine.drive.save("/a", b"x")
    machine.snapshots.take()
    machine.drive.save("/b", b"x" * 3000)
    refuse(machine.room.store, StoreBusy("not now", 0.1))
    added = machine.room.add_store()
    machine.room.pool.set(3, added, writable=True)
    machine.room.pool.copies = machine.room.pool.quorum = 2
    with pytest.raises(StoreBusy):
        machine.snapshots.run_if_due(1)
    assert [parse_caption(each.caption).kind for each in added.scan()].count("head") == 1
    machine.room.store.heal()


def test_a_pack_that_is_damaged_in_the_spool_does_not_keep_the_clock_from_taking_one(machine):
    machine.drive.save("/a", content(3000))
    machine.vault._flusher._pack_now()
    (spooled,) = (machine.room.folder / "spool").glob("??/*")
    whole = bytearray(spooled.read_bytes())
    whole[300] ^= 1
    spooled.chmod(0o600)
    spooled.write_bytes(whole)
    machine.snapshots.run_if_due(1)
    assert len(complete(machine)) == 1


def test_age_tells_what_no_pack_has(machine):
    with machine.db.read() as connection:
        assert snapshot.age(connection) == (None, 0.0)
    machine.drive.save("/a", b"x")
    time.sleep(0.02)
    with machine.db.read() as connection:
        assert snapshot.age(connection).unpacked_s >= 0.02
    machine.snapshots.take()
    with machine.db.read() as connection:
        age = snapshot.age(connection)
    assert age.unpacked_s == 0
    assert 0 <= age.newest_s < 60


# ---- heads


def test_every_store_has_the_head_also_one_that_comes_later(machine):
    machine.drive.save("/a", b"x")
    machine.snapshots.take()
    added = machine.room.add_store()
    machine.room.pool.set(3, added, writable=True)
    machine.snapshots.run_if_due()
    heads = [parse_caption(each.caption) for each in added.scan()]
    assert [each.kind for each in heads] == ["head"]
    assert len(captions(machine, "head")) == 1


def test_a_head_is_made_anew_only_when_it_would_say_something_else(machine):
    machine.drive.save("/a", b"x")
    machine.snapshots.take()
    first = captions(machine, "head")
    machine.drive.save("/b", b"x")
    machine.flush()
    machine.snapshots.run_if_due()
    assert captions(machine, "head") == first
    Snapshots(machine.vault, machine.db, lambda: b'{"a": 1}\n').run_if_due()
    second = captions(machine, "head")
    assert len(second) == 1
    assert second != first


def test_a_head_that_all_stores_lost_is_made_again(machine):
    machine.drive.save("/a", b"x")
    machine.snapshots.take()
    (told,) = captions(machine, "head")
    (at,) = [each for each in machine.room.store.scan() if " head " in each.caption]
    machine.room.store.delete([at.locator])
    machine.db.write(lambda c: index.suspect(c, Replica(FIRST_STORE, at.locator)))
    machine.snapshots.run_if_due()
    (made,) = captions(machine, "head")
    assert made.pack_id != told.pack_id


# ---- the horizon


def test_a_forged_caption_frightens_nobody(machine):
    machine.drive.save("/a", b"x")
    machine.flush()
    drive_id = machine.room.drive.drive_id
    for kind in ("pack", "head", "snapshot"):
        forged = caption(bytes(16), drive_id, kind, position=10**9, epoch=7)
        machine.room.store.put(kind.encode().ljust(16), b"junk" * 50, forged)
    machine.vault._flusher.horizon.look()
    machine.drive.save("/b", b"y")
    machine.flush()


def test_another_drive_in_the_store_is_none_of_our_business(machine, tmp_path):
    other_db = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    other = disaster.machine(other_db, tmp_path / "other")
    for number in range(9):
        other.drive.save(f"/{number}", b"x")
    other.room.pool.set(2, machine.room.store, writable=True)
    other.flush()
    machine.drive.save("/a", b"x")
    machine.vault._flusher.horizon.look()
    machine.flush()
    other.close()
    other_db.close()


@contextlib.contextmanager
def put_back(tmp_path, lost):
    """A machine on the database of before `lost` was saved, which the store has."""
    file, backup = tmp_path / "drive.db", tmp_path / "backup.db"
    with contextlib.closing(Database.open(f"sqlite:///{file}")) as db:
        made = disaster.machine(db, tmp_path / "machine")
        made.drive.save("/a", b"old")
        made.flush()
    room = made.room
    shutil.copy(file, backup)
    with contextlib.closing(Database.open(f"sqlite:///{file}")) as room.db:
        again = disaster.Machine(room)
        again.drive.save(lost, b"newer")
        again.flush()
        room.vault.close()
    with contextlib.closing(Database.open(f"sqlite:///{backup}")) as room.db:
        yield disaster.Machine(room)
        room.vault.close()


def test_an_old_database_put_back_sees_that_the_stores_are_ahead(tmp_path):
    with put_back(tmp_path, "/a") as old:
        old.vault.start()
        with pytest.raises(StoresAhead, match="recover the drive"):
            old.drive.save("/b", b"x")
        with pytest.raises(StoresAhead):
            old.drive.mkdir("/d")
        with pytest.raises(StoresAhead):
            old.snapshots.run_if_due(1)
        assert old.drive.read("/a") == b"old"
        assert old.room.rows(journal) == 1


def test_an_old_database_that_went_on_by_itself_is_no_newer_for_that(tmp_path):
    """Without the stores at hand it changed as much as was lost: numbers tell nothing."""
    with put_back(tmp_path, "/b") as old:
        old.room.store.is_away = True
        old.vault.start()
        for number in range(3):
            old.drive.save(f"/{number}", b"of another history")
        old.room.store.is_away = False
        with pytest.raises(StoresAhead, match="change 2 of epoch 1"):
            old.vault.require_newest()
        with pytest.raises(StoresAhead):
            old.flush()


def test_a_store_that_is_ahead_is_not_drained(machine, tmp_path):
    machine.drive.save("/a", b"x" * 5000)
    machine.flush()
    room = machine.room
    room.add_store()
    vault = room.open(journal=machine_journal.unpacked, open_store=room.open_store)
    vault.begin_drain(FIRST_STORE)
    other_db = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    again, _ = disaster.recovered(other_db, machine, tmp_path / "again")
    again.snapshots.tell()
    with pytest.raises(StoresAhead):
        vault.drain(FIRST_STORE)
    assert room.state(FIRST_STORE) == "draining"
    again.close()
    other_db.close()


def test_a_pack_in_a_store_before_it_is_recorded_alarms_nobody(machine):
    """With saves that wait for the stores a crash leaves such a pack."""
    machine.drive.save("/a", b"x" * 5000)
    with machine.db.read() as connection:
        last, rows = machine_journal.unpacked(connection, 0)
    pack = machine.vault.workshop.spool.open_pack(last)
    pack.journal(payload.journal(1, 0, last, rows))
    kept = pack.keep()
    data = machine.vault.workshop.spool.content(kept.replica.locator)
    machine.room.store.put(kept.pack.pack_id, data, kept.pack.caption)
    machine.vault._flusher.horizon.look()
