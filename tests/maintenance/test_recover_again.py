"""Drives that were recovered: their machine before them, and those after."""

import pytest
from sqlalchemy import select

from tests.blocks.room import FIRST_STORE, content
from tests.maintenance import disaster
from tests.maintenance.disaster import Mischief
from tests.maintenance.test_recover import kept, lost, other_db, same
from tgdav.blocks.rows.tables import packs
from tgdav.db import Database
from tgdav.errors import (
    ContentLost,
    StoresAhead,
)

__all__ = ["lost", "other_db"]


def test_the_lost_machine_comes_back_and_may_change_nothing(lost, other_db, tmp_path):
    lost.drive.save("/f", b"content")
    lost.snapshots.take()
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert done.drive.epoch == 2
    again.snapshots.tell()
    lost.drive.save("/unseen", b"x")
    lost.vault._flusher.horizon._good_until = 0
    with pytest.raises(StoresAhead, match="epoch 2"):
        lost.flush()
    with pytest.raises(StoresAhead):
        lost.drive.mkdir("/d")
    with pytest.raises(StoresAhead):
        lost.drive.save("/g", b"y")
    assert lost.drive.read("/f") == b"content"
    again.drive.save("/g", b"goes on")
    again.flush()
    again.close()


def test_of_two_machines_that_recover_at_once_none_goes_on(lost, other_db, tmp_path):
    lost.drive.save("/f", b"content")
    lost.flush()
    third = Database.open(f"sqlite:///{tmp_path / 'third.db'}")
    one, _ = disaster.recovered(other_db, lost, tmp_path / "one")
    two, _ = disaster.recovered(third, lost, tmp_path / "two")
    one.snapshots.tell()
    with pytest.raises(StoresAhead, match="epoch 2"):
        two.snapshots.tell()
    with pytest.raises(StoresAhead, match="epoch 2"):
        one.vault.require_newest()
    last = Database.open(f"sqlite:///{tmp_path / 'last.db'}")
    again, done = disaster.recovered(last, lost, tmp_path / "last")
    again.snapshots.tell()
    again.drive.save("/g", b"goes on")
    again.flush()
    assert done.drive.epoch == 3
    for machine in (again, one, two):
        machine.close()
    for db in (last, third):
        db.close()


def test_a_pack_without_a_digest_is_opened_before_it_is_drained(lost, other_db, tmp_path):
    lost.drive.save("/f", content(30_000))
    lost.flush()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    room = again.room
    other = room.add_store()
    again = disaster.Machine(room, open_store=room.open_store)
    vault = again.vault
    (pack,) = kept(lost, "pack")
    room.store.damage(pack.locator, 200)
    vault.begin_drain(FIRST_STORE)
    with pytest.raises(ContentLost):
        vault.drain(FIRST_STORE)
    room.store.heal()
    vault.drain(FIRST_STORE)
    assert again.drive.read("/f") == content(30_000)
    assert [each.size for each in other.scan()] == [pack.size]
    again.close()


def test_what_the_lost_machine_still_wrote_is_another_history(lost, other_db, tmp_path):
    lost.drive.save("/f", b"content")
    lost.flush()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    again.drive.save("/second", b"2")
    again.flush()
    for name in ("/ghost", "/ghosts"):
        lost.drive.save(name, b"of the first epoch")
    lost.vault._flusher.horizon._good_until = float("inf")
    lost.flush()
    third = Database.open(f"sqlite:///{tmp_path / 'third.db'}")
    last, done = disaster.recovered(third, again, tmp_path / "third")
    assert done.drive.epoch == 3
    assert sorted(last.drive.found()) == ["/f", "/second"]
    same(again, last, root=False)
    last.close()
    third.close()
    again.close()


def test_a_recovered_drive_is_snapshot_and_recovered_again(lost, other_db, tmp_path):
    mischief = Mischief(lost.drive)
    mischief.run(100)
    lost.flush()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    Mischief(again.drive, 2).run(100)
    again.snapshots.take()
    Mischief(again.drive, 3).run(100)
    again.flush()
    third = Database.open(f"sqlite:///{tmp_path / 'third.db'}")
    last, _ = disaster.recovered(third, again, tmp_path / "third")
    same(again, last)
    last.drive.save("/new", b"numbers go on")
    last.close()
    third.close()
    again.close()


def test_digests_are_told_by_the_snapshot(lost, other_db, tmp_path):
    lost.drive.save("/f", content(50_000))
    lost.snapshots.take()
    lost.drive.save("/g", content(50_000, 2))
    lost.flush()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    with lost.db.read() as connection:
        true = {row.pack_id: row.digest for row in connection.execute(select(packs))}
    with other_db.read() as connection:
        told = {row.pack_id: row.digest for row in connection.execute(select(packs))}
    assert {d for d in told.values() if d} <= set(true.values())
    assert any(told.values())
    again.close()
