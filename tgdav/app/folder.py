"""The data folder: what lies where in it, who serves it, and which key and database are its own.

Knows no store and no tree.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import filelock
import psutil

from tgdav.blocks.form import keyfile
from tgdav.blocks.form.keys import Keys
from tgdav.db import Database
from tgdav.disk import told
from tgdav.errors import DriveInUse, FolderRefused, KeyRefused
from tgdav.settings import FILE, Settings, load

DATABASE, STORE, SPOOL, STAGING, CACHE = "drive.db", "store", "spool", "staging", "cache"
SERVING, GATEWAY = "serving", "gateway"

_OURS = re.compile(rf"lost\+found|{re.escape(FILE)}|({SERVING}|{GATEWAY}|{DATABASE}).*")
"""What may lie in a data folder before there is a key."""

Passphrase = Callable[[], str]


def load_keys(
    folder: Path, settings: Settings | None = None, passphrase: Passphrase | None = None
) -> Keys:
    """The drive's keys, by the passphrase file if one is set. Raises `KeyRefused`."""
    settings = settings or load(folder)
    file = settings.key.passphrase_file
    return keyfile.load_key(folder, (lambda: _first_line(file)) if file else passphrase)


def change_passphrase(folder: Path, new: str | None, passphrase: Passphrase | None = None) -> None:
    """Wrap the key in `new`, or leave it plain. Raises `KeyRefused`, `PasswordRefused`."""
    keyfile.store_key(folder, load_keys(folder, passphrase=passphrase), new)


def open_database(folder: Path, settings: Settings) -> Database:
    """The database of the data folder, made if it is not there.

    Raises `DatabaseError`, and `FolderRefused` at once where nothing could be written later.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FolderRefused(f"the data folder {folder}: it cannot be written")
    return Database.open(settings.database.url or f"sqlite:///{folder.absolute() / DATABASE}")


def require_place(folder: Path) -> None:
    """Raise `FolderRefused` where a drive would keep others from what is theirs.

    A drive's folder is for its owner alone: the names of all files are in it. One of other
    things, which everybody may enter, is not made that by the way.
    """
    if not folder.is_dir() or (folder / keyfile.KEY_FILE).exists():
        return
    with writing(folder):
        others = sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))
        is_open = folder.stat().st_mode & 0o077
    if others and is_open:
        raise FolderRefused(
            f"the data folder {folder} has {others[0]!r} in it, and other users may enter it: "
            "give an empty folder, or close it to them (chmod 700)"
        )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the one process that makes and serves the drive in `folder`, which is made.

    The system drops the lock with the process. Raises `DriveInUse`, `FolderRefused`,
    `DiskFull`.
    """
    lock = filelock.FileLock(folder / f"{SERVING}.lock")
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0.5)  # a command may try it for a moment
        except filelock.Timeout as error:
            raise DriveInUse("another process serves this data folder") from error
    with lock:
        with writing(folder):
            (folder / SERVING).write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (folder / SERVING).unlink(missing_ok=True)


def writing(folder: Path) -> AbstractContextManager[None]:
    """For `with`: what the system says of writing into the data folder, in our own errors."""
    return told(f"the data folder {folder}", FolderRefused)


def is_served(folder: Path) -> bool:
    """True while a process serves the folder: it has the accounts, and does what is asked."""
    lock = filelock.FileLock(folder / f"{SERVING}.lock")
    try:
        with lock.acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True


def memory(folder: Path) -> int:
    """Resident bytes of the process that serves the folder, or of this one."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        return int(psutil.Process(int((folder / SERVING).read_text())).memory_info().rss)
    return int(psutil.Process().memory_info().rss)


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise KeyRefused("key.passphrase_file cannot be read, or is empty") from error
