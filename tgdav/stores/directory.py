"""Packs below one folder, each a file in a shelf named by the first byte of its id.

Told apart by a marker: a folder that lacks it is no empty store but one out of reach.
No file stays open: that would save 3 of the 30 µs of a 1 MiB read, and show packs that
another process has deleted.
"""

import contextlib
import errno
import mmap
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

from tgdav.disk import told
from tgdav.errors import ReplicaMissing, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator
from tgdav.stores.calls import Calls
from tgdav.stores.packfile import (
    TRAILER,
    PackSink,
    caption_in,
    sweep,
    sync_folder,
)

MARKER = "tgdav-store"
"""The file that tells an empty store from a disk that is not mounted."""

CLOCK_LAG_S = 1.0
"""By so much a file's time may lie before the time at which it was made."""

_SHELF = re.compile("[0-9a-f]{2}")
_LOCATOR = re.compile(rf"({_SHELF.pattern})/\1[0-9a-f]*\.pack")


class _Mapped(mmap.mmap):
    """A pack's whole file in memory, and where it lies."""

    path: Path


class DirectoryStore:
    """The packs below one folder. Any thread; several processes may share it.

    A folder without its marker is a `StoreError` for whoever asks, until it is back.
    """

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(largest_pack=1 << 40, concurrency=4, local=True)
        self._folder = folder
        self._started = time.time() - CLOCK_LAG_S
        self._calls = Calls(f"the store in {folder}")
        self._placing = threading.Lock()
        self._shelves: set[str] = set()
        self._used: int | None = None

    @classmethod
    def make(cls, folder: Path) -> Self:
        """The store in `folder`, which is made, and marked, if it is not one yet.

        Raises `StoreError` if it cannot be made, `DiskFull`.
        """
        with told(f"the store in {folder}", StoreError):
            _make_folder(folder)
            (folder / MARKER).touch(mode=0o600)
            sync_folder(folder)
        return cls(folder)

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        """`Store.put`. A file of another size under this id is replaced."""
        locator, size = _locator(pack_id), memoryview(data).nbytes
        if size > self.limits.largest_pack:
            raise StoreError(f"a pack of {size} bytes, where {self.limits.largest_pack} may be")
        with self._call():
            with contextlib.suppress(ReplicaMissing), self._opened(locator) as (_, kept):
                if kept == size:
                    # Who kept it may have died before the folder reached the disk.
                    sync_folder(self._shelf(locator))
                    return locator
            if self._link(locator, data, caption):
                return locator
            with self._sink(pack_id, caption) as sink:
                sink.write(data)
                return sink.keep()

    def create(self, pack_id: bytes, caption: str) -> PackSink:
        """A pack to be written as it grows. Raises `StoreError`, `DiskFull`."""
        with self._call():
            return self._sink(pack_id, caption)

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        with self._call(), self._reaching(locator, offset + size) as descriptor:
            data = os.pread(descriptor, size, offset)
        _require_whole(locator, len(data), size)
        return data

    def read_into(self, locator: Locator, offset: int, target: memoryview) -> None:
        with self._call(), self._reaching(locator, offset + len(target)) as descriptor:
            got = os.preadv(descriptor, [target], offset)
        _require_whole(locator, got, len(target))

    def mapped(self, locator: Locator) -> memoryview:
        """All bytes of a pack without a copy of them; they outlive its deletion.

        A directory store on the same disk keeps them without copying. Raises as `read` does.
        """
        with self._call(), self._opened(locator) as (descriptor, kept):
            mapped = _Mapped(descriptor, 0, access=mmap.ACCESS_READ)
            mapped.path = self._path(locator)
            return memoryview(mapped)[:kept]

    def probe(self, locator: Locator) -> int | None:
        try:
            with self._call(), self._opened(locator) as (_, kept):
                return kept
        except ReplicaMissing:
            return None

    def delete(self, locators: Iterable[Locator]) -> None:
        with self._call():
            self._require_marker()
            for locator in locators:
                with contextlib.suppress(ReplicaMissing):
                    self._remove(self._path(locator))

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        """`Store.scan`: names and times are read at the first step, captions one by one."""
        with self._call():
            self._require_marker()
            found = sorted((status.st_mtime_ns, name) for name, status in self._files())
        for _, name in reversed(found) if newest_first else found:
            locator = Locator(f"{name[:2]}/{name}")
            try:
                with self._call(), self._opened(locator) as (descriptor, kept):
                    trailer = os.pread(descriptor, TRAILER, kept)
            except ReplicaMissing:
                continue
            yield Listed(locator, caption_in(trailer), kept)

    def used(self) -> int:
        """Bytes that the files take. The first call counts them, the others know.

        What other processes put and delete meanwhile is not seen. Raises `StoreError`.
        """
        with self._call(), self._placing:
            if self._used is None:
                self._require_marker()
                self._used = sum(status.st_size for _, status in self._files())
            return self._used

    def sweep(self) -> None:
        """Remove what dead processes left half written; raises `StoreError`."""
        with self._call():
            self._require_marker()
            for shelf in self._folder.glob("??"):
                self._sweep(shelf)

    def close(self) -> None:
        self._calls.close()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """Around each call, once: `close` waits for it, the system's errors become ours."""
        with self._calls.one(), told(f"the store in {self._folder}", StoreError):
            yield

    @contextlib.contextmanager
    def _opened(self, locator: Locator) -> Iterator[tuple[int, int]]:
        """A descriptor of the pack, and its size."""
        try:
            # As text: joining `Path`s takes a fifth of a small read.
            descriptor = os.open(f"{self._folder}/{_checked(locator)}", os.O_RDONLY)
        except FileNotFoundError:
            self._require_marker()
            raise ReplicaMissing(f"{locator}: not there") from None
        try:
            kept = os.fstat(descriptor).st_size - TRAILER
            if kept < 0:
                raise ReplicaMissing(f"{locator}: cut off at {kept + TRAILER} bytes")
            yield descriptor, kept
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _reaching(self, locator: Locator, stop: int) -> Iterator[int]:
        """A descriptor of the pack, if its bytes go up to `stop`.

        A bad sector inside is this pack's, as long as the store is there.
        """
        with self._opened(locator) as (descriptor, kept):
            if stop > kept:
                raise ReplicaMissing(f"{locator}: {stop} of {kept} bytes asked for")
            try:
                yield descriptor
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                self._require_marker()
                raise ReplicaMissing(f"{locator}: cannot be read: {error.strerror}") from error

    def _sink(self, pack_id: bytes, caption: str) -> PackSink:
        self._require_marker()
        locator = _locator(pack_id)
        return PackSink(self._shelf(locator), pack_id, caption, partial(self._place, locator))

    def _shelf(self, locator: Locator) -> Path:
        """The folder of the pack; if it was not there, made so that it lasts.

        What a dead process left in it goes: whoever puts that pack again comes by here.
        """
        shelf = self._folder / locator[:2]
        # Whoever finds it made has to know that it is on the disk, too.
        with self._placing:
            if shelf.name not in self._shelves or not shelf.is_dir():
                shelf.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._folder)
                self._sweep(shelf)
                self._shelves.add(shelf.name)
        return shelf

    def _sweep(self, shelf: Path) -> None:
        for part in shelf.glob(".*.part"):
            with contextlib.suppress(FileNotFoundError):
                sweep(part, self._started)

    def _place(self, locator: Locator, part: Path) -> Locator:
        """Show a finished file under its locator, for good."""
        path = self._path(locator)
        with self._placing:
            if self._used is not None:
                self._used += part.stat().st_size - _size(path)
            part.replace(path)
        sync_folder(path.parent)
        return locator

    def _link(self, locator: Locator, data: Buffer, caption: str) -> bool:
        """Keep the very file that `data` is mapped from, if it is one and on this disk."""
        mapped = memoryview(data).obj
        if not isinstance(mapped, _Mapped) or len(mapped) != len(data) + TRAILER:
            return False
        if caption_in(mapped[-TRAILER:]) != caption:
            return False
        self._require_marker()
        path = self._shelf(locator) / locator[3:]
        with self._placing:
            try:
                # A second replica on this disk has to be a copy: damage must not hit both.
                if mapped.path.stat().st_nlink > 1:
                    return False
                os.link(mapped.path, path)
            except OSError:
                return False  # another disk, one without links, or a file in the way
            if self._used is not None:
                self._used += _size(path)
        sync_folder(path.parent)
        return True

    def _remove(self, path: Path) -> None:
        with self._placing:
            if self._used is not None:
                self._used -= _size(path)
            path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every pack's file, in no order; nothing else that may lie in the folder."""
        for shelf in filter(_SHELF.fullmatch, os.listdir(self._folder)):
            with os.scandir(self._folder / shelf) as entries:
                for entry in entries:
                    if _LOCATOR.fullmatch(f"{shelf}/{entry.name}"):
                        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                            yield entry.name, entry.stat()

    def _path(self, locator: Locator) -> Path:
        return self._folder / _checked(locator)

    def _require_marker(self) -> None:
        if not (self._folder / MARKER).exists():
            raise StoreError(f"no store in {self._folder}: is its disk mounted?")


def _locator(pack_id: bytes) -> Locator:
    name = pack_id.hex()
    return Locator(f"{name[:2]}/{name}.pack")


def _require_whole(locator: Locator, got: int, size: int) -> None:
    if got != size:
        raise ReplicaMissing(f"{locator}: {got} of {size} bytes")


def _checked(locator: Locator) -> Locator:
    if not _LOCATOR.fullmatch(locator):
        raise ReplicaMissing("that is no locator of a directory store")
    return locator


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _make_folder(folder: Path) -> None:
    """Make the folder, and what is missing above it, so that they last."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
