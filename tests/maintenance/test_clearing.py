"""gc and expire among the other jobs: by the clock, and no damage to fsck."""

from sqlalchemy import exists, select

from tests.blocks.room import content
from tests.maintenance.conftest import Kept
from tgdav.blocks.rows.tables import blocks, packs
from tgdav.maintenance.fsck import fsck
from tgdav.maintenance.gc import Graces
from tgdav.maintenance.jobs import Keeping, clearing
from tgdav.maintenance.repair import repair
from tgdav.maintenance.schedule import Schedule, last_runs
from tgdav.stores.base import Locator

AT_ONCE = Keeping(keep_s=0, graces=Graces(age_s=0, uptime_s=0))
_DEAD = select(packs.c.pack_id).where(~exists().where(blocks.c.pack == packs.c.no))


def test_expire_and_gc_run_by_the_clock(drive: Kept) -> None:
    drive.save("/a", content(300 << 10, 1))
    drive.room.vault.flush()
    drive.delete("/a")
    table = clearing(drive.room.vault.workshop, drive.tree.trash, AT_ONCE)
    schedule = Schedule(drive.db, table, "one")
    assert schedule.run_due() == ["expire", "gc"]
    said = [ran.facts for ran in last_runs(drive.db)]
    assert not any("trouble" in facts for facts in said)
    assert said[1]["is_dry"] is False
    assert schedule.run_due() == []


def test_a_pack_that_gc_was_dropping_is_no_damage(drive: Kept) -> None:
    """The stores have let go of it; the process died before the rows did."""
    drive.save("/a", content(300 << 10, 1))
    drive.save("/b", content(10 << 10, 2))
    drive.room.vault.flush()
    drive.delete("/a")
    drive.empty()
    for _ in range(2):
        drive.gc(yes=True, floor=1 << 60)
        drive.serve()
    drive.gc(yes=True, floor=1 << 60)
    with drive.db.read() as connection:
        dead = connection.scalars(_DEAD).all()
    assert dead
    drive.room.vault.flush()  # what was copied from it is in the stores now
    drive.room.store._inner.delete([Locator(pack_id.hex()) for pack_id in dead])
    workshop = drive.room.vault.workshop
    done = repair(workshop, drive.room.folder / "spool")
    assert (done.suspected, done.mended, done.lost) == (0, 0, [])
    assert list(fsck(workshop)) == []
    drive.serve()
    assert drive.gc(yes=True, floor=1 << 60).dropped_packs == len(dead)
    assert list(fsck(workshop)) == []
