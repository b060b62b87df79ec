"""Packs in this process's memory: for tests, and to say what a store must do at least."""

import threading
from collections.abc import Iterable, Iterator

from tgdav.errors import DiskFull, ReplicaMissing, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator


class MemoryStore:
    """A store that dies with its process. `limit` bounds its bytes, as a disk would."""

    def __init__(self, limit: int | None = None) -> None:
        self.limits = Limits(largest_pack=1 << 31, concurrency=8, local=True)
        self._limit = limit
        self._lock = threading.Lock()
        self._packs: dict[Locator, tuple[bytes, str]] = {}
        self._closed = False

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        locator = Locator(pack_id.hex())
        with self._lock:
            self._require_open()
            if locator not in self._packs:
                kept = sum(len(content) for content, _ in self._packs.values())
                if self._limit is not None and kept + len(data) > self._limit:
                    raise DiskFull(f"{len(data)} bytes do not fit beside {kept} of {self._limit}")
                self._packs[locator] = (bytes(data), caption)
        return locator

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        with self._lock:
            self._require_open()
            content, _ = self._packs.get(locator, (b"", ""))
        if offset < 0 or offset + size > len(content) or locator not in self._packs:
            raise ReplicaMissing(f"{len(content)} bytes where {offset + size} were asked for")
        return content[offset : offset + size]

    def probe(self, locator: Locator) -> int | None:
        with self._lock:
            self._require_open()
            return len(self._packs[locator][0]) if locator in self._packs else None

    def delete(self, locators: Iterable[Locator]) -> None:
        with self._lock:
            self._require_open()
            for locator in locators:
                self._packs.pop(locator, None)

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        with self._lock:
            self._require_open()
            found = list(self._packs.items())
        for locator, (content, caption) in reversed(found) if newest_first else found:
            yield Listed(locator, caption, len(content))

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")
