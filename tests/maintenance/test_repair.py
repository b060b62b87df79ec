"""Copies come back by themselves, from whatever is sound, wherever a run is cut off."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.blocks.room import FIRST_STORE, SECOND_STORE, SPOOL, content, refuse, until
from tests.maintenance.ward import KIB, Ward
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import packs, replicas
from tgdav.db import Database, Work
from tgdav.errors import Busy, StoreBusy, StoreError
from tgdav.maintenance.course import Course
from tgdav.maintenance.tidying import tidy
from tgdav.maintenance.turn import STORES, turn
from tgdav.stores.base import Locator
from tgdav.stores.directory import TRAILER
from tgdav.stores.pace import Pace


def test_a_second_copy_that_is_asked_for_later_is_made(ward: Ward) -> None:
    ward.open(copies=1)
    ward.drive.save("/a", content(300 * KIB, 4))
    ward.room.vault.flush()
    ward.open(copies=2)
    assert ward.found() == {"pack_short"}
    done = ward.repair(scan=False)
    assert done.made == ward.room.rows(packs)
    assert ward.found() == set()
    assert ward.locators(ward.kept[0]) == ward.locators(ward.kept[1])


def test_a_distant_store_gets_no_more_packs_in_an_hour_than_are_allowed(ward: Ward) -> None:
    ward.open(copies=1)
    ward.drive.save("/a", content(900 * KIB, 4))
    ward.room.vault.flush()
    ward.open(copies=2)
    ward.kept[1].limits = replace(ward.kept[1].limits, local=False)
    now = [0.0]
    course = Course(puts=Pace(2, 3600.0, lambda: now[0]))
    owed = ward.room.rows(packs)
    assert owed > 4
    for made in (2, 0):
        done = ward.repair(scan=False, course=course)
        assert (done.made, "may in an hour" in done.trouble) == (made, True)
    assert done.short == owed - 2
    now[0] = 3601.0
    assert ward.repair(scan=False, course=course).made == 2
    near = ward.add_store(9)
    assert ward.repair(scan=False, course=course).short == 0  # a near one costs no message
    assert len(ward.locators(near)) == owed - 4


def test_the_spool_is_a_source(ward: Ward) -> None:
    ward.drive.save("/a", content(300 * KIB, 4))
    assert set(ward.room.column(replicas.c.store)) == {SPOOL}
    ward.repair(scan=False, settled_s=-1)
    assert set(ward.room.column(replicas.c.store)) == {SPOOL, FIRST_STORE, SECOND_STORE}
    ward.room.vault.flush()
    assert ward.room.spooled_files() == []
    assert ward.found() == set()


def test_a_pack_that_was_damaged_in_the_spool_leaves_it_when_the_stores_have_it(
    ward: Ward,
) -> None:
    ward.open(copies=1)
    ward.drive.save("/a", content(100 * KIB, 4))
    (file,) = (ward.folder / "spool").glob("??/*.pack")
    whole = file.read_bytes()
    ward.room.vault.flush()
    file.write_bytes(bytes(len(whole)))
    no = ward.pack_numbers()[0]
    row = f"{file.parent.name}/{file.name}"
    ward.harm(f"INSERT INTO replicas VALUES ({no}, {SPOOL}, '{row}', 'suspect', 0)")
    assert "replica_suspect" in ward.found()
    ward.repair(scan=False)
    assert ward.found() == set()
    assert ward.room.spooled_files() == []


def test_what_one_store_refuses_another_gets(ward: Ward) -> None:
    ward.fill()
    third = ward.add_store(9)
    ward.kept[1].delete(ward.locators())
    ward.room.stores[SECOND_STORE].fail_put(1, StoreError("full"))
    for nth in range(1, 1000):
        ward.room.stores[SECOND_STORE].fail_put(nth, StoreError("full"))
    done = ward.repair()
    assert done.short == 0
    assert ward.locators(third) == ward.locators(ward.kept[0])


def test_a_store_that_takes_nothing_is_not_fetched_for_again_and_again(ward: Ward) -> None:
    ward.open(copies=1)
    for seed in range(6):
        ward.drive.save(f"/{seed}", content(100 * KIB, seed))
    ward.room.vault.flush()
    ward.open(copies=2)
    second = ward.room.stores[SECOND_STORE]
    for nth in range(1, 1000):
        second.fail_put(nth, StoreBusy("it waits", 60.0))
    ward.room.store.reads.clear()
    done = ward.repair(scan=False)
    assert done.short == ward.room.rows(packs) > 6
    assert second.puts == 3
    assert len({locator for locator, _, _ in ward.room.store.reads}) == 3
    second.heal()
    assert ward.repair(scan=False).made == ward.room.rows(packs)


def test_a_false_alarm_costs_no_upload(ward: Ward) -> None:
    ward.fill()
    ward.db.write(lambda c: c.execute(update(replicas).values(state="suspect")))
    puts = ward.room.store.puts
    ward.repair()
    assert ward.found() == set()
    assert ward.room.store.puts == puts


def test_a_lost_pack_is_not_read_again_each_minute(ward: Ward) -> None:
    ward.fill()
    for store in ward.kept:
        store.delete(ward.locators(store))
    assert ward.repair().lost
    assert ward.repair(scan=False).mended == 0


def test_where_there_is_nothing_to_tidy_no_save_waits(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.fill()

    def refuse(_: Database, __: Work[object]) -> None:
        raise AssertionError("a write was made")

    monkeypatch.setattr(Database, "write", refuse)
    assert tidy(ward.db, time.time_ns()) == 0


def test_repair_and_gc_never_run_at_once(ward: Ward) -> None:
    other = Leases(ward.db)
    assert other.acquire(STORES, 60)
    with pytest.raises(Busy), turn(ward.db):
        pass
    other.release(STORES)
    with turn(ward.db), pytest.raises(Busy), turn(ward.db):
        pass
    with turn(ward.db):
        pass


def test_a_turn_is_kept_for_as_long_as_the_job_takes(ward: Ward) -> None:
    import time

    with turn(ward.db, lease_s=0.2) as check:
        time.sleep(0.6)
        check()
        assert not Leases(ward.db).acquire(STORES, 1)


class Killed(Exception):
    """Nothing that ran in the process goes on from here."""


class MortalDatabase(Database):
    """Kills the process before or after the nth write."""

    before = after = 0

    def write(self, work: Work[object], *, urgent: bool = False) -> object:
        self.before -= 1
        self.after -= 1
        if self.before == 0:
            raise Killed
        value = super().write(work, urgent=urgent)
        if self.after == 0:
            raise Killed
        return value


@pytest.mark.parametrize("when", ["before", "after"])
def test_death_at_any_write_of_a_repair_is_made_good_by_the_next(ward: Ward, when: str) -> None:
    ward.fill()
    ward.db.__class__ = MortalDatabase
    deaths = 0
    (first, second, *_), last_no = ward.by_pack(), ward.pack_numbers()[-1]
    for step in range(1, 30):
        ward.flip(first, 8 * 300)
        ward.kept[1].delete([second])
        ward.harm(f"DELETE FROM replicas WHERE store = {FIRST_STORE} AND pack = {last_no}")
        ward.scrub()
        setattr(ward.db, when, step)
        try:
            ward.repair()
        except Killed:
            deaths += 1
        ward.db.before = ward.db.after = 0
        assert ward.contents_are_there()
        ward.repair()
        assert ward.found() == set()
        assert ward.scrub().bad_count == 0
    assert deaths > 3


def test_death_between_delete_and_put_leaves_a_suspect_that_the_next_run_replaces(
    ward: Ward,
) -> None:
    ward.fill()
    ward.flip(ward.locators()[0], 8 * 300)
    ward.scrub()
    inner = ward.kept[0]
    put = inner.put

    def die(*_: object) -> Locator:
        raise Killed

    inner.put = die
    with pytest.raises(Killed):
        ward.repair()
    inner.put = put
    assert "replica_suspect" in ward.found()
    assert ward.contents_are_there()
    ward.repair()
    assert ward.found() == set()


def tear(ward: Ward) -> None:
    """Damage both replicas of one pack, each where the other is whole."""
    locator = max(ward.locators(), key=lambda each: len(ward.kept[0]._packs[each][0]))
    size = len(ward.kept[0]._packs[locator][0])
    for store, at in zip(ward.kept, (size // 4, size // 2), strict=False):
        ward.flip(locator, 8 * at, store)
    ward.scrub()


def test_what_damaged_replicas_make_together_outlives_stores_that_take_nothing(
    ward: Ward,
) -> None:
    ward.fill()
    tear(ward)
    for no in (FIRST_STORE, SECOND_STORE):
        refuse(ward.room.stores[no], StoreError("full"))
    assert ward.repair().replaced == 0
    assert ward.contents_are_there()
    for no in (FIRST_STORE, SECOND_STORE):
        ward.room.stores[no].heal()
    ward.room.vault.flush()
    ward.repair()
    assert ward.found() == set()
    assert ward.scrub().bad_count == 0
    assert ward.contents_are_there()


def test_what_damaged_replicas_make_together_leaves_no_copy_on_this_machine(ward: Ward) -> None:
    ward.fill()
    tear(ward)
    assert ward.repair().replaced == 2
    assert ward.room.spooled_files() == []
    assert ward.found() == set()
    assert ward.contents_are_there()


def test_all_that_is_bad_goes_before_anything_comes(ward: Ward) -> None:
    """Or a copy by reference would refer to what is bad."""
    ward.add_store(9)
    ward.open(copies=3)
    ward.fill()
    locator = ward.locators()[0]
    for kept in ward.kept[:2]:
        kept.delete([locator])
        kept.put(bytes.fromhex(locator), b"damaged", "")
    ward.scrub()
    calls: list[str] = []
    for kept in ward.kept[:2]:
        for name in ("delete", "put"):
            setattr(kept, name, _told(getattr(kept, name), calls, name))
    assert ward.repair().replaced == 2
    assert calls == ["delete", "delete", "put", "put"]
    assert ward.found() == set()


def _told(call: Callable[..., Any], calls: list[str], name: str) -> Callable[..., Any]:
    def tell(*args: Any) -> Any:
        calls.append(name)
        return call(*args)

    return tell


def test_what_the_spool_delivers_takes_the_place_of_what_is_bad(ward: Ward) -> None:
    ward.open(copies=1)
    ward.drive.save("/a", content(100 * KIB, 4))
    with ward.db.read() as connection:
        stored = connection.scalars(select(replicas.c.store)).all()
    assert stored == [SPOOL]
    (whole,) = [path.read_bytes() for path in (ward.folder / "spool").glob("??/*.pack")]
    ward.kept[0].put(bytes.fromhex(ward.by_pack()[0]), bytes(len(whole) - TRAILER), "")
    no = ward.pack_numbers()[0]
    ward.harm(
        f"INSERT INTO replicas VALUES ({no}, {FIRST_STORE}, '{ward.by_pack()[0]}', 'suspect', 0)"
    )
    ward.room.vault.flush()
    assert ward.scrub().bad_count == 0
    assert ward.found() == set()
    assert ward.drive.read("/a") == content(100 * KIB, 4)


def test_saves_and_flushes_go_on_beside_repair_and_fsck(ward: Ward) -> None:
    import threading

    ward.open(copies=2, sizes={"flush_age_s": 0.0})
    ward.room.vault.start()
    over = threading.Event()
    trouble: list[object] = []

    def save() -> None:
        seed = 0
        while not over.is_set():
            seed += 1
            try:
                ward.drive.save(f"/{seed}", content((seed % 4) * 40 * KIB + 900, seed))
            except BaseException as error:
                trouble.append(error)

    saver = threading.Thread(target=save)
    saver.start()
    for _ in range(15):
        trouble += ward.findings()
        done = ward.repair()
        trouble += [done] if done.mended or done.adopted or done.suspected else []
    over.set()
    saver.join()
    assert trouble == []
    ward.room.vault.flush()
    until(lambda: not ward.room.spooled_files())
    assert ward.found() == set()


def test_a_bad_stray_is_not_taken_for_the_copy_that_is_owed(ward: Ward) -> None:
    """A store keeps what it has of a pack when that is put again."""
    ward.fill()
    for locator in ward.locators():
        ward.flip(locator, 8 * 300)
    ward.harm(f"DELETE FROM replicas WHERE store = {FIRST_STORE}")
    ward.repair()
    assert ward.scrub().bad_count == 0
    assert ward.found() == set()
