"""Packs as files below a directory: atomic, fsynced, each with its caption at its end.

A file is `pack | caption | caption's length (1) | "TGDAVCAP"`, in a folder named by the
first byte of its id, so a pack is never seen without its caption. A marker file tells
an empty directory from one whose disk is not mounted.
"""

import contextlib
import errno
import mmap
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tgdav.errors import DiskFull, ReplicaMissing, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator

MARKER = "tgdav-store"
SUFFIX = ".pack"
MAGIC = b"TGDAVCAP"
TAIL = 1 + len(MAGIC)
PIECE = 1 << 20
"""Bytes written at once: between them other threads get their turn."""
OPEN_FILES = 32


class DirectoryStore:
    """The packs below one directory. Any thread; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.limits = Limits(largest_pack=1 << 40, concurrency=4, local=True)
        self._folder = folder
        self._started = time.time()
        self._lock = threading.Lock()
        self._files: OrderedDict[Locator, _OpenPack] = OrderedDict()
        self._closed = False

    @classmethod
    def make(cls, folder: Path) -> Self:
        """The store in `folder`, which is made, and marked, if it is not one yet.

        Raises `StoreError` if it cannot be made, `DiskFull`.
        """
        with _refusals():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / MARKER).touch(mode=0o600)
            _sync_folder(folder)
            _sync_folder(folder.parent)
        return cls(folder)

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        locator = _locator(pack_id)
        if self.probe(locator) is not None:
            return locator
        view = memoryview(data).cast("B")
        with self.create(pack_id, caption) as sink:
            for start in range(0, len(view), PIECE):
                sink.write(view[start : start + PIECE])
            return sink.keep()

    def create(self, pack_id: bytes, caption: str) -> "PackSink":
        """A pack to write as it grows. Raises `StoreError`, `DiskFull`."""
        self._require_present()
        with _refusals():
            return PackSink(self._path(_locator(pack_id)), _locator(pack_id), caption)

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0:
            raise ReplicaMissing(f"{size} bytes from {offset} are in no pack")
        with self._opened(locator) as pack, _refusals():
            if offset + size > pack.size:
                raise ReplicaMissing(f"{pack.size} bytes where {offset + size} were asked for")
            data = os.pread(pack.descriptor, size, offset)
        if len(data) != size:
            raise ReplicaMissing(f"{len(data)} of {size} bytes")
        return data

    def mapped(self, locator: Locator) -> memoryview:
        """All bytes of a pack without a copy of them; valid after it is deleted, too."""
        with self._opened(locator) as pack, _refusals():
            mapped = mmap.mmap(pack.descriptor, 0, access=mmap.ACCESS_READ)
            return memoryview(mapped)[: pack.size]

    def probe(self, locator: Locator) -> int | None:
        try:
            with self._opened(locator) as pack:
                return pack.size
        except ReplicaMissing:
            return None

    def delete(self, locators: Iterable[Locator]) -> None:
        self._require_present()
        for locator in locators:
            self._forget(locator)
            with _refusals():
                self._path(locator).unlink(missing_ok=True)

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        self._require_present()
        with _refusals():
            found = [
                (entry.stat().st_mtime_ns, entry.name)
                for folder in os.scandir(self._folder)
                if folder.is_dir()
                for entry in os.scandir(folder.path)
                if entry.name.endswith(SUFFIX)
            ]
        for _, name in sorted(found, reverse=newest_first):
            locator = Locator(f"{name[:2]}/{name}")
            with contextlib.suppress(ReplicaMissing), self._opened(locator) as pack:
                yield Listed(locator, pack.caption, pack.size)

    def sweep(self) -> None:
        """Remove what processes before this one left half written."""
        self._require_present()
        with _refusals():
            for path in self._folder.glob("??/.*.part"):
                if path.stat().st_mtime < self._started:
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        self._closed = True
        with self._lock:
            self._files.clear()

    @contextlib.contextmanager
    def _opened(self, locator: Locator) -> Iterator["_OpenPack"]:
        """The pack's file, kept open for the next reader."""
        with self._lock:
            pack = self._files.get(locator)
            if pack is not None:
                self._files.move_to_end(locator)
        if pack is None:
            pack = self._open(locator)
            with self._lock:
                self._files[locator] = pack
                if len(self._files) > OPEN_FILES:
                    self._files.popitem(last=False)
        yield pack

    def _open(self, locator: Locator) -> "_OpenPack":
        path = self._path(locator)
        with _refusals():
            try:
                return _OpenPack(path)
            except FileNotFoundError:
                self._require_present()
                raise ReplicaMissing("no pack at this locator") from None

    def _forget(self, locator: Locator) -> None:
        with self._lock:
            self._files.pop(locator, None)

    def _path(self, locator: Locator) -> Path:
        folder, _, name = locator.partition("/")
        pack_id = name.removesuffix(SUFFIX)
        if f"{pack_id[:2]}/{pack_id}{SUFFIX}" != locator or not _is_hex(pack_id):
            raise ReplicaMissing("not a locator of this store")
        return self._folder / folder / name

    def _require_present(self) -> None:
        """A disk that is not mounted leaves an empty folder: that is not an empty store."""
        if self._closed:
            raise StoreError("the store is closed")
        if not (self._folder / MARKER).exists():
            raise StoreError(f"the store's folder is not there, or lacks its {MARKER} file")


class _OpenPack:
    """A pack's file; closed when the last reader lets go of it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        length = os.fstat(self.descriptor).st_size
        tail = os.pread(self.descriptor, TAIL, max(0, length - TAIL))
        if tail[1:] != MAGIC or tail[0] + TAIL > length:
            raise ReplicaMissing(f"a file of {length} bytes that is no whole pack")
        self.size = length - TAIL - tail[0]
        self.caption = os.pread(self.descriptor, tail[0], self.size).decode("ascii", "replace")

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            os.close(self.descriptor)


class PackSink:
    """A pack being written; used by one thread. Left without `keep`, it leaves nothing."""

    def __init__(self, path: Path, locator: Locator, caption: str) -> None:
        self._path = path
        self._locator = locator
        self._tail = caption.encode("ascii") + bytes([len(caption)]) + MAGIC
        made = not path.parent.exists()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if made:
            _sync_folder(path.parent.parent)
        self._part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part")
        self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._kept:
            os.close(self._file)
            with contextlib.suppress(OSError):
                self._part.unlink()
            self._kept = True

    def write(self, data: Buffer) -> None:
        """Append `data`. Raises `DiskFull`, `StoreError`."""
        view = memoryview(data).cast("B")
        with _refusals():
            while view:
                view = view[os.write(self._file, view) :]

    def keep(self) -> Locator:
        """Return once the pack outlives this process and the power."""
        self.write(self._tail)
        with _refusals():
            os.fsync(self._file)
            os.replace(self._part, self._path)
            _sync_folder(self._path.parent)
        os.close(self._file)
        self._kept = True
        return self._locator


def _locator(pack_id: bytes) -> Locator:
    name = pack_id.hex()
    return Locator(f"{name[:2]}/{name}{SUFFIX}")


def _is_hex(text: str) -> bool:
    return bool(text) and not set(text) - set("0123456789abcdef")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Say in our own errors what the system says in its."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("the disk of a store is full") from error
        raise StoreError(f"the store's folder answers: {error.strerror}") from error
