"""What the system says of a disk, in our own errors. Knows none of our files."""

import contextlib
import errno
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
