"""scrub: read every replica, open every block, those first that nobody read for longest.

Changes nothing but two notes: when a replica was found whole, and that it is suspect. A
run that is stopped goes on where it was, as the notes say what is left.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection

from tgdav.blocks.form.soundness import examine
from tgdav.blocks.rows import holdings, index
from tgdav.blocks.rows.holdings import Unverified
from tgdav.blocks.rows.tables import NO_DIGEST
from tgdav.blocks.workshop import Workshop
from tgdav.errors import Busy, PackDamaged, ReplicaMissing, StoreError
from tgdav.maintenance.course import Course
from tgdav.stores.pool import Replica

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Scrubbed:
    """What a run found."""

    replicas: int = 0
    """Read from end to end."""
    bytes: int = 0
    bad: list[tuple[int, int]] = field(default_factory=list)
    """(pack, store) of those that are suspect now; the first `MOST`."""
    bad_count: int = 0
    out_of_reach: int = 0
    """Replicas that could not be read now, so that nothing is known of them."""


MOST = 1000
PATIENCE = 3
"""Reads in a row that a store may fail before nothing more is asked of it."""


def scrub(
    workshop: Workshop,
    course: Course | None = None,
    *,
    older_than_s: float = 0.0,
    clock: Callable[[], int] = time.time_ns,
) -> Scrubbed:
    """Read all replicas that nobody has read whole for `older_than_s`.

    A store out of reach is passed over, and so is a replica alone that cannot be read.
    Raises `Stopped`, `DatabaseBusy`.
    """
    return _Scrub(workshop, course or Course(), clock).run(older_than_s)


class _Scrub:
    """One run."""

    def __init__(self, workshop: Workshop, course: Course, clock: Callable[[], int]) -> None:
        self._workshop = workshop
        self._course = course
        self._clock = clock
        self._found = Scrubbed()
        self._unread: set[Replica] = set()
        self._failures: Counter[int] = Counter()

    def run(self, older_than_s: float) -> Scrubbed:
        before_ns = self._clock() - int(older_than_s * 1e9)
        while page := self._page(before_ns):
            for unverified in page:
                if self._failures[unverified.replica.store] < PATIENCE:
                    self._examine(unverified, before_ns)
        return self._found

    def _page(self, before_ns: int) -> list[Unverified]:
        numbers = [no for no in self._workshop.pool.numbers() if self._failures[no] < PATIENCE]
        with self._workshop.db.read() as connection:
            page = holdings.unverified(connection, numbers, before_ns)
        return [each for each in page if each.replica not in self._unread]

    def _examine(self, unverified: Unverified, before_ns: int) -> None:
        self._course.step(self._found.bytes)
        replica = unverified.replica
        try:
            digest = read_whole(self._workshop, self._course, unverified)
        except (PackDamaged, ReplicaMissing):
            self._note_bad(unverified)
        except (StoreError, Busy) as error:
            self._unread.add(replica)
            self._found.out_of_reach += 1
            if isinstance(error, Busy) or not self._answers(replica):
                self._failures[replica.store] += 1
        else:
            # A clock that was set back must not have it read again in this run.
            at_ns = max(self._clock(), before_ns)
            self._workshop.db.write(
                partial(_note_sound, unverified=unverified, digest=digest, at_ns=at_ns)
            )
            self._failures[replica.store] = 0
            self._found.replicas += 1
            self._found.bytes += unverified.size

    def _answers(self, replica: Replica) -> bool:
        """The store is there, so it is this replica that cannot be read."""
        try:
            self._workshop.pool.store(replica.store).probe(replica.locator)
        except (StoreError, Busy):
            return False
        return True

    def _note_bad(self, unverified: Unverified) -> None:
        """Unless it was flushed or replaced while it was read."""
        replica, found = unverified.replica, self._found
        if self._workshop.db.write(lambda c: index.suspect(c, replica)):
            LOG.warning("pack %d: its replica in store %d is bad", unverified.pack, replica.store)
            found.bad_count += 1
            if len(found.bad) < MOST:
                found.bad.append((unverified.pack, replica.store))


def _note_sound(connection: Connection, unverified: Unverified, digest: bytes, at_ns: int) -> None:
    holdings.note_verified(connection, unverified.replica, at_ns)
    holdings.note_digest(connection, unverified.pack, digest)


def read_whole(workshop: Workshop, course: Course, unverified: Unverified) -> bytes:
    """Raise `PackDamaged` unless the replica is its pack, and each of its blocks opens.

    Returns the pack's digest; one that was recovered may have had none yet.
    Raises what `Store.read` does, `Stopped`.
    """
    store, locator = workshop.pool.store(unverified.replica.store), unverified.replica.locator

    def read(offset: int, size: int) -> bytes:
        course.spend(size)
        return store.read(locator, offset, size)

    examined = examine(read, unverified.size, workshop.keys, workshop.sealer)
    if unverified.digest not in (NO_DIGEST, examined.digest):
        raise PackDamaged(f"{locator}: other bytes than were kept")
    return examined.digest
