"""How long the drive was served in all: a clock that only runs while somebody looks at it.

gc waits by it, so that a clock that is set forward collects nothing early.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection, bindparam, insert, select, update

from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import uptime
from tgdav.db import Database

LEASE = "uptime"
LEASE_S = 300.0
LONGEST_S = 240.0
"""The most that one beat adds: a process that slept did not serve."""

_READ = select(uptime.c.ns)
_ADD = update(uptime).values(ns=uptime.c.ns + bindparam("more"))
_BEGIN = insert(uptime)


class Uptime:
    """Counts while this process serves; of all processes on a database one counts."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._leases = Leases(db)
        self._monotonic = monotonic
        self._since: float | None = None

    def beat(self) -> None:
        """Add the time since the last beat. To be called each minute or so."""
        if not self._leases.acquire(LEASE, LEASE_S):
            self._since = None
            return
        now = self._monotonic()
        if self._since is not None:
            add(self._db, int(min(now - self._since, LONGEST_S) * 1e9))
        self._since = now


def add(db: Database, ns: int) -> None:
    """Count `ns` more."""

    def work(connection: Connection) -> None:
        if not connection.execute(_ADD, {"more": ns}).rowcount:
            connection.execute(_BEGIN, {"no": 1, "ns": ns})

    db.write(work)


def read(connection: Connection) -> int:
    """Nanoseconds that the drive was served."""
    return int(connection.scalars(_READ).one_or_none() or 0)
