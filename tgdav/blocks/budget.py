"""Bytes in flight, bounded for the whole process whatever the clients do.

First come, first served: a large request is not overtaken for ever by small ones.
Knows nothing of what the bytes are.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Budget:
    """`limit` bytes, shared by all threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._used = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def used(self) -> int:
        """Bytes taken and not given back; above `limit` by what was granted."""
        return self._used

    def take(self, n: int, *, granted: bool = False) -> None:
        """Take `n` bytes; wait for room, behind those who wait already.

        `granted` never waits: a stream's first window, so that slow readers starve
        nobody. More than the whole limit is let in once nothing else is taken.
        """
        with self._lock:
            if granted or (not self._waiting and self._has_room(n)):
                self._used += n
                return
            waiting = _Waiting(n)
            self._waiting.append(waiting)
        try:
            waiting.admitted.wait()
        except BaseException:
            self._withdraw(waiting)
            raise

    def offer(self, n: int) -> bool:
        """Take `n` bytes if there is room now and nobody waits; True if they are taken."""
        with self._lock:
            has_room = not self._waiting and self._has_room(n)
            self._used += n if has_room else 0
            return has_room

    def give(self, n: int) -> None:
        """Give back `n` bytes that were taken, from any thread."""
        with self._lock:
            if n > self._used:
                raise ValueError(f"{n} bytes given back, {self._used} taken")
            self._used -= n
            self._admit()

    @contextlib.contextmanager
    def hold(self, n: int, *, granted: bool = False) -> Iterator[None]:
        """Take `n` bytes for as long as the block runs."""
        self.take(n, granted=granted)
        try:
            yield
        finally:
            self.give(n)

    def _has_room(self, n: int) -> bool:
        return self._used + n <= self.limit or self._used == 0

    def _admit(self) -> None:
        while self._waiting and self._has_room(self._waiting[0].n):
            waiting = self._waiting.popleft()
            self._used += waiting.n
            waiting.admitted.set()

    def _withdraw(self, waiting: "_Waiting") -> None:
        """The thread was interrupted while it waited, perhaps just after its turn came."""
        with self._lock:
            if waiting.admitted.is_set():
                self._used -= waiting.n
            else:
                self._waiting.remove(waiting)
            self._admit()


class _Waiting:
    def __init__(self, n: int) -> None:
        self.n = n
        self.admitted = threading.Event()
