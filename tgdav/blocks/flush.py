"""Flushing: staged blocks into packs, packs out of the spool into the stores.

Two jobs in two threads, as a slow store shall not keep staged blocks from being
packed. Across processes each has a lease: packing one for the database, delivery
one for the spool.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable

from tgdav.blocks.delivery import Delivery, Spooled
from tgdav.blocks.horizon import Horizon
from tgdav.blocks.index import batches
from tgdav.blocks.leases import Leases
from tgdav.blocks.packing import JournalSource, Packing
from tgdav.blocks.rounds import Rounds
from tgdav.blocks.workshop import Workshop
from tgdav.db import Database
from tgdav.errors import PackDamaged

SWEEP_S = 60.0
POLL_S = 0.2


class Flusher:
    """All that moves blocks towards the stores, by the clock and on demand. Any thread."""

    def __init__(self, workshop: Workshop, journal: JournalSource) -> None:
        self._spool = workshop.spool
        self._groups = workshop.sizes.deliveries
        self._packing = Packing(workshop, journal)
        self.horizon = Horizon(workshop.db, workshop.drive, workshop.keys, workshop.pool, journal)
        """Asked before anything goes to a store."""
        self._delivery = Delivery(workshop)
        self._pack_turn = _Turn(workshop.db, "pack", workshop.sizes.lease_s)
        self._delivery_turn = _Turn(
            workshop.db, f"spool {workshop.spool.no}", workshop.sizes.lease_s
        )
        self._sweep_due = float("inf")
        self._rounds = (
            Rounds("packing", self._pack_due, workshop.sizes.tick_s),
            Rounds("delivery", self._deliver_due, workshop.sizes.tick_s),
        )

    def start(self) -> None:
        """Sweep the spool, then flush by the clock. In one process for each spool."""
        for turn in (self._pack_turn, self._delivery_turn):
            turn.take_over(f"spool {self._spool.no}")
        self._spool.store.sweep()
        self._sweep_due = time.monotonic()
        for rounds in self._rounds:
            rounds.start()

    def flush(self) -> None:
        """Have everything staged, packed or spooled before now in the stores.

        Waits for another process that is at it. Raises `StoreBusy`, `StoreError`,
        `DiskFull`, `PackDamaged`, `DatabaseBusy`, `StoresAhead`; what could not be moved stays.
        """
        self.horizon.require()
        self._pack_turn.wait(self._packing.has_work, self._pack_all)
        self._delivery_turn.wait(
            lambda: bool(self._delivery.waiting()),
            lambda: self._deliver(self._delivery.waiting()),
        )

    def close(self, grace_s: float) -> None:
        """Stop the clock; what is under way has `grace_s` to end."""
        for rounds in self._rounds:
            rounds.close(grace_s)
        self._delivery.close()

    def _pack_due(self) -> None:
        if self._packing.is_old():
            self._pack_turn.offer(self._pack_all)
        elif self._packing.is_full():
            self._pack_turn.offer(self._pack_full)

    def _pack_all(self) -> None:
        self.horizon.require()
        now = time.time_ns()
        while self._packing.pack(now):
            self._pack_turn.renew()

    def _pack_full(self) -> None:
        self.horizon.require()
        while self._packing.is_full() and self._packing.pack(time.time_ns()):
            self._pack_turn.renew()

    def _deliver_due(self) -> None:
        if time.monotonic() >= self._sweep_due:
            self._delivery_turn.offer(self._sweep)
        # What is known to be damaged would have all the others wait longer.
        if any(pack.is_sound for pack in self._delivery.waiting()):
            self._delivery_turn.offer(self._deliver_sound)

    def _sweep(self) -> None:
        self._delivery.sweep()
        self._sweep_due = time.monotonic() + SWEEP_S

    def _deliver_sound(self) -> None:
        self._deliver(pack for pack in self._delivery.waiting() if pack.is_sound)

    def _deliver(self, waiting: Iterable[Spooled]) -> None:
        """Stop at a store that takes nothing, but not at a pack that nobody should get."""
        self.horizon.require()
        damaged: PackDamaged | None = None
        for group in batches(waiting, self._groups):
            self._delivery_turn.renew()
            try:
                self._delivery.deliver(group)
            except PackDamaged as error:
                damaged = error
        if damaged:
            raise damaged


class _Turn:
    """A job's turn: one thread of one process at a time."""

    def __init__(self, db: Database, name: str, lease_s: float) -> None:
        self._db = db
        self._lease_s = lease_s
        self._name = name
        self._lock = threading.Lock()
        self._leases = Leases(db)

    def take_over(self, holder: str) -> None:
        """Hold the lease under a name that the process before this one had, too.

        What it held when it was killed is then free at once.
        """
        self._leases = Leases(self._db, holder)

    def renew(self) -> None:
        self._leases.acquire(self._name, self._lease_s)

    def offer(self, work: Callable[[], None]) -> None:
        """Do `work` if it is nobody else's turn."""
        if self._lock.acquire(blocking=False):
            with contextlib.ExitStack() as stack:
                stack.callback(self._lock.release)
                if self._leases.acquire(self._name, self._lease_s):
                    stack.callback(self._leases.release, self._name)
                    work()

    def wait(self, is_needed: Callable[[], bool], work: Callable[[], None]) -> None:
        """Do `work` when the turn has come, unless it is not needed any more by then."""
        with self._lock:
            while is_needed():
                if self._leases.acquire(self._name, self._lease_s):
                    try:
                        work()
                    finally:
                        self._leases.release(self._name)
                    return
                time.sleep(POLL_S)
