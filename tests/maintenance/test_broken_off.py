"""A gc that is killed between any two of its transactions, or before one lasts."""

from tests import invariants
from tests.blocks.room import content
from tests.maintenance.conftest import ignore
from tgdav.blocks.rows.tables import condemned
from tgdav.maintenance.gc import Graces, gc

NONE = Graces(age_s=0, uptime_s=0, waste_share=0.2)


class Killed(BaseException):
    pass


def test_it_goes_on_wherever_it_broke_off(drive, monkeypatch):
    for number in range(12):
        drive.save(f"/{number}", content(3000, seed=number))
    drive.save("/big", content(200_000, seed=99))
    drive.room.vault.flush()
    drive.delete("/big")
    for number in range(9):
        drive.delete(f"/{number}")
    drive.empty()
    write = drive.db.write
    allowed = [0]

    def counted(work, **options):
        if allowed[0] <= 0:
            raise Killed
        allowed[0] -= 1
        return write(work, **options)

    def run(most):
        allowed[0] = most
        monkeypatch.setattr(drive.db, "write", counted)
        try:
            gc(
                drive.room.vault.workshop,
                ignore,
                graces=NONE,
                dry=False,
                yes=True,
                now_ns=drive.now_ns(days=2),
            )
        except Killed:
            return False
        finally:
            monkeypatch.undo()
            free(drive)
        return True

    rounds = 0
    for most in range(60):
        done = run(most)
        invariants.check(drive.db)
        for number in range(9, 12):
            assert drive.read(f"/{number}") == content(3000, seed=number)
        rounds += done
        if rounds == 4:
            break
        drive.room.vault.flush()
    assert rounds == 4
    assert drive.room.rows(condemned) == 0
    old = sum(listed.size for listed in drive.room.store.scan())
    assert old < 200_000, "the packs of the large file went"


def free(drive):
    """What a dead process holds is free when its time is up."""
    from sqlalchemy import delete

    from tgdav.blocks.rows.tables import leases

    drive.db.write(lambda connection: connection.execute(delete(leases)))
