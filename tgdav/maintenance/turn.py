"""Whose turn it is to change what the stores have: one process at a time, for all jobs.

Repair must not adopt what gc is about to delete, so both, and whatever else deletes or
adopts replicas, take the same turn. It ends by itself soon after its process does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.turns import Heartbeat
from tgdav.db import Database
from tgdav.errors import Busy
from tgdav.maintenance.course import Stopped

STORES = "maintenance"
"""The lease of jobs that change what the stores have."""
PAUSE = "maintenance pause"
LEASE_S = 20.0


@contextmanager
def turn(
    db: Database, name: str = STORES, holder: str | None = None, lease_s: float = LEASE_S
) -> Iterator[Callable[[], None]]:
    """Have the turn inside; yields what raises `Stopped` once it was lost.

    Raises `Busy` if somebody else has it. A `holder` that has it from before may go on.
    """
    beating = Heartbeat.begin(Leases(db, holder), name, lease_s)
    if beating is None:
        raise Busy("another process is at maintenance now", lease_s)

    def check() -> None:
        if beating.is_lost:
            raise Stopped

    try:
        yield check
    finally:
        beating.stop()


def pause(db: Database, for_s: float) -> None:
    """Have no job run by the clock for `for_s` from now, on any gateway."""
    Leases(db, PAUSE).acquire(PAUSE, for_s)


def resume(db: Database) -> None:
    """End a pause."""
    Leases(db, PAUSE).release(PAUSE)


def paused_s(db: Database) -> float:
    """How long the pause lasts still; 0 if there is none."""
    return Leases(db, PAUSE).remaining_s(PAUSE)
