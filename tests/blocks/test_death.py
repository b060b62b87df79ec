"""A process that dies between any two steps leaves what the next one settles."""

import os
import time
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import delete, update

from tests.blocks.room import FIRST_STORE, KIB, Room, content, until
from tgdav.blocks.flushing.delivery import Delivery
from tgdav.blocks.form.pack import caption
from tgdav.blocks.rows.tables import blocks, packs, replicas, staged
from tgdav.db import Database, Work
from tgdav.errors import DatabaseBusy
from tgdav.stores.base import Locator
from tgdav.stores.directory import DirectoryStore


class Killed(Exception):
    """Nothing that ran in the process goes on from here."""


class MortalDatabase(Database):
    """Kills the process before or after the nth write."""

    def mortal(self, *, before: int = 0, after: int = 0) -> None:
        self.before, self.after = before, after

    before = after = 0

    def write(self, work: Work[Any], *, urgent: bool = False) -> Any:
        self.before -= 1
        self.after -= 1
        if self.before == 0:
            raise Killed
        value = super().write(work, urgent=urgent)
        if self.after == 0:
            raise Killed
        return value


class MortalSpool(DirectoryStore):
    """Kills the process before it deletes a pack."""

    is_mortal = True

    def delete(self, locators: Iterable[Locator]) -> None:
        if self.is_mortal:
            raise Killed
        super().delete(locators)


@pytest.fixture
def mortal(room: Room) -> MortalDatabase:
    """The room's database, in which a process may die."""
    room.db.__class__ = MortalDatabase
    room.vault.close()
    room.open()
    assert isinstance(room.db, MortalDatabase)
    return room.db


def reborn(room: Room) -> None:
    """The process starts again, sweeps, and flushes."""
    if isinstance(room.db, MortalDatabase):
        room.db.mortal()
    room.spool = DirectoryStore(room.folder / "spool")
    room.open()
    room.vault.start()
    room.vault.flush()
    until(lambda: not room.spooled_files())
    room.vault.close(grace_s=5)
    room.open()


def test_death_at_any_write_of_a_flush_loses_nothing(room: Room, mortal: MortalDatabase) -> None:
    kept = []
    for step in range(1, 12):
        for when in ("before", "after"):
            data = content(20 * KIB, seed=len(kept)), content(200 * KIB, seed=1000 + len(kept))
            kept += [(room.save(part), part) for part in data]
            mortal.mortal(**{when: step})
            try:
                room.vault.flush()
            except Killed:
                room.vault.close()
                reborn(room)
            mortal.mortal()
            assert all(room.read(extents) == part for extents, part in kept)
    assert room.rows(staged) == 0
    assert set(room.column(replicas.c.store)) == {FIRST_STORE}


def test_death_at_any_write_of_a_save_leaves_what_the_next_start_settles(
    room: Room, mortal: MortalDatabase
) -> None:
    died = 0
    for step in range(1, 9):
        for when in ("before", "after"):
            data = content(400 * KIB, seed=10 * step + len(when))
            mortal.mortal(**{when: step})
            try:
                room.save(data)
            except Killed:
                died += 1
                room.vault.close()
            reborn(room)
            assert room.read(room.save(data)) == data
    assert died > 6


def test_death_before_the_file_is_deleted_leaves_one_that_the_start_deletes(room: Room) -> None:
    room.spool = MortalSpool.make(room.folder / "spool")
    room.open()
    extents = room.save(content(200 * KIB))
    with pytest.raises(Killed):
        room.vault.flush()
    assert len(room.spooled_files()) == room.rows(packs)
    room.vault.close()
    reborn(room)
    assert room.spooled_files() == []
    assert room.read(extents) == content(200 * KIB)


def test_an_unfinished_pack_is_swept_at_the_start(room: Room) -> None:
    part = room.folder / "spool" / "ab" / f".{'ab' * 16}.dead.part"
    part.parent.mkdir()
    part.write_bytes(b"half a pack")
    os.utime(part, (1, 1))
    reborn(room)
    assert room.spooled_files() == []


def test_a_pack_that_no_row_mentions_is_recorded_and_delivered(room: Room) -> None:
    """As after going back to an older copy of the database."""
    data = content(300 * KIB)
    extents = room.save(data)
    room.db.write(
        lambda c: [c.execute(delete(table)) for table in (replicas, staged, blocks, packs)]
    )
    room.vault.close()
    reborn(room)
    assert len(list(room.store.scan())) == room.rows(packs) == 2
    before = room.rows(blocks)
    again = room.save(data)
    assert room.rows(blocks) - before <= 2
    assert room.read(again) == data
    assert len(extents) == len(again)


@pytest.mark.parametrize("harm", ["no row", "suspect"])
def test_a_spooled_file_that_is_the_last_of_its_pack_is_not_swept(room: Room, harm: str) -> None:
    extents = room.save(content(100 * KIB))
    if harm == "no row":
        room.db.write(lambda c: c.execute(delete(replicas)))
    else:
        row = {"pack": replicas.c.pack, "store": FIRST_STORE, "locator": "lost"}
        room.db.write(lambda c: c.execute(update(replicas).values(row | {"state": "suspect"})))
    reborn(room)
    assert room.read(extents) == content(100 * KIB)
    assert "sound" in room.column(replicas.c.state)


def test_what_is_no_pack_of_ours_is_left_alone(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    other = room.spool.put(bytes(16), b"of another drive", "tgdav1 pack " + "0" * 32 + " 0 0")
    junk_id = bytes(15) + b"1"
    junk = room.spool.put(junk_id, b"junk", caption(junk_id, room.drive.drive_id))
    room.vault.start()
    until(lambda: "left alone" in caplog.text)
    room.vault.close()
    assert room.spool.probe(other) == 16
    assert room.spool.probe(junk) == 4


def test_a_running_save_is_not_swept(room: Room) -> None:
    room.vault.start()
    with room.vault.writer(300 * KIB) as writer:
        writer.write(content(100 * KIB))
        room.vault.flush()
        time.sleep(0.1)
        writer.write(content(200 * KIB, seed=2))
        draft = writer.finish()
    extents = room.publish(draft)
    assert room.read(extents) == content(100 * KIB) + content(200 * KIB, seed=2)


def test_a_pack_that_is_about_to_be_recorded_is_not_swept(room: Room) -> None:
    delivery = Delivery(room.vault._workshop)

    class Sweeping(Database):
        """Another thread sweeps just before each write."""

        def write(self, work: Work[Any], *, urgent: bool = False) -> Any:
            self.__class__ = Database
            delivery.sweep()
            self.__class__ = Sweeping
            return super().write(work, urgent=urgent)

    room.db.__class__ = Sweeping
    extents = room.save(content(500 * KIB))
    room.db.__class__ = Database
    assert room.rows(packs) == 4
    assert room.read(extents) == content(500 * KIB)
    delivery.close()


def test_a_database_that_is_away_costs_no_pack(room: Room, mortal: MortalDatabase) -> None:
    class Away(MortalDatabase):
        def write(self, work: Work[Any], *, urgent: bool = False) -> Any:
            raise DatabaseBusy("the database went away")

    extents = room.save(content(20 * KIB))
    room.db.__class__ = Away
    with pytest.raises(DatabaseBusy):
        room.vault.flush()
    room.db.__class__ = MortalDatabase
    room.vault.flush()
    assert room.read(extents) == content(20 * KIB)
