"""Drives that were recovered: their machine before them, and those after."""

import contextlib

import pytest
from sqlalchemy import select

from tests import invariants
from tests.blocks.room import FIRST_STORE, SECOND_STORE, content
from tests.maintenance import disaster
from tests.maintenance.disaster import Mischief
from tests.maintenance.test_recover import furnished, kept, lost, other_db, same, with_journal_alone
from tests.tree.drive import ADA
from tgdav.blocks.form.pack import parse_caption
from tgdav.blocks.recovery import rebuilding
from tgdav.blocks.rows import snapshots
from tgdav.blocks.rows.tables import packs
from tgdav.db import Database
from tgdav.errors import (
    ContentLost,
    StoresAhead,
)
from tgdav.maintenance import recover
from tgdav.maintenance.restoring import Restoring

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


def test_snapshots_of_another_history_do_not_count(lost, other_db, third_db, tmp_path):
    """Newer as they may look: none is kept for them, and gc needs the journal before them."""
    lost.drive.save("/f", b"content")
    lost.snapshots.take()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    lost.vault._flusher.horizon._good_until = float("inf")
    for number in range(3):
        for name in "abc":
            lost.drive.save(f"/{name}", content(10, number))
        lost.snapshots.take()
    again.drive.save("/second", b"2")
    again.snapshots.take()
    last, done = disaster.recovered(third_db, again, tmp_path / "third")
    assert (done.snapshot_position, done.position) == (2, 2)
    assert standing(last) == [(2, 2)]
    last.drive.save("/third", b"3")
    last.snapshots.take()
    assert standing(last) == [(3, 3), (2, 2)]
    with third_db.read() as connection:
        assert snapshots.needed_since(connection) == 0
    last.close()
    again.close()


def standing(machine):
    """The epoch and position of the complete snapshots."""
    with machine.db.read() as connection:
        return [(each.epoch, each.position) for each in snapshots.complete(connection)]


class Stopped(Exception):
    pass


def stop(*_):
    raise Stopped


def move(packs, store, other):
    for pack in packs:
        whole = store.read(pack.locator, 0, pack.size)
        other.put(parse_caption(pack.caption).pack_id, whole, pack.caption)
        store.delete([pack.locator])


def test_stores_that_come_later_add_to_what_was_found_lost(lost, other_db, tmp_path, monkeypatch):
    """Their blocks have numbers of their own beside those that were recorded as lost."""
    monkeypatch.setattr(rebuilding, "BLOCKS", 20)
    files = {path: content(100_000, seed) for seed, path in enumerate(("/f", "/g", "/h"))}
    lost.drive.save("/f", files["/f"])
    lost.flush()
    first = kept(lost, "pack")
    lost.drive.save("/g", files["/g"])
    lost.snapshots.take()
    before = kept(lost, "pack")
    lost.drive.save("/h", files["/h"])
    lost.flush()
    last = [pack for pack in kept(lost, "pack") if pack not in before]
    room = furnished(other_db, lost, tmp_path)
    later = room.add_store()
    move([*first, *last], room.store, later)
    del room.stores[SECOND_STORE]
    with monkeypatch.context() as patched:
        patched.setattr(Restoring, "replay", stop)
        with pytest.raises(Stopped):
            disaster.recovering(other_db, room).run()
    room.stores[SECOND_STORE] = later
    done = disaster.recovering(other_db, room).run()
    assert (done.unsaved, done.lost_blocks) == (0, 0)
    invariants.check(other_db)
    room.drive = done.drive
    assert disaster.Machine(room).drive.found() == files
    room.close()


@pytest.fixture
def third_db(tmp_path):
    """A database for the machine after the next."""
    database = Database.open(f"sqlite:///{tmp_path / 'third.db'}")
    yield database
    database.close()


def lose_the_last(lost):
    """Have the store know of some last saves, but not what was saved."""
    lost.drive.mkdir("/up")
    lost.drive.save("/doc", content(3000, 1), modified_ns=5)
    lost.drive.save("/trashed", content(3000, 1))
    lost.snapshots.take()
    before = {each.locator for each in lost.room.store.scan()}
    lost.drive.save("/doc", content(3000, 2))
    lost.drive.save("/trashed", content(3000, 2))
    lost.drive.delete("/trashed")
    lost.drive.save("/up/fresh", content(3000, 3))
    lost.drive.copy("/up/fresh", "/up/twin")
    lost.drive.save("/up/fresh", content(3000, 4))
    lost.flush()
    (pack,) = [each for each in lost.room.store.scan() if each.locator not in before]
    with_journal_alone(lost, pack)


