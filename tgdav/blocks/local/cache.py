"""Blocks read lately: opened ones in memory, sealed ones on disk. May be lost any time.

Bounded by bytes, the longest unread goes first. It never raises for its disk: what it
cannot keep or read back whole, it does not have.
"""

import contextlib
import logging
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from tgdav.stores.base import Buffer

LOG = logging.getLogger(__name__)

MOST_FILES = 100_000
"""The disk part's second bound: about 25 MiB of memory to know their order."""
DIGEST_SIZE = 32
UNFINISHED = ".part"
STALE_S = 3600.0
"""Age from which an unfinished file is nobody's any more."""

_NAME = re.compile("[0-9a-f]{64}")


class BlockCache:
    """Both parts, by block id. Any thread; processes may share the folder."""

    def __init__(self, memory_limit: int, folder: Path | None, disk_limit: int) -> None:
        self._memory = _Memory(memory_limit)
        self._disk = _Disk(folder, disk_limit) if folder and disk_limit > 0 else None

    @property
    def memory_bytes(self) -> int:
        """Bytes of opened blocks kept now."""
        return self._memory.used

    def opened(self, block_id: bytes) -> bytes | None:
        """The chunk, if it is kept in memory."""
        return self._memory.find(block_id)

    def keep_opened(self, block_id: bytes, chunk: bytes) -> None:
        """Keep `chunk` in memory, at the expense of what was read longer ago."""
        self._memory.keep(block_id, chunk)

    def sealed(self, block_id: bytes) -> bytes | None:
        """The sealed block, if the disk has it whole; a damaged one is dropped."""
        return self._disk.find(block_id) if self._disk else None

    def keep_sealed(self, block_id: bytes, sealed: Buffer) -> None:
        """Keep `sealed` on disk, if there is one and it takes it."""
        if self._disk:
            self._disk.keep(block_id, sealed)

    def drop(self, block_id: bytes) -> None:
        """Keep nothing of this block any more."""
        self._memory.drop(block_id)
        if self._disk:
            self._disk.drop(block_id)


class _Memory:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._chunks: OrderedDict[bytes, bytes] = OrderedDict()
        self.used = 0

    def find(self, block_id: bytes) -> bytes | None:
        with self._lock:
            chunk = self._chunks.get(block_id)
            if chunk is not None:
                self._chunks.move_to_end(block_id)
            return chunk

    def keep(self, block_id: bytes, chunk: bytes) -> None:
        if len(chunk) > self._limit:
            return
        with self._lock:
            self._forget(block_id)
            self._chunks[block_id] = chunk
            self.used += len(chunk)
            while self.used > self._limit:
                self._forget(next(iter(self._chunks)))

    def drop(self, block_id: bytes) -> None:
        with self._lock:
            self._forget(block_id)

    def _forget(self, block_id: bytes) -> None:
        self.used -= len(self._chunks.pop(block_id, b""))


class _Disk:
    """A file for each block: BLAKE3 of the sealed block, then the sealed block.

    The digest stands for the fsync that is not made: after a power cut a file may be
    there under its name and be short, or zeros.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] | None = None  # None: not surveyed yet
        self._used = 0
        self._complained = False

    def find(self, block_id: bytes) -> bytes | None:
        path = self._path(block_id.hex())
        try:
            # Unbuffered: one read into the bytes that are returned.
            with path.open("rb", buffering=0) as file:
                digest, sealed = file.read(DIGEST_SIZE), file.read()
        except FileNotFoundError:
            self._forget(path.name)  # another process evicted it
            return None
        except OSError as error:
            self._complain(error)
            return None
        if blake3(sealed).digest() != digest:
            self.drop(block_id)
            return None
        self._touch(path)
        return sealed

    def keep(self, block_id: bytes, sealed: Buffer) -> None:
        size = DIGEST_SIZE + len(sealed)
        name = block_id.hex()
        if size > self._limit:
            return
        try:
            if name in self._surveyed():
                return
            self._write(self._path(name), sealed)
            self._evict(self._add(name, size))
        except OSError as error:
            self._complain(error)

    def drop(self, block_id: bytes) -> None:
        name = block_id.hex()
        self._forget(name)
        self._evict([name])

    def _touch(self, path: Path) -> None:
        """Remember that it was read now, on disk too for the next process."""
        with contextlib.suppress(OSError):
            os.utime(path)
        with self._lock:
            if self._sizes and path.name in self._sizes:
                self._sizes.move_to_end(path.name)

    def _forget(self, name: str) -> None:
        with self._lock:
            if self._sizes:
                self._used -= self._sizes.pop(name, 0)

    def _surveyed(self) -> OrderedDict[str, int]:
        """What the folder holds, longest unread first; looked up when first needed."""
        with self._lock:
            if self._sizes is None:
                self._sizes = _survey(self._folder)
                self._used = sum(self._sizes.values())
            return self._sizes

    def _write(self, path: Path, sealed: Buffer) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished = path.with_name(secrets.token_hex(8) + UNFINISHED)
        try:
            with unfinished.open("xb") as file:
                file.write(blake3(sealed).digest())
                file.write(sealed)
            unfinished.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise

    def _add(self, name: str, size: int) -> list[str]:
        """Count a new file; the names of those that have to go for it."""
        sizes = self._surveyed()
        with self._lock:
            self._used += size - sizes.pop(name, 0)
            sizes[name] = size
            leaving = []
            while self._used > self._limit or len(sizes) > MOST_FILES:
                oldest, freed = sizes.popitem(last=False)
                self._used -= freed
                leaving.append(oldest)
            return leaving

    def _evict(self, names: list[str]) -> None:
        for name in names:
            try:
                self._path(name).unlink(missing_ok=True)
            except OSError as error:
                self._complain(error)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _complain(self, error: OSError) -> None:
        """Log the first trouble; a full disk would otherwise say so for each block."""
        if not self._complained:
            self._complained = True
            LOG.warning("the block cache does without its disk: %s", error.strerror)


def _survey(folder: Path) -> OrderedDict[str, int]:
    found = []
    for path in _files(folder):
        try:
            seen = path.stat()
            if _NAME.fullmatch(path.name):
                found.append((seen.st_mtime_ns, path.name, seen.st_size))
            elif path.name.endswith(UNFINISHED) and seen.st_mtime < time.time() - STALE_S:
                os.unlink(path)
        except FileNotFoundError:
            continue  # another process evicted it meanwhile
    return OrderedDict((name, size) for _, name, size in sorted(found))


def _files(folder: Path) -> Iterator["os.DirEntry[str]"]:
    for shelf in range(256):
        with contextlib.suppress(FileNotFoundError), os.scandir(folder / f"{shelf:02x}") as files:
            yield from files
