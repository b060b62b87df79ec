"""Packs in this process's memory: what a store must do at least, and nothing besides."""

import threading
from collections.abc import Iterable, Iterator

from tgdav.errors import DiskFull, ReplicaMissing, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator


class MemoryStore:
    """A store that dies with its process. `limit` bounds its bytes, as a disk would."""

    def __init__(self, limit: int | None = None) -> None:
        self.limits = Limits(largest_pack=1 << 31, concurrency=8, local=True)
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()
        self._packs: dict[Locator, tuple[bytes, str]] = {}
        self._is_closed = False

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        locator, content = Locator(pack_id.hex()), bytes(data)
        if len(content) > self.limits.largest_pack:
            raise StoreError(f"{len(content)} bytes, where {self.limits.largest_pack} may be")
        with self._lock:
            self._require_open()
            if locator not in self._packs:
                self._take(len(content))
                self._packs[locator] = (content, caption)
        return locator

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        with self._lock:
            self._require_open()
            content, _ = self._packs.get(locator, (None, ""))
        if content is None:
            raise ReplicaMissing(f"{locator}: not there")
        if offset + size > len(content):
            raise ReplicaMissing(f"{locator}: {offset + size} of {len(content)} bytes asked for")
        return content[offset : offset + size]

    def read_into(self, locator: Locator, offset: int, target: memoryview) -> None:
        target[:] = self.read(locator, offset, len(target))

    def probe(self, locator: Locator) -> int | None:
        with self._lock:
            self._require_open()
            return len(self._packs[locator][0]) if locator in self._packs else None

    def delete(self, locators: Iterable[Locator]) -> None:
        with self._lock:
            self._require_open()
            for locator in locators:
                content, _ = self._packs.pop(locator, (b"", ""))
                self._used -= len(content)

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        with self._lock:
            self._require_open()
            found = list(self._packs.items())
        for locator, (content, caption) in reversed(found) if newest_first else found:
            yield Listed(locator, caption, len(content))

    def close(self) -> None:
        with self._lock:
            self._is_closed = True

    def _take(self, size: int) -> None:
        if self._limit is not None and self._used + size > self._limit:
            raise DiskFull(f"{size} bytes do not fit beside {self._used} of {self._limit}")
        self._used += size

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreError("the store is closed")