@pytest.mark.parametrize(
    "go_on",
    [
        lambda drive: drive.save("/up/fresh", content(3000, 4)),
        lambda drive: drive.save("/up/fresh", content(3000, 5)),
        lambda drive: drive.save("/elsewhere", content(3000, 2)),
        lambda drive: drive.copy("/doc", "/doc2"),
        lambda drive: drive.splice("/doc", 3000, b"appended" * 100),
        lambda drive: drive.tree.trash.restore(drive.tree.trash.entries()[0].no, ADA),
        lambda drive: drive.delete("/up"),
    ],
    ids=["saved again", "saved anew", "content again", "copied", "appended", "restored", "deleted"],
)
def test_what_was_undone_is_undone_in_every_recovery(lost, other_db, third_db, tmp_path, go_on):
    """Also if its content is there by then: what came after has not seen it."""
    lose_the_last(lost)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert sorted(done.unsaved_names) == ["doc", "fresh", "trashed", "twin"]
    assert again.drive.found() == {"/up": None, "/doc": content(3000, 1)}
    go_on(again.drive)
    again.flush()
    last, done = disaster.recovered(third_db, again, tmp_path / "third")
    assert (done.unsaved, done.lost_blocks, done.notes) == (0, 0, [])
    same(again, last)
    last.drive.save("/new", b"numbers go on")
    last.close()
    again.close()


def test_it_is_undone_without_the_snapshot_too(lost, other_db, third_db, tmp_path):
    lose_the_last(lost)
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    again.drive.save("/up/fresh", content(3000, 4))
    again.snapshots.take()
    for snapshot in kept(lost, "snapshot"):
        lost.room.store.delete([snapshot.locator])
    last, done = disaster.recovered(third_db, again, tmp_path / "third")
    assert (done.snapshot_position, done.unsaved) == (0, 0)
    same(again, last, root=False)
    last.close()
    again.close()


def forget_copy(drive):
    drive.save("/doc", content(3000, 2))
    drive.copy("/doc", "/copy")
    drive.delete("/copy")
    empty_trash(drive)


def forget_folder(drive):
    drive.mkdir("/folder")
    drive.save("/folder/new", content(3000, 2))
    drive.copy("/folder", "/twin")
    drive.delete("/folder")
    empty_trash(drive)


def empty_trash(drive):
    drive.tree.trash.forget([entry.no for entry in drive.tree.trash.entries()])


@pytest.mark.parametrize("change", [forget_copy, forget_folder])
def test_what_was_undone_may_have_been_given_up_too(lost, other_db, third_db, tmp_path, change):
    """A recovery gives up before it undoes; whoever replays it undoes before it gives up."""
    lost.drive.save("/doc", content(3000, 1), modified_ns=5)
    lost.flush()
    before = {each.locator for each in lost.room.store.scan()}
    change(lost.drive)
    lost.flush()
    (pack,) = [each for each in lost.room.store.scan() if each.locator not in before]
    with_journal_alone(lost, pack)
    again, done = disaster.recovered(other_db, lost, tmp_path / "again")
    assert done.unsaved > 0
    again.drive.save("/later", content(3000, 3))
    again.flush()
    last, _ = disaster.recovered(third_db, again, tmp_path / "third")
    same(again, last, root=False)
    last.close()
    again.close()


def test_a_machine_that_told_nothing_of_what_it_undid_never_was(lost, other_db, third_db, tmp_path):
    lose_the_last(lost)
    again, first = disaster.recovered(other_db, lost, tmp_path / "again")
    again.drive.save("/up/fresh", content(3000, 4))
    again.close()
    last, done = disaster.recovered(third_db, lost, tmp_path / "third")
    assert done.position == first.position
    assert sorted(done.unsaved_names) == sorted(first.unsaved_names)
    assert last.drive.found() == {"/up": None, "/doc": content(3000, 1)}
    last.close()


def test_numbers_of_what_was_undone_are_not_given_again(
    lost, other_db, third_db, tmp_path, monkeypatch
):
    monkeypatch.setattr(recover, "SLACK", 0)
    lose_the_last(lost)
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    made = again.drive.save("/new", content(3000, 6))
    assert made.no > lost.drive.node("/up/twin").no
    assert made.version > lost.drive.node("/up/fresh").version
    again.flush()
    last, _ = disaster.recovered(third_db, again, tmp_path / "third")
    same(again, last)
    last.close()
    again.close()


def test_nor_those_of_what_was_given_up(lost, other_db, tmp_path, monkeypatch):
    monkeypatch.setattr(recover, "SLACK", 0)
    gone = lost.drive.save("/f", content(3000))
    lost.drive.delete("/f")
    (entry,) = lost.drive.tree.trash.entries()
    lost.drive.tree.trash.forget([entry.no])
    lost.flush()
    again, _ = disaster.recovered(other_db, lost, tmp_path / "again")
    made = again.drive.save("/new", content(3000))
    assert made.no > entry.no
    assert made.version > gone.version
    again.close()


def test_it_is_undone_in_postgresql_too(other_db, third_db, postgres_url, tmp_path):
    lost = disaster.machine(other_db, tmp_path / "lost")
    lose_the_last(lost)
    with contextlib.closing(Database.open(postgres_url)) as db:
        again, done = disaster.recovered(db, lost, tmp_path / "again")
        assert sorted(done.unsaved_names) == ["doc", "fresh", "trashed", "twin"]
        again.drive.save("/up/fresh", content(3000, 4))
        again.flush()
        last, _ = disaster.recovered(third_db, again, tmp_path / "third")
        same(again, last)
        last.close()
        again.close()
    lost.close()
