"""What the system does with files, and says of them, in our own errors. Knows none of ours."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator

from tgdav.errors import DiskFull, Failed


@contextlib.contextmanager
def told(where: str, refusal: type[Failed]) -> Iterator[None]:
    """Raise `DiskFull` or `refusal`, which name `where`, in place of an `OSError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk of {where} is full") from error
        raise refusal(f"{where}: {error.strerror}") from error


def own(descriptor: int) -> bool:
    """Have a file that was just made be this process's while it lives.

    False if somebody found it before, took it for a dead one's and removed it.
    """
    with contextlib.suppress(OSError):  # there are file systems without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0


def is_nobodys(descriptor: int) -> bool | None:
    """True if the process whose file it was is dead; None if that cannot be told.

    Whoever asks has it then, until the descriptor is closed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
