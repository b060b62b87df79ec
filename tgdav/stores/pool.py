"""The stores together, with the promised number of replicas.

Not a `Store`: what it writes is a set of replicas, and repair must see each.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from tgdav.errors import Busy, ContentLost, DiskFull, PackDamaged, StoreBusy, StoreError
from tgdav.stores.base import Buffer, Locator, Store


@dataclass(frozen=True, slots=True)
class Replica:
    """One pack held by one store."""

    store: int
    locator: Locator


Report = Callable[[Replica, Exception], None]


def _silence(_replica: Replica, _error: Exception) -> None:
    pass


class StorePool:
    """Stores by number. Any thread."""

    def __init__(self, copies: int = 1) -> None:
        self.copies = copies
        """Stores that each pack is promised to."""
        self.on_bad: Report = _silence
        """Told of each replica that a read found missing, damaged or out of reach."""
        self._lock = threading.Lock()
        self._stores: dict[int, Store] = {}
        self._writable: set[int] = set()

    def set(self, no: int, store: Store, *, writable: bool) -> None:
        """Use `store` under this number from now on."""
        with self._lock:
            self._stores[no] = store
            (self._writable.add if writable else self._writable.discard)(no)

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
        missing = self.copies - len(set(present))
        failure: Exception = StoreError(f"{missing} copies more are promised than stores are there")
        for no, store in self._candidates(present):
            if missing <= 0:
                return
            try:
                locator = store.put(pack_id, data, caption)
            except (StoreError, Busy, DiskFull) as error:
                failure = error
                continue
            missing -= 1
            yield Replica(no, locator)
        if missing > 0:
            raise failure

    def read(
        self,
        replicas: Sequence[Replica],
        offset: int,
        size: int,
        sound: Callable[[bytes], bool] | None = None,
    ) -> bytes:
        """`size` bytes at `offset` of the pack, from the nearest replica that has them.

        One that is missing, fails, or whose bytes are not `sound`, is reported and the
        next is asked. Raises `StoreBusy` if only busy ones are left, else `ContentLost`.
        """
        busy: StoreBusy | None = None
        for replica, store in self._nearest(replicas):
            try:
                data = store.read(replica.locator, offset, size)
                if sound is None or sound(data):
                    return data
                self.on_bad(replica, PackDamaged("a replica holds other bytes than were kept"))
            except StoreBusy as error:
                busy = error
            except StoreError as error:
                self.on_bad(replica, error)
        raise busy or ContentLost(f"none of {len(replicas)} replicas has the bytes")

    def close(self) -> None:
        for no in self.numbers():
            self.drop(no)

    def _candidates(self, present: Collection[int]) -> list[tuple[int, Store]]:
        with self._lock:
            return [(no, self._stores[no]) for no in sorted(self._writable) if no not in present]

    def _nearest(self, replicas: Sequence[Replica]) -> list[tuple[Replica, Store]]:
        with self._lock:
            found = [(r, self._stores[r.store]) for r in replicas if r.store in self._stores]
        return sorted(found, key=lambda pair: not pair[1].limits.local)
