"""repair: every pack has its promised sound replicas again, and rows say what is there.

Nothing that anybody may still need is deleted: a stray replica is adopted, a bad one goes
when a whole one can take its place. Every step stands by itself, so a run that ends
anywhere is gone on with by the next.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from tgdav.blocks.flushing.adopting import adopt
from tgdav.blocks.rows import holdings, index
from tgdav.blocks.rows.holdings import SPOOL, Owed, StoreOf, Unverified
from tgdav.blocks.workshop import Workshop
from tgdav.errors import Busy, PackDamaged, ReplicaMissing, StoreError
from tgdav.maintenance import inventory, tidying
from tgdav.maintenance.course import Course
from tgdav.maintenance.fsck import SETTLED_S, lost_packs
from tgdav.maintenance.inventory import Difference, Inventory
from tgdav.maintenance.mending import Mended, Mending
from tgdav.maintenance.scrub import read_whole
from tgdav.stores.base import Store
from tgdav.stores.pool import Replica

LOG = logging.getLogger(__name__)

MOST = 1000
"""Numbers that a report names; of the others it says how many."""


@dataclass(slots=True)
class Repaired:
    """What a run did; after a dry one, what it would have done, as far as that can be told."""

    tidied: int = 0
    """Rows that stood for nothing any more."""
    suspected: int = 0
    """Replicas that a store turned out not to have, or not whole."""
    doubles: int = 0
    """Packs that a store had twice."""
    adopted: int = 0
    """Replicas that no row mentioned."""
    mended: int = 0
    """Packs that lacked something."""
    made: int = 0
    """Replicas that were put where none was."""
    replaced: int = 0
    """Bad replicas in whose place there is a sound one now."""
    bytes: int = 0
    """Of the packs that were mended."""
    short: int = 0
    """Packs that have fewer replicas than promised still."""
    lost: list[int] = field(default_factory=list)
    """Packs of which nothing whole is left; the first `MOST`."""
    trouble: str = ""
    """The last reason for what could not be done."""


def repair(
    workshop: Workshop,
    scratch: Path,
    course: Course | None = None,
    *,
    scan: bool = True,
    dry_run: bool = False,
    clock: Callable[[], int] = time.time_ns,
    settled_s: float = SETTLED_S,
) -> Repaired:
    """Do what can be done; `scan` asks the stores what they have, first.

    `scratch` is a folder with room for a pack. Hold the lease of maintenance: gc must not
    delete what is being adopted. Raises `Stopped`, `DatabaseBusy`, `DiskFull`.
    """
    run = _Repair(workshop, course or Course(), dry_run)
    now_ns = clock()
    run.done.tidied = tidying.tidy(workshop.db, now_ns, dry_run=dry_run)
    if scan:
        run.compare()
    run.mend(scratch, now_ns - int(settled_s * 1e9), thorough=scan)
    run.settle_doubtful()
    return run.done


class _Repair:
    """One run."""

    def __init__(self, workshop: Workshop, course: Course, dry_run: bool) -> None:
        self._workshop = workshop
        self._course = course
        self._dry_run = dry_run
        self.done = Repaired()
        self._doubtful: list[Difference] = []
        """Doubles of which none is whole yet: the first `MOST`."""

    def compare(self) -> None:
        """Have the rows say what the stores have."""
        with self._workshop.db.read() as connection:
            stores = holdings.stores_in_use(connection)
        for at, store in enumerate(stores):
            self._course.step(at, len(stores))
            if self._workshop.pool.has(store.no):
                self._compare(store, self._workshop.pool.store(store.no))

    def _compare(self, row: StoreOf, store: Store) -> None:
        compared = Inventory(self._workshop, row.no, store, self._course)
        try:
            if row.kind != SPOOL:
                for difference in compared.strays():
                    self._settle(row, store, difference)
            for difference in compared.missing():
                self._suspect(difference)
        except (StoreError, Busy) as error:
            self.done.trouble = f"store {row.no}: {error}"

    def _settle(self, row: StoreOf, store: Store, difference: Difference) -> None:
        if difference.kind == inventory.TRUNCATED:
            self._suspect(difference)
        elif difference.kind == inventory.UNKNOWN:
            self._adopt(store, difference)
        elif difference.kind == inventory.STRAY:
            # What a store that is being emptied has is about to be deleted.
            if row.state == "active":
                self._record(difference)
        elif difference.kind == inventory.DOUBLE:
            self.done.doubles += 1
            if not self._dry_run and not self._settle_double(store, difference):
                self._doubtful.append(difference)
                del self._doubtful[MOST:]

    def _suspect(self, difference: Difference) -> None:
        replica = Replica(difference.store, difference.listed.locator)
        if self._dry_run:
            self.done.suspected += 1
        elif self._workshop.db.write(lambda c: index.suspect(c, replica)):
            self.done.suspected += 1
            LOG.warning("pack %d: not whole in store %d", difference.pack, replica.store)

    def _adopt(self, store: Store, difference: Difference) -> None:
        if not self._dry_run:
            self._course.spend(difference.listed.size)
            try:
                adopt(self._workshop, difference.store, store, difference.listed)
            except (PackDamaged, ReplicaMissing) as error:
                self.done.trouble = f"store {difference.store}: left alone: {error}"
                return
        self.done.adopted += 1

    def _record(self, difference: Difference) -> None:
        """Record a replica of a known pack; a bad one as suspect, so that it is replaced.

        Left unmentioned it would be in the way: a store keeps what it has of a pack.
        """
        self.done.adopted += 1
        if self._dry_run:
            return
        replica = Replica(difference.store, difference.listed.locator)
        is_whole = self._is_whole(difference.pack, replica)

        def work(connection: Connection) -> None:
            index.record_replica(connection, difference.pack, replica)
            if not is_whole:
                index.suspect(connection, replica)

        self._workshop.db.write(work)

    def settle_doubtful(self) -> None:
        """Settle the doubles whose packs were mended."""
        for difference in self._doubtful:
            self._course.step()
            try:
                self._settle_double(self._workshop.pool.store(difference.store), difference)
            except (StoreError, Busy) as error:
                self.done.trouble = f"store {difference.store}: {error}"

    def _settle_double(self, store: Store, difference: Difference) -> bool:
        """Keep the recorded one of two replicas if it is whole, else the other if that is."""
        with self._workshop.db.read() as connection:
            held = holdings.held(connection, difference.pack)
        recorded = next((each for each in held if each.store == difference.store), None)
        other = Replica(difference.store, difference.listed.locator)
        if recorded is None or recorded.replica == other:
            return True
        if self._is_whole(difference.pack, recorded.replica):
            store.delete([other.locator])
        elif self._is_whole(difference.pack, other):
            self._workshop.db.write(lambda c: index.record_replica(c, difference.pack, other))
            store.delete([recorded.locator])
        else:
            return False
        return True

    def _is_whole(self, no: int, replica: Replica) -> bool:
        with self._workshop.db.read() as connection:
            pack = holdings.pack(connection, no)
        try:
            if pack is not None:
                told = Unverified(no, pack.size, pack.digest, replica)
                read_whole(self._workshop, self._course, told)
        except (PackDamaged, ReplicaMissing):
            return False
        return pack is not None

    def mend(self, scratch: Path, settled_ns: int, *, thorough: bool) -> None:
        """Give each pack what it lacks.

        Only a `thorough` run reads once more what had nothing whole before.
        """
        mending = Mending(self._workshop, scratch, self._course)
        for at, owed in enumerate(self._owed(settled_ns)):
            self._course.step(at)
            if not owed.is_readable and not thorough:
                continue
            self.done.mended += 1
            self.done.bytes += owed.size
            if not self._dry_run:
                self._count(owed, mending.mend(owed.pack))
        if self._dry_run:
            self.done.lost = [pack.pack for pack in lost_packs(self._workshop)][:MOST]

    def _owed(self, settled_ns: int) -> Iterator[Owed]:
        after = 0
        while page := self._page(settled_ns, after):
            after = page[-1].pack
            yield from page

    def _page(self, settled_ns: int, after: int) -> list[Owed]:
        with self._workshop.db.read() as connection:
            return holdings.owed(connection, self._workshop.pool.copies, settled_ns, after)

    def _count(self, owed: Owed, mended: Mended) -> None:
        self.done.made += mended.made
        self.done.replaced += mended.replaced
        self.done.trouble = mended.trouble or self.done.trouble
        if mended.is_lost:
            LOG.error("pack %d: lost, no replica of it is whole", owed.pack)
            if len(self.done.lost) < MOST:
                self.done.lost.append(owed.pack)
        elif mended.promised < self._workshop.pool.copies:
            self.done.short += 1
