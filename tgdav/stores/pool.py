"""The stores together, with the promised number of replicas.

Not a `Store`: what it writes is a set of replicas, and repair must see each.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from tgdav.errors import (
    Busy,
    ContentLost,
    DiskFull,
    PackDamaged,
    ReplicaMissing,
    StoreBusy,
    StoreError,
    TgdavError,
)
from tgdav.stores.base import Buffer, Locator, Store

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replica:
    """One pack held by one store."""

    store: int
    locator: Locator


Report = Callable[[Replica, Exception], None]


def _ignore(_replica: Replica, _error: Exception) -> None:
    pass


class StorePool:
    """Stores by number. Any thread."""

    def __init__(self, copies: int = 1) -> None:
        self.copies = copies
        """Stores that each pack is promised to."""
        self.on_bad: Report = _ignore
        """Told of each replica that a read found missing, damaged or out of reach."""
        self._lock = threading.Lock()
        self._stores: dict[int, Store] = {}
        self._writable: set[int] = set()

    def set(self, no: int, store: Store, *, writable: bool) -> None:
        """Use `store` under this number from now on; one that it replaces is closed."""
        with self._lock:
            replaced = self._stores.get(no, store)
            self._stores[no] = store
            (self._writable.add if writable else self._writable.discard)(no)
        if replaced is not store:
            replaced.close()

    def drop(self, no: int) -> None:
        """Use this store no more, and close it."""
        with self._lock:
            store = self._stores.pop(no, None)
            self._writable.discard(no)
        if store:
            store.close()

    def numbers(self) -> list[int]:
        with self._lock:
            return sorted(self._stores)

    def has(self, no: int) -> bool:
        return no in self._stores

    def is_local(self, no: int) -> bool:
        """True if reading from this store costs no network."""
        store = self._stores.get(no)
        return store is not None and store.limits.local

    def put(
        self, pack_id: bytes, data: Buffer, caption: str, *, present: Collection[int] = ()
    ) -> Iterator[Replica]:
        """Yield each replica as it is made, until the promised number of stores has one.

        Those in `present` count. A store that fails is passed over. Raises the last
        failure when no further copy can be had: `StoreBusy`, `StoreError`, `DiskFull`.
        """
        made = len(set(present))
        failures: dict[int, TgdavError] = {}
        for no, store in self._candidates(present):
            if made >= self.copies:
                break
            try:
                locator = store.put(pack_id, data, caption)
            except (StoreError, Busy, DiskFull) as error:
                failures[no] = error
                continue
            made += 1
            yield Replica(no, locator)
        if made < self.copies:
            told = StoreError(
                f"{self.copies} replicas are promised, and stores for {made} are there"
            )
            raise [told, *failures.values()][-1]
        for no, failure in failures.items():
            LOG.warning("store %d passed over: %s", no, failure)

    def read(
        self,
        replicas: Sequence[Replica],
        offset: int,
        size: int,
        sound: Callable[[bytes], bool] | None = None,
    ) -> bytes:
        """`size` bytes at `offset` of the pack, from the nearest replica that has them.

        One that is missing, fails, or whose bytes are not `sound`, is reported and the
        next is asked. Raises `StoreBusy` if one may have them later, `StoreError` if one
        is out of reach, and `ContentLost` if all are missing or damaged.
        """
        failures: list[TgdavError] = []
        for replica in self._nearest(replicas):
            try:
                data = self._store(replica.store).read(replica.locator, offset, size)
                if sound is None or sound(data):
                    return data
                raise PackDamaged(f"{replica.locator}: other bytes than were kept")
            except StoreBusy as error:
                failures.append(error)
            except (StoreError, PackDamaged) as error:
                failures.append(error)
                self.on_bad(replica, error)
        raise _summed_up(failures)

    def store(self, no: int) -> Store:
        """The store of this number. Raises `StoreError` if it is not at hand."""
        return self._store(no)

    def writable(self) -> list[int]:
        """Numbers of the stores that take packs."""
        with self._lock:
            return sorted(self._writable)

    def close(self) -> None:
        """Drop every store."""
        for no in self.numbers():
            self.drop(no)

    def _candidates(self, present: Collection[int]) -> list[tuple[int, Store]]:
        with self._lock:
            return [(no, self._stores[no]) for no in sorted(self._writable) if no not in present]

    def _nearest(self, replicas: Sequence[Replica]) -> list[Replica]:
        return sorted(replicas, key=lambda replica: not self.is_local(replica.store))

    def _store(self, no: int) -> Store:
        store = self._stores.get(no)
        if store is None:
            raise StoreError(f"store {no} is not at hand")
        return store


def _summed_up(failures: Sequence[TgdavError]) -> TgdavError:
    """What to say when no replica could be read: the kindest that is true of one."""
    for error in failures:
        if isinstance(error, StoreBusy):
            return error
    for error in failures:
        if isinstance(error, StoreError) and not isinstance(error, ReplicaMissing):
            return error
    return ContentLost(f"none of {len(failures)} replicas has the bytes")
