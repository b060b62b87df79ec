"""Every flipped bit is found, none is served, and a second copy heals it."""

import random

import pytest

from tests.blocks.room import FIRST_STORE, SECOND_STORE, content
from tests.maintenance.ward import FILES, KIB, Ward
from tgdav.blocks.rows.tables import blocks, replicas
from tgdav.errors import ContentLost, StoreError
from tgdav.maintenance.course import Course, Stopped
from tgdav.maintenance.scrub import scrub

FLIPS = 1000


def flips(ward: Ward, chance: random.Random, count: int) -> set[tuple[str, int]]:
    """One bit in one replica of each of `count` packs; which they are."""
    harmed = {(locator, chance.choice([0, 1])) for locator in chance.sample(ward.locators(), count)}
    for locator, at in harmed:
        size = len(ward.kept[at]._packs[locator][0])
        ward.flip(locator, chance.randrange(8 * size), ward.kept[at])
    return harmed


@pytest.mark.timeout(280)
def test_a_thousand_random_flips_are_found_healed_and_never_served(ward: Ward) -> None:
    """Any bit of any replica: header, blocks, index, trailer, padding."""
    chance = random.Random(5)
    ward.open(copies=2, disk_cache=0, cache=0)
    ward.fill()
    for number in range(40):
        ward.room.save(content(2 * KIB, 100 + number))
        ward.room.vault.flush()
    tried = 0
    while tried < FLIPS:
        harmed = flips(ward, chance, min(FLIPS - tried, len(ward.locators())))
        tried += len(harmed)
        found = ward.scrub()
        assert found.bad_count == len(harmed)
        assert ward.contents_are_there()
        done = ward.repair(scan=False)
        assert (done.replaced, done.lost) == (len(harmed), [])
    assert ward.scrub().bad_count == 0
    assert ward.found() == set()


def test_reads_report_flips_that_nobody_has_scrubbed(ward: Ward) -> None:
    ward.open(copies=2, cache=0)
    ward.fill()
    for locator in ward.locators():
        ward.flip(locator, 8 * 400)
    assert ward.contents_are_there()
    assert ward.found() == {"replica_suspect", "pack_short"}
    assert ward.repair(scan=False).replaced > 0
    assert ward.found() >= set()


def test_both_copies_damaged_in_different_places_make_one_whole_pack(ward: Ward) -> None:
    ward.fill()
    for locator in ward.locators():
        size = len(ward.kept[0]._packs[locator][0])
        ward.flip(locator, 8 * (size - 40), ward.kept[0])
        ward.flip(locator, 8 * 200, ward.kept[1])
    assert ward.scrub().bad_count == 2 * len(ward.locators())
    assert "pack_lost" in ward.found()
    done = ward.repair()
    assert done.lost == []
    assert ward.found() == set()
    assert ward.contents_are_there()


def test_the_longest_unread_is_read_first_and_a_stopped_run_goes_on(ward: Ward) -> None:
    ward.fill()
    total = ward.room.rows(replicas)
    read: list[int] = []

    def stop_after_three() -> None:
        if len(read) == 3:
            raise Stopped

    course = Course(progress=lambda done, of: read.append(done), go_on=stop_after_three)
    now = [10**18 * 2]
    with pytest.raises(Stopped):
        scrub(ward.room.vault.workshop, course, clock=lambda: now[0])
    now[0] += 10**9
    rest = ward.scrub(older_than_s=1.0, clock=lambda: now[0])
    assert rest.replicas == total - 2
    assert ward.scrub(older_than_s=5.0, clock=lambda: now[0]).replicas == 0


def test_a_clock_that_is_set_back_does_not_read_for_ever(ward: Ward) -> None:
    ward.fill()
    times = iter(range(10**18 * 2, 0, -(10**12)))
    assert ward.scrub(clock=lambda: next(times)).replicas == ward.room.rows(replicas)


def test_no_more_is_read_in_a_second_than_is_allowed(ward: Ward) -> None:
    ward.fill()
    now = [0.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    course = Course(10_000, clock=lambda: now[0], sleep=sleep)
    done = scrub(ward.room.vault.workshop, course)
    assert done.bytes / 10_000 <= now[0] <= 1.5 * done.bytes / 10_000 + 60
    assert max(slept) <= 0.2 + 1e-9


def test_a_store_out_of_reach_is_passed_over_and_nothing_is_held_against_it(ward: Ward) -> None:
    ward.fill()
    ward.room.store.is_away = True
    found = ward.scrub()
    assert (found.bad_count, found.out_of_reach) == (0, 3)
    assert found.replicas == len(ward.locators(ward.kept[1]))
    assert set(ward.room.column(replicas.c.state)) == {"sound"}


@pytest.mark.parametrize("count", [1, 3])
def test_what_its_store_cannot_read_keeps_no_other_from_being_read(ward: Ward, count: int) -> None:
    ward.fill()
    ward.drive.save("/newest", content(30 * KIB, seed=99))
    ward.room.vault.flush()
    store, bad = ward.room.store, ward.by_pack()[:count]
    inner_read = store._inner.read

    def read(locator: str, offset: int, size: int) -> bytes:
        if locator in bad:
            raise StoreError("a bad sector")
        return inner_read(locator, offset, size)

    store._inner.read = read
    found = ward.scrub()
    assert (found.out_of_reach, found.replicas) == (count, ward.room.rows(replicas) - count)


# ---- dead blocks never poison


def kill(ward: Ward) -> None:
    """No replica of any pack is whole, in any block."""
    for store in ward.kept:
        for locator in ward.locators(store):
            ward.change(locator, bytes(len(store._packs[locator][0])), store)


def test_dead_blocks_never_poison_and_an_equal_save_heals_the_older_file(ward: Ward) -> None:
    ward.open(copies=2, cache=0)
    ward.fill()
    kill(ward)
    ward.scrub()
    done = ward.repair()
    assert len(done.lost) == len(ward.locators())
    found = ward.findings()
    assert {finding.what for finding in found if finding.kind == "file_lost"} == set(FILES)
    with pytest.raises(ContentLost):
        ward.drive.read("/small")
    before = ward.room.rows(blocks)
    for path, data in FILES.items():
        ward.drive.save(path + ".again", data)
    ward.room.vault.flush()
    assert ward.room.rows(blocks) == before
    assert ward.contents_are_there()
    assert not {"file_lost"} & ward.found()
    for path, data in FILES.items():
        assert ward.drive.read(path + ".again") == data


def test_a_block_that_is_nowhere_is_uploaded_again(ward: Ward) -> None:
    ward.open(copies=2, cache=0)
    ward.fill()
    ward.harm("UPDATE blocks SET pack = NULL, pack_offset = NULL")
    assert "block_nowhere" in ward.found(scan=False)
    for path, data in FILES.items():
        ward.drive.save(path + ".again", data)
    ward.room.vault.flush()
    assert ward.contents_are_there()
    assert "block_nowhere" not in ward.found(scan=False)


__all__ = ["FIRST_STORE", "SECOND_STORE"]
