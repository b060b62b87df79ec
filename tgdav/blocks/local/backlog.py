"""How much waits on this machine, and what saves do about it: slow down, or stop.

Below 80 % of both bounds nothing happens; above, each save is delayed by what it
brings; at a bound it waits a while for room, and then gives up.
"""

import threading
import time
from typing import NamedTuple

from sqlalchemy import bindparam, func, select

from tgdav.blocks.rows import staging
from tgdav.blocks.rows.tables import packs, replicas
from tgdav.blocks.sizes import VaultSizes
from tgdav.db import Database
from tgdav.errors import StagingFull

SLOW_FROM = 0.8
SLOWEST_BYTES_S = 2 << 20
"""What one save gets just below the bound."""
FRESH_S = 0.5
RETRY_AFTER_S = 30.0

_SPOOLED = (
    select(func.coalesce(func.sum(packs.c.size), 0))
    .join(replicas, replicas.c.pack == packs.c.no)
    .where(replicas.c.store == bindparam("of_store"))
)


class Waits(NamedTuple):
    """Bytes that are on this machine only."""

    staged: int
    spooled: int


class Backlog:
    """What waits, looked up now and then and counted in between. Any thread."""

    def __init__(self, db: Database, spool_no: int, sizes: VaultSizes) -> None:
        self._db = db
        self._spool_no = spool_no
        self._sizes = sizes
        self._lock = threading.Lock()
        self._counted = Waits(0, 0)
        self._looked = float("-inf")

    def add(self, *, staged: int = 0, spooled: int = 0) -> None:
        """Count what this process has just added, until the next look."""
        with self._lock:
            counted = self._counted
            self._counted = Waits(counted.staged + staged, counted.spooled + spooled)

    def require_room(self) -> None:
        """Raise `StagingFull` if a new save should not begin."""
        if self._fullness() >= 1:
            raise StagingFull("what waits for the stores has reached its bound", RETRY_AFTER_S)

    def make_way(self, size: int) -> None:
        """Return when a running save may bring `size` more bytes.

        Near a bound that takes a while. Raises `StagingFull` if there is no room for
        `patience_s`.
        """
        fullness = self._fullness()
        if fullness > SLOW_FROM:
            steepness = min(1, (fullness - SLOW_FROM) / (1 - SLOW_FROM))
            time.sleep(steepness * size / SLOWEST_BYTES_S)
            self._await_room()

    def look(self) -> Waits:
        """What waits, as the database knows it now."""
        with self._db.read() as connection:
            staged = staging.waiting(connection).bytes
            spooled = connection.scalars(_SPOOLED, {"of_store": self._spool_no}).one()
        with self._lock:
            self._counted = Waits(staged, int(spooled))
            self._looked = time.monotonic()
            return self._counted

    def _await_room(self) -> None:
        give_up = time.monotonic() + self._sizes.patience_s
        while self._fullness() >= 1:
            if time.monotonic() >= give_up:
                self.require_room()
                return
            time.sleep(min(0.1, self._sizes.patience_s))

    def _fullness(self) -> float:
        """1 at a bound."""
        with self._lock:
            counted, is_stale = self._counted, time.monotonic() - self._looked > FRESH_S
            if is_stale:
                self._looked = time.monotonic()  # one thread looks, the others go on
        if is_stale:
            counted = self.look()
        return max(
            counted.staged / self._sizes.staging_limit, counted.spooled / self._sizes.spool_limit
        )
