"""Whose turn it is to do a job: one thread's of one process, by a lease."""

import contextlib
import threading
import time
from collections.abc import Callable

from tgdav.blocks.rows.leases import Leases
from tgdav.db import Database

POLL_S = 0.2


class Turn:
    """A job's turn: one thread of one process at a time."""

    def __init__(self, db: Database, name: str, lease_s: float) -> None:
        self._db = db
        self._lease_s = lease_s
        self._name = name
        self._lock = threading.Lock()
        self._waiting: list[None] = []  # one for each thread; both ends of a list are atomic
        self._leases = Leases(db)

    @property
    def is_awaited(self) -> bool:
        """True while a thread of this process waits for it: who has it should not be long."""
        return bool(self._waiting)

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
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            while is_needed():
                if self._leases.acquire(self._name, self._lease_s):
                    try:
                        work()
                    finally:
                        self._leases.release(self._name)
                    return
                time.sleep(POLL_S)
