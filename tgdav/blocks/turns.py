"""Whose turn it is to do a job: one thread's of one process, by a lease."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Self

from tgdav.blocks.rows.leases import Leases
from tgdav.db import Database
from tgdav.errors import TgdavError

LOG = logging.getLogger(__name__)

POLL_S = 0.2


class Heartbeat:
    """Keeps a lease, whatever its holder waits for."""

    def __init__(self, leases: Leases, name: str, lease_s: float, since: float) -> None:
        """`leases` has acquired it: it was asked for at the monotonic time `since`."""
        self._leases = leases
        self._name = name
        self._lease_s = lease_s
        self._since = since
        self._was_lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=name, daemon=True)
        self._thread.start()

    @classmethod
    def begin(cls, leases: Leases, name: str, lease_s: float) -> Self | None:
        """Acquire it and keep it; None if another process has it."""
        since = time.monotonic()
        return cls(leases, name, lease_s, since) if leases.acquire(name, lease_s) else None

    @property
    def is_lost(self) -> bool:
        """True once another process had the lease, or could have had it."""
        return self._was_lost or time.monotonic() - self._since > self._lease_s

    def stop(self) -> None:
        """Give the lease back."""
        self._over.set()
        self._thread.join()
        self._leases.release(self._name)

    def _beat(self) -> None:
        while not self._over.wait(self._lease_s / 4):
            asked = time.monotonic()
            try:
                is_ours = self._leases.acquire(self._name, self._lease_s)
            except TgdavError as error:
                LOG.warning("the lease %r could not be renewed: %s", self._name, error)
                continue
            self._was_lost = self.is_lost or not is_ours
            self._since = asked


class Turn:
    """A job's turn: one thread of one process at a time."""

    def __init__(self, db: Database, name: str, lease_s: float) -> None:
        self._db = db
        self._lease_s = lease_s
        self._name = name
        self._lock = threading.Lock()
        self._waiting: list[None] = []  # one for each thread; both ends of a list are atomic
        self._leases = Leases(db)
        self._beating: Heartbeat | None = None

    @property
    def is_awaited(self) -> bool:
        """True while a thread of this process waits for it: who has it should not be long."""
        return bool(self._waiting)

    @property
    def is_lost(self) -> bool:
        """True if another process had it since this one's work began: that should end."""
        return self._beating is not None and self._beating.is_lost

    def take_over(self, holder: str) -> None:
        """Hold the lease under a name that the process before this one had, too.

        What it held when it was killed is then free at once.
        """
        self._leases = Leases(self._db, holder)

    def offer(self, work: Callable[[], None]) -> None:
        """Do `work` if it is nobody else's turn."""
        if self._lock.acquire(blocking=False):
            try:
                self._do(work)
            finally:
                self._lock.release()

    def wait(self, is_needed: Callable[[], bool], work: Callable[[], None]) -> None:
        """Do `work` when the turn has come, unless it is not needed any more by then.

        Work that lost the turn is done again when that is back.
        """
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            while is_needed() and not self._do(work):
                time.sleep(POLL_S)

    def _do(self, work: Callable[[], None]) -> bool:
        """Do `work` unless another process has the turn; True if none had it all along."""
        beating = Heartbeat.begin(self._leases, self._name, self._lease_s)
        if beating is None:
            return False
        self._beating = beating
        try:
            work()
            return not beating.is_lost
        finally:
            beating.stop()
