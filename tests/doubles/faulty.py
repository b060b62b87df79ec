"""A store in front of another, which fails as a test tells it to."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator

from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator, Store


class FaultyStore:
    """Does what `inner` does until it is told otherwise. Any thread.

    `puts` counts the puts that began, `reads` has the reads, in order; `running` is how many
    calls run now, and `busiest` the most that ever did.
    """

    def __init__(self, inner: Store) -> None:
        self.puts = 0
        self.reads: list[tuple[Locator, int, int]] = []
        self.delay_s = 0.0
        """Each call takes so much longer."""
        self.is_away = False
        """Each call is a `StoreError`, as if a disk were not mounted."""
        self.busiest = 0
        self.running = 0
        self._inner = inner
        self._lock = threading.Lock()
        self._failing: dict[int, tuple[Exception, bool]] = {}
        self._busy: list[StoreBusy] = []
        self._lost: set[Locator] = set()
        self._damaged: dict[Locator, set[int]] = {}

    @property
    def limits(self) -> Limits:
        return self._inner.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._inner.limits = limits

    def fail_put(self, nth: int, error: Exception | None = None, *, kept: bool = False) -> None:
        """Let the nth put from the beginning, counted from 1, raise `error`.

        With `kept` the pack is there all the same: a stray replica.
        """
        self._failing[nth] = (error or StoreError("this put was told to fail"), kept)

    def be_busy(self, retry_after_s: float = 5.0, *, times: int = 1) -> None:
        """Let the next calls raise `StoreBusy`."""
        self._busy += [StoreBusy("the store was told to be busy", retry_after_s)] * times

    def lose(self, locator: Locator) -> None:
        """Have this replica no more."""
        self._lost.add(locator)

    def damage(self, locator: Locator, at: int = 0) -> None:
        """Give the byte at `at` of this replica with all its bits turned."""
        self._damaged.setdefault(locator, set()).add(at)

    def heal(self) -> None:
        """Forget every fault."""
        self.delay_s, self.is_away = 0.0, False
        for faults in (self._failing, self._busy, self._lost, self._damaged):
            faults.clear()

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        with self._call():
            with self._lock:
                self.puts += 1
                error, kept = self._failing.pop(self.puts, (None, True))
            if error and not kept:
                raise error
            locator = self._inner.put(pack_id, data, caption)
            if error:
                raise error
            self._lost.discard(locator)
            return locator

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        self.reads.append((locator, offset, size))
        with self._call():
            if locator in self._lost:
                raise ReplicaMissing(f"{locator}: told to be lost")
            data = bytearray(self._inner.read(locator, offset, size))
        for at in self._damaged.get(locator, ()):
            if offset <= at < offset + size:
                data[at - offset] ^= 0xFF
        return bytes(data)

    def read_into(self, locator: Locator, offset: int, target: memoryview) -> None:
        target[:] = self.read(locator, offset, len(target))

    def probe(self, locator: Locator) -> int | None:
        with self._call():
            return None if locator in self._lost else self._inner.probe(locator)

    def delete(self, locators: Iterable[Locator]) -> None:
        with self._call():
            self._inner.delete(locators)

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        with self._call():
            pass
        for listed in self._inner.scan(newest_first=newest_first):
            if listed.locator not in self._lost:
                yield listed

    def close(self) -> None:
        self._inner.close()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """Around each call."""
        with self._lock:
            self.running += 1
            self.busiest = max(self.busiest, self.running)
        try:
            time.sleep(self.delay_s)
            if self.is_away:
                raise StoreError("the store was told to be away")
            with self._lock:
                if self._busy:
                    raise self._busy.pop()
            yield
        finally:
            with self._lock:
                self.running -= 1
