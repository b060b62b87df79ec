"""The stores together, with the promised number of replicas.

Not a `Store`: what it writes is a set of replicas, and repair must see each.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

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

T = TypeVar("T")


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

    def __init__(self, copies: int = 1, quorum: int | None = None) -> None:
        self.copies = copies
        """Stores that each pack is promised to."""
        self.quorum = min(quorum or copies, copies)
        """Of these, as many as have it before this machine lets go of it; repair makes the rest."""
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

    def use(self, no: int, *, writable: bool) -> bool:
        """Read and write the store from now on, or only read it. False: it is not at hand."""
        with self._lock:
            (self._writable.add if writable else self._writable.discard)(no)
            self._writable.intersection_update(self._stores)
            return no in self._stores

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

    def store(self, no: int) -> Store:
        """The store itself. Raises `StoreError` if it is not at hand."""
        store = self._stores.get(no)
        if store is None:
            raise StoreError(f"store {no} is not at hand")
        return store

    def is_writable(self, no: int) -> bool:
        """True if packs may be put there."""
        return no in self._writable

    def is_local(self, no: int) -> bool:
        """True if reading from this store costs no network."""
        store = self._stores.get(no)
        return store is not None and store.limits.local

    def write_concurrency(self) -> int:
        """Calls at once that make writing faster, as the store says that takes most."""
        with self._lock:
            stores = [self._stores[no] for no in self._writable]
        return max((store.limits.concurrency for store in stores), default=1)

    def read_concurrency(self, replicas: Sequence[Replica]) -> int:
        """Calls at once that make reading the nearest of these replicas faster."""
        nearest = (self._stores.get(replica.store) for replica in self._nearest(replicas))
        return next((store.limits.concurrency for store in nearest if store), 1)

    def put(
        self,
        pack_id: bytes,
        data: Buffer,
        caption: str,
        *,
        present: Collection[int] = (),
        copies: int | None = None,
        enough: int | None = None,
    ) -> Iterator[Replica]:
        """Yield each replica as it is made, until `copies` stores have one: the promised number.

        Those in `present` count. A store that fails is passed over. When no further copy
        can be had, and fewer than `enough` were (by default: than `copies`), the last
        failure is raised: `StoreBusy`, `StoreError`, `DiskFull`.
        """
        wanted = self.copies if copies is None else copies
        enough = wanted if enough is None else enough
        made = len(set(present))
        failures: dict[int, TgdavError] = {}
        for no, store in self._candidates(present):
            if made >= wanted:
                break
            try:
                locator = store.put(pack_id, data, caption)
            except (StoreError, Busy, DiskFull) as error:
                failures[no] = error
                continue
            made += 1
            yield Replica(no, locator)
        if made < enough:
            told = StoreError(f"{enough} replicas are promised, and stores for {made} are there")
            raise [told, *failures.values()][-1]
        for no, failure in failures.items():
            LOG.warning("store %d passed over: %s", no, failure)

    def delete(self, no: int, locators: Sequence[Locator]) -> None:
        """Have a store forget these. Raises `StoreBusy`, `StoreError`; then ask again."""
        self.store(no).delete(locators)

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

        def read(store: Store, locator: Locator) -> bytes:
            data = store.read(locator, offset, size)
            _require_sound(locator, sound is None or sound(data))
            return data

        return self._from_nearest(replicas, read)

    def read_into(
        self,
        replicas: Sequence[Replica],
        offset: int,
        target: memoryview,
        sound: Callable[[], bool],
    ) -> None:
        """As `read`, into `target`; `sound` looks at what lies there."""

        def read(store: Store, locator: Locator) -> None:
            store.read_into(locator, offset, target)
            _require_sound(locator, sound())

        self._from_nearest(replicas, read)

    def close(self) -> None:
        """Drop every store."""
        for no in self.numbers():
            self.drop(no)

    def _from_nearest(self, replicas: Sequence[Replica], read: Callable[[Store, Locator], T]) -> T:
        """What `read` returns of the first replica of which it does not raise."""
        failures: list[TgdavError] = []
        for replica in self._nearest(replicas):
            try:
                return read(self.store(replica.store), replica.locator)
            except StoreBusy as error:
                failures.append(error)
            except (StoreError, PackDamaged) as error:
                failures.append(error)
                self.on_bad(replica, error)
        raise _summed_up(failures)

    def writable(self) -> list[int]:
        """Numbers of the stores that take packs."""
        with self._lock:
            return sorted(self._writable)

    def _candidates(self, present: Collection[int]) -> list[tuple[int, Store]]:
        with self._lock:
            return [(no, self._stores[no]) for no in sorted(self._writable) if no not in present]

    def _nearest(self, replicas: Sequence[Replica]) -> list[Replica]:
        return sorted(replicas, key=lambda replica: not self.is_local(replica.store))


def _require_sound(locator: Locator, is_sound: bool) -> None:
    if not is_sound:
        raise PackDamaged(f"{locator}: other bytes than were kept")


def _summed_up(failures: Sequence[TgdavError]) -> TgdavError:
    """What to say when no replica could be read: the kindest that is true of one."""
    for error in failures:
        if isinstance(error, StoreBusy):
            return error
    for error in failures:
        if isinstance(error, StoreError) and not isinstance(error, ReplicaMissing):
            return error
    return ContentLost(f"none of {len(failures)} replicas has the bytes")
