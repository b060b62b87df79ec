"""A flush beside the process that has the stores, and what a flush tells of itself."""

import pytest

from tests.blocks.room import FIRST_STORE, KIB, Room, content, refuse, until
from tests.blocks.test_draining import first, kept
from tests.doubles.faulty import FaultyStore
from tgdav.blocks import progress
from tgdav.blocks.rows.tables import packs
from tgdav.errors import PackDamaged, StoreBusy

__all__ = ["first"]


def test_a_flush_beside_another_process_makes_packs_and_watches(
    room: Room, first: FaultyStore
) -> None:
    first.delay_s = 2.0  # what is delivered before the first look is not watched
    room.open(sizes={"flush_age_s": 3600.0})
    room.vault.start()
    serving, room.stores = room.vault, {}
    room.open()
    room.save(content(5 * KIB))
    told: list[tuple[int, int]] = []
    room.vault.flush_beside(lambda done, total: told.append((done, total)))
    assert kept(room) == {FIRST_STORE: 1}
    assert told[-1] == (room.column(packs.c.size)[0],) * 2
    serving.close()


def test_a_flush_that_nobody_carries_out_ends(room: Room, first: FaultyStore) -> None:
    room.save(content(300 * KIB))
    with pytest.raises(StoreBusy, match="packs wait in the spool: nothing has moved for 1 s"):
        room.vault.flush_beside(patience_s=1)


def test_a_flush_waits_as_long_as_something_moves(room: Room, first: FaultyStore) -> None:
    room.save(content(600 * KIB))
    serving = room.vault
    first.delay_s = 0.5
    refuse(first, StoreBusy("not yet", 0.5))
    serving.start()
    room.open()
    until(lambda: first.puts > 1)
    first.heal()
    first.delay_s = 0.5
    room.vault.flush_beside(patience_s=3)
    assert set(kept(room)) == {FIRST_STORE}
    serving.close()


def test_a_flush_does_not_wait_for_what_is_damaged(room: Room) -> None:
    room.save(content(100 * KIB))
    (harmed,) = (room.folder / "spool").glob("??/*.pack")
    harmed.write_bytes(bytes(harmed.stat().st_size))
    with pytest.raises(PackDamaged):
        room.vault.flush()
    with pytest.raises(PackDamaged, match="1 packs in the spool are damaged"):
        room.vault.flush_beside()


def test_a_flush_tells_how_far_it_is(room: Room) -> None:
    room.save(content(600 * KIB))
    told: list[tuple[int, int]] = []
    room.vault.flush(lambda done, total: told.append((done, total)))
    size = sum(room.column(packs.c.size))
    assert told[-1] == (size, size)
    assert told == sorted(told)


def test_patience_is_renewed_by_every_move() -> None:
    now = [0.0]
    patience = progress.Patience(10, lambda: now[0])
    for at, figure in ((0, 1), (9, 1), (9.5, 2), (19, 2), (19.4, 3)):
        now[0] = at
        patience.see(figure, "it")
    now[0] = 29.4
    with pytest.raises(StoreBusy, match="it: nothing has moved for 10 s"):
        patience.see(3, "it")
