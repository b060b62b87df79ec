"""Whose turn it is to change what the stores have: one process at a time, for all jobs.

Repair must not adopt what gc is about to delete, so both, and whatever else deletes or
adopts replicas, take the same turn. It ends by itself soon after its process does.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tgdav.blocks.rows.leases import Leases
from tgdav.db import Database
from tgdav.errors import Busy, TgdavError
from tgdav.maintenance.course import Stopped

LOG = logging.getLogger(__name__)

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
    leases = Leases(db, holder)
    if not leases.acquire(name, lease_s):
        raise Busy("another process is at maintenance now", lease_s)
    beating = _Heartbeat(leases, name, lease_s)
    try:
        yield beating.check
    finally:
        beating.stop()
        leases.release(name)


class _Heartbeat:
    """Keeps the lease for as long as the job takes, whatever it waits for."""

    def __init__(self, leases: Leases, name: str, lease_s: float) -> None:
        self._leases = leases
        self._name = name
        self._lease_s = lease_s
        self._over = threading.Event()
        self._is_lost = False
        self._thread = threading.Thread(target=self._beat, name="turn", daemon=True)
        self._thread.start()

    def check(self) -> None:
        if self._is_lost:
            raise Stopped

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._lease_s / 4):
            try:
                self._is_lost |= not self._leases.acquire(self._name, self._lease_s)
            except TgdavError as error:
                LOG.warning("the turn could not be renewed: %s", error)


def pause(db: Database, for_s: float) -> None:
    """Have no job run by the clock for `for_s` from now, on any gateway."""
    Leases(db, PAUSE).acquire(PAUSE, for_s)


def resume(db: Database) -> None:
    """End a pause."""
    Leases(db, PAUSE).release(PAUSE)


def paused_s(db: Database) -> float:
    """How long the pause lasts still; 0 if there is none."""
    return Leases(db, PAUSE).remaining_s(PAUSE)
