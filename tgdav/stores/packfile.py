"""One pack as a file: the pack, and a trailer of 256 bytes that holds its caption.

One rename shows both, the pack's size needs no look inside, and a damaged caption
harms no block. Knows nothing of the folder that the file lies in.
"""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tgdav.disk import is_nobodys, own, told
from tgdav.errors import StoreError
from tgdav.stores.base import Buffer, Locator

TRAILER = 256
"""Bytes: the caption, padded with zeros, and `MAGIC`."""
MAGIC = b"tgdavcp1"
"""Ends with the version of this form."""
CAPTION = 200
"""Characters at most."""


class PackSink:
    """A pack being written, in one thread. Left without `keep`, it leaves nothing.

    If the process dies in it, it leaves a part, which `sweep` removes.
    """

    def __init__(
        self, shelf: Path, pack_id: bytes, caption: str, place: Callable[[Path], Locator]
    ) -> None:
        self._trailer = trailer_of(caption)
        self._place = place
        self._shelf = shelf
        self._part, self._file = _own_part(shelf, pack_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)
        os.close(self._file)

    def write(self, data: Buffer) -> None:
        """Append `data`. Raises `DiskFull`, `StoreError`."""
        at, where = 0, f"the store in {self._shelf.parent}"
        # Views are let go of: an error that tells of them would keep mapped data open.
        with told(where, StoreError), memoryview(data).cast("B") as view:
            while at < len(view):
                with view[at:] as rest:
                    at += os.write(self._file, rest)

    def keep(self) -> Locator:
        """Return once the pack outlives this process and the power; raises as `write`."""
        self.write(self._trailer)
        with told(f"the store in {self._shelf.parent}", StoreError):
            # By itself a file's time moves in steps of milliseconds: too few for `scan`.
            now = time.time_ns()
            os.utime(self._file, ns=(now, now))
            os.fsync(self._file)
            return self._place(self._part)


def trailer_of(caption: str) -> bytes:
    """What ends a pack's file. `caption` is printable ASCII, at most 200 characters."""
    if len(caption) > CAPTION:
        raise ValueError(f"a caption of {len(caption)} characters")
    return caption.encode("ascii").ljust(TRAILER - len(MAGIC), b"\0") + MAGIC


def caption_in(trailer: bytes) -> str:
    """What `trailer_of` was made from; nothing if it is damaged."""
    text = trailer.removesuffix(MAGIC)
    if len(text) != TRAILER - len(MAGIC):
        return ""
    return text.rstrip(b"\0").decode("ascii", "replace")


def sweep(part: Path, before: float) -> None:
    """Remove the part if the process that wrote it is dead.

    Where files cannot be locked, that is one last written before then (s since 1970).
    """
    descriptor = os.open(part, os.O_RDWR)
    try:
        is_dead = is_nobodys(descriptor)
        if is_dead is None:
            is_dead = os.fstat(descriptor).st_mtime < before
        if is_dead:
            part.unlink()  # within the lock, which its owner may be about to take
    finally:
        os.close(descriptor)


def _own_part(shelf: Path, pack_id: bytes) -> tuple[Path, int]:
    """A new part that no `sweep` removes while this process lives, and its descriptor."""
    while True:
        part = shelf / f".{pack_id.hex()}.{secrets.token_hex(4)}.part"
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if own(file):
            return part, file
        os.close(file)  # swept before it was locked


def sync_folder(folder: Path) -> None:
    """Return once the names in `folder` outlive the power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)
