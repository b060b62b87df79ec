"""Sealed blocks of saves, one behind the other in files of this machine, until a pack has them.

A row in the database says where each lies, in a transaction that begins when it is on the
disk; what no row names is void. A process appends to files of its own alone, which it locks.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from tgdav.blocks.form.draft import Logged
from tgdav.blocks.rows.numbers import Numbers
from tgdav.disk import is_nobodys, own, told
from tgdav.errors import ReplicaMissing, StoreError
from tgdav.stores.base import Buffer
from tgdav.stores.packfile import sync_folder

FULL = 64 << 20
"""Bytes from which a file is not appended to any more: two packs' worth."""
SUFFIX = ".log"

Named = Callable[[], set[int]]
"""The numbers of the files that rows name now."""


class StagingLog:
    """The files in one folder. Any thread; several processes may read them.

    A file is there while a row names it, or a save relies on it; then `tidy` removes it.
    """

    def __init__(self, folder: Path, numbers: Numbers, full: int = FULL) -> None:
        self._folder = folder
        self._numbers = numbers
        self._full = full
        self._where = f"the staging log in {folder}"
        with told(self._where, StoreError):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._files: dict[int, _File] = {}
        self._current: _File | None = None

    def append(self, sealed: Buffer) -> Logged:
        """Write the block down, not yet for good; whoever does relies on the file.

        Raises `DiskFull`, `StoreError`, and what taking a number does.
        """
        with told(self._where, StoreError), memoryview(sealed).cast("B") as view:
            file, at = self._room(len(view))
            logged = Logged(file.no, at, len(view))
            try:
                file.write(view, at)
            except BaseException:
                self.let_go([logged])
                raise
        return logged

    def sync(self, logged: Iterable[Logged]) -> None:
        """Return once these outlive the power. Raises `DiskFull`, `StoreError`."""
        with told(self._where, StoreError):
            for no in {each.log for each in logged}:
                self._files[no].sync()

    def let_go(self, logged: Iterable[Logged]) -> None:
        """Rely on these no more: rows name them by now, or never will."""
        with self._lock:
            for each in logged:
                if each.log in self._files:  # it is not, once this is closed
                    self._files[each.log].reliers -= 1

    def read_into(self, logged: Logged, target: memoryview) -> None:
        """Fill `target`, which has the block's size.

        Raises `ReplicaMissing` if it is not there any more, `StoreError`.
        """
        with told(self._where, StoreError):
            try:
                descriptor = os.open(self._path(logged.log), os.O_RDONLY)
            except FileNotFoundError:
                raise ReplicaMissing(f"staging log {logged.log}: not there") from None
            try:
                got = os.preadv(descriptor, [target], logged.offset)
            finally:
                os.close(descriptor)
        if got != len(target):
            raise ReplicaMissing(f"staging log {logged.log}: ends before {logged.offset + got}")

    def has(self, logged: Logged) -> bool:
        """Whether the file is there and long enough. Raises `StoreError`."""
        with told(self._where, StoreError):
            try:
                return self._path(logged.log).stat().st_size >= logged.offset + logged.size
            except FileNotFoundError:
                return False

    def tidy(self, named: Named) -> None:
        """Remove the files that nothing needs: ours, and those of dead processes.

        Raises `StoreError`, and what `named` does.
        """
        with told(self._where, StoreError), contextlib.ExitStack() as opened:
            with self._lock:
                left = self._unlocked(opened)
                idle = {no: file.end for no, file in self._files.items() if not file.reliers}
            needed = named()
            with self._lock:
                for no in idle.keys() - needed:
                    file = self._files.get(no)
                    # Who has appended meanwhile may be named by a row that came meanwhile.
                    if file and file.is_idle_at(idle[no]):
                        self._remove(file)
            for file in left:
                if file.no not in needed:
                    file.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Append no more; what rows name is for the next process."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._current = None

    def _room(self, size: int) -> tuple["_File", int]:
        """A file and a place in it that nobody else writes to."""
        with self._lock:
            file = self._current
            if file is None or file.end >= self._full or not file.is_fit:
                file = self._current = self._begin()
            at, file.end = file.end, file.end + size
            file.reliers += 1
            return file, at

    def _begin(self) -> "_File":
        """A new file that no `tidy` removes; with an old database a number may be taken."""
        while True:
            no = self._numbers.take()[0]
            with contextlib.suppress(FileExistsError):
                file = _File(no, self._path(no), os.O_CREAT | os.O_EXCL)
                if own(file.descriptor):
                    break
                file.close()
        self._files[no] = file
        sync_folder(self._folder)
        return file

    def _remove(self, file: "_File") -> None:
        del self._files[file.no]
        if file is self._current:
            self._current = None
        file.path.unlink(missing_ok=True)
        file.close()

    def _unlocked(self, opened: contextlib.ExitStack) -> list["_File"]:
        """The files of processes that are dead, locked so that nobody else removes them.

        Whatever becomes of it, `opened` closes what it opened.
        """
        left = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            no = int(path.stem) if path.stem.isdecimal() else None
            if no is None or no in self._files:
                continue
            with contextlib.suppress(FileNotFoundError):
                file = _File(no, path)
                opened.callback(file.close)
                if is_nobodys(file.descriptor):
                    left.append(file)
        return left

    def _path(self, no: int) -> Path:
        return self._folder / f"{no}{SUFFIX}"


def read_log(log: StagingLog | None, logged: Logged, target: memoryview) -> None:
    """`StagingLog.read_into`; a process without that folder raises `StoreError`."""
    if log is None:
        raise StoreError("a staged block lies in the log of another gateway")
    log.read_into(logged, target)


class _File:
    """One file, open for writing."""

    def __init__(self, no: int, path: Path, flags: int = 0) -> None:
        self.no = no
        self.path = path
        self.end = 0
        self.reliers = 0
        """Blocks in it that are not published and may be."""
        self.failure: OSError | None = None
        self.descriptor = os.open(path, os.O_WRONLY | flags, 0o600)
        self._asking = threading.Lock()
        self._syncing = threading.Lock()
        self._asked = 0
        self._synced = 0

    def write(self, data: memoryview, at: int) -> None:
        done = 0
        while done < len(data):
            with data[done:] as rest:
                done += os.pwrite(self.descriptor, rest, at + done)

    def sync(self) -> None:
        """One that is under way when it is asked for may have begun too early: the next counts."""
        with self._asking:
            self._asked += 1
            wanted = self._asked
        with self._syncing:
            if self.failure:
                # The system forgets what it could not write, and then finds nothing to sync.
                raise self.failure
            if self._synced >= wanted:
                return
            covers = self._asked
            try:
                os.fdatasync(self.descriptor)
                if not self.is_fit:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            except OSError as error:
                self.failure = error
                raise
            self._synced = covers

    @property
    def is_fit(self) -> bool:
        """False once a sync has failed, or a person has deleted it."""
        return self.failure is None and os.fstat(self.descriptor).st_nlink > 0

    def is_idle_at(self, end: int) -> bool:
        """Nothing has been appended since it ended there, and nobody relies on it."""
        return not self.reliers and self.end == end

    def close(self) -> None:
        os.close(self.descriptor)
