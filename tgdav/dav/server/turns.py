"""Who gets a worker, and who waits: one address never has them all.

An address that already holds half of the workers leaves an eighth of them to others,
so that sixty slow clients of one cannot keep another out. Knows no connection.
"""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Hands work to `workers` threads through `start`. Any thread may call."""

    def __init__(
        self,
        workers: int,
        waiting: int,
        start: Callable[[T], None],
        is_many: Callable[[str], bool] = lambda address: False,
        share: float = 0.5,
    ) -> None:
        """`is_many(address)`: it stands for many clients and is not held back.

        `share` is the part of the workers that an address may hold without leaving any.
        """
        self._workers = workers
        self._share = max(1, int(workers * share))
        self._reserve = workers // 8
        self._waiting_limit = waiting
        self._start = start
        self._is_many = is_many
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._busy = 0
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._waiting_count = 0

    @property
    def has_spare(self) -> bool:
        """Half of the workers have nothing to do, so one may wait for a client."""
        return 2 * self._busy <= self._workers

    def enter(self, work: T, address: str) -> bool:
        """Start `work` now or in its turn; False when too much waits already."""
        with self._lock:
            if not self._may_run(address):
                return self._queue(work, address)
            self._take(address)
        self._start(work)
        return True

    def leave(self, address: str) -> None:
        """A worker is done with work of `address`: the next in turn is started."""
        with self._lock:
            self._running[address] -= 1
            if not self._running[address]:
                del self._running[address]
            self._busy -= 1
            following = self._next()
        for work in following:
            self._start(work)

    def clear(self) -> Iterator[T]:
        """Everything that still waits; it waits no more."""
        with self._lock:
            waiting, self._waiting = self._waiting, OrderedDict()
            self._waiting_count = 0
        for queue in waiting.values():
            yield from queue

    def _may_run(self, address: str) -> bool:
        free = self._workers - self._busy
        if free <= 0:
            return False
        if self._running[address] < self._share or self._is_many(address):
            return True
        return free > self._reserve

    def _take(self, address: str) -> None:
        self._running[address] += 1
        self._busy += 1

    def _queue(self, work: T, address: str) -> bool:
        queue = self._waiting.get(address, ())
        is_share = len(queue) < self._waiting_limit // 2 or self._is_many(address)
        if self._waiting_count >= self._waiting_limit or not is_share:
            return False
        self._waiting.setdefault(address, deque()).append(work)
        self._waiting_count += 1
        return True

    def _next(self) -> Iterable[T]:
        """The next that may run (none, or one), the addresses taking turns."""
        for address in self._waiting:
            if self._may_run(address):
                break
        else:
            return ()
        queue = self._waiting[address]
        work = queue.popleft()
        self._waiting_count -= 1
        self._waiting.move_to_end(address)
        if not queue:
            del self._waiting[address]
        self._take(address)
        return (work,)
