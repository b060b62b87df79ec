"""Flushing: staged blocks into packs, packs out of the spool into the stores.

Two jobs in two threads, as a slow store shall not keep staged blocks from being
packed. Across processes each has a lease: packing one for the database, delivery
one for the spool.
"""

import contextlib
import time
from collections.abc import Callable

from tgdav.blocks.flushing import draining
from tgdav.blocks.flushing.delivery import Delivery, Spooled
from tgdav.blocks.flushing.draining import Draining
from tgdav.blocks.flushing.horizon import Horizon
from tgdav.blocks.flushing.packing import JournalSource, Packing
from tgdav.blocks.progress import Patience, Progress, unseen
from tgdav.blocks.rounds import Rounds
from tgdav.blocks.rows import roster, status
from tgdav.blocks.turns import Turn
from tgdav.blocks.workshop import Workshop
from tgdav.errors import Busy, ContentLost, PackDamaged, StoreError, TgdavError

SWEEP_S = 60.0
POLL_S = 0.2
BREATH_S = 5.0
"""The longest pause before a busy store is asked again by whoever drains another."""


class Flusher:
    """All that moves blocks towards the stores, by the clock and on demand. Any thread."""

    def __init__(self, workshop: Workshop, journal: JournalSource) -> None:
        self._db = workshop.db
        self._spool = workshop.spool
        self._in_stores = workshop.in_stores
        self._packing = Packing(workshop, journal)
        self.horizon = Horizon(workshop, journal)
        """Asked before anything goes to a store."""
        self._delivery = Delivery(workshop)
        self._draining = Draining(workshop)
        self._pack_turn = Turn(workshop.db, "pack", workshop.sizes.lease_s)
        self._delivery_turn = Turn(workshop.db, workshop.spool.lease, workshop.sizes.lease_s)
        self._drain_turn = Turn(workshop.db, "drain", workshop.sizes.lease_s)
        self._sweep_due = float("inf")
        self._rounds = (
            Rounds("packing", self._pack_due, workshop.sizes.tick_s),
            Rounds("delivery", self._deliver_due, workshop.sizes.tick_s),
            Rounds("draining", self._drain_due, workshop.sizes.tick_s),
        )

    def start(self) -> None:
        """Sweep the spool, then flush by the clock. In one process for each spool."""
        for turn in (self._pack_turn, self._delivery_turn, self._drain_turn):
            turn.take_over(f"spool {self._spool.no}")
        self._spool.store.sweep()
        self._sweep_due = time.monotonic()
        for rounds in self._rounds:
            rounds.start()

    def flush(self, progress: Progress = unseen) -> None:
        """Have everything staged, packed or spooled before now in the stores.

        Waits for another process that is at it. Raises `StoreBusy`, `StoreError`,
        `DiskFull`, `PackDamaged`, `DatabaseBusy`, `StoresAhead`; what could not be moved stays.
        """
        self.horizon.require()
        self._pack_now()
        self._delivery_turn.wait(
            lambda: bool(self._delivery.waiting()),
            lambda: self._deliver(self._delivery.waiting(), progress),
        )

    def reach_quorum(self) -> None:
        """As `flush`, but further copies than a save waits for are left to the clock."""
        self.horizon.require()
        self._pack_now()
        self._delivery_turn.wait(
            lambda: bool(self._delivery.owed()),
            lambda: self._deliver(self._delivery.owed()),
        )

    def flush_beside(self, progress: Progress, patience_s: float) -> None:
        """`flush` where another process has the stores: make the packs, watch it do the rest.

        Raises `StoreBusy` when nothing has moved for so long, `StoresAhead`, and what
        packing raises.
        """
        self.horizon.require()
        if not self._in_stores:
            self._pack_now()
        wanted, patience = self._delivery.waiting(), Patience(patience_s)
        total = sum(pack.size for pack in wanted)
        while left := self._still_waiting(wanted):
            if not any(pack.is_sound for pack in left):
                raise PackDamaged(f"{len(left)} packs in the spool are damaged")
            size = sum(pack.size for pack in left)
            progress(total - size, total)
            patience.see((size, self._activity()), f"{len(left)} packs wait in the spool")
            time.sleep(POLL_S)
        progress(total, total)

    def drain(self, store: int, progress: Progress, patience_s: float, *, beside: bool) -> None:
        """Return when the store, which is draining, holds nothing and is gone.

        `beside` a process that has the stores, it only watches. A busy store is waited for.
        Raises `StoreBusy` when nothing has moved for so long, `StoreError`, `ContentLost`,
        `DiskFull`, `DatabaseBusy`, `StoresAhead`; another call goes on where this one ended.
        """
        patience, total = Patience(patience_s), self._held_by(store).bytes
        while (row := roster.find(self._db, store)) and row.state == "draining":
            left = self._held_by(store)
            total = max(total, left.bytes)
            progress(total - left.bytes, total)
            figure = (left, self._spooled(), self._activity())
            patience.see(figure, f"store {store} still holds {left.packs} packs")
            if beside:
                time.sleep(POLL_S)
            else:
                self.horizon.require()
                self._drain_a_little()
        if row is None or row.state != "gone":
            raise StoreError(f"store {store} is not being drained any more")
        progress(total, total)

    def close(self, grace_s: float) -> None:
        """Stop the clock; what is under way has `grace_s` to end."""
        for rounds in self._rounds:
            rounds.close(grace_s)
        with contextlib.suppress(TgdavError):  # the next start tidies
            self._packing.tidy()
        self._delivery.close()
        self._draining.close()

    def _pack_due(self) -> None:
        if self._packing.is_old():
            self._offer(self._pack_turn, self._pack_all)
        elif self._packing.is_full():
            self._offer(self._pack_turn, self._pack_full)

    def _pack_now(self) -> None:
        """Pack everything, as soon as no other process does."""
        self._packing.find_again()
        self._pack_turn.wait(self._packing.has_work, self._pack_all)

    def _pack_all(self) -> None:
        for _ in self._packing.packs(time.time_ns()):
            if self._pack_turn.is_lost:
                return

    def _pack_full(self) -> None:
        for _ in self._packing.packs(time.time_ns()):
            if self._pack_turn.is_lost or not self._packing.is_full():
                return

    def _offer(self, turn: Turn, work: Callable[[], None]) -> None:
        """Do `work` if it is this process's turn. Nobody waits for it while stores are asked."""
        self.horizon.require()
        turn.offer(work)

    def _deliver_due(self) -> None:
        if time.monotonic() >= self._sweep_due:
            self._delivery_turn.offer(self._sweep)
        # What is known to be damaged would have all the others wait longer.
        if any(pack.is_sound for pack in self._delivery.waiting()):
            self._offer(self._delivery_turn, self._deliver_sound)

    def _sweep(self) -> None:
        self._packing.find_again()
        self._packing.tidy()
        self._delivery.sweep()
        self._sweep_due = time.monotonic() + SWEEP_S

    def _deliver_sound(self) -> None:
        self._delivery.deliver(self._as_they_come)

    def _as_they_come(self) -> list[Spooled]:
        """The sound packs; none when the next sweep is due, or others are to have the turn."""
        turn = self._delivery_turn
        if turn.is_awaited or turn.is_lost or time.monotonic() >= self._sweep_due:
            return []
        return [pack for pack in self._delivery.waiting() if pack.is_sound]

    def _deliver(self, packs: list[Spooled], progress: Progress = unseen) -> None:
        total = sum(pack.size for pack in packs)

        def waiting() -> list[Spooled]:
            return [] if self._delivery_turn.is_lost else packs

        def tell() -> None:
            if progress is not unseen:
                left = self._still_waiting(packs)
                progress(total - sum(pack.size for pack in left), total)

        self._delivery.deliver(waiting, tell)

    def _still_waiting(self, packs: list[Spooled]) -> list[Spooled]:
        """Those that the spool has yet, as they are now."""
        numbers = {pack.no for pack in packs}
        return [pack for pack in self._delivery.waiting() if pack.no in numbers]

    def _drain_due(self) -> None:
        if self._draining.stores():
            self._offer(self._drain_turn, self._drain)

    def _drain(self) -> None:
        while not self._drain_turn.is_lost and self._draining.go_on():
            pass

    def _drain_a_little(self) -> None:
        """Move what can be moved now, in this thread."""
        lost: ContentLost | None = None
        try:
            try:
                self._drain_turn.wait(lambda: True, self._drain)
            except ContentLost as error:
                lost = error
            waiting = [pack for pack in self._delivery.waiting() if pack.is_sound]
            if waiting:
                self._delivery_turn.wait(lambda: True, lambda: self._deliver(waiting))
            elif lost:
                raise lost
        except Busy as error:
            time.sleep(min(error.retry_after_s, BREATH_S))

    def _held_by(self, store: int) -> draining.Left:
        with self._db.read() as connection:
            return draining.left(connection, store)

    def _spooled(self) -> int:
        return sum(pack.size for pack in self._delivery.waiting())

    def _activity(self) -> int:
        """A figure that changes while accounts are at work, however large the packs are."""
        with self._db.read() as connection:
            return status.account_activity(connection)
