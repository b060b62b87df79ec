"""What went wrong, as HTTP says it: one table for all that tgdav raises on purpose.

An answer tells the client what to do, in words of ours: never a name, a path or the
text of an exception.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from xml.sax.saxutils import escape

from tgdav import errors

Path = tuple[str, ...]


class HttpError(Exception):
    """A request that ends with `status`, for a reason that only HTTP or WebDAV knows.

    `condition` is the DAV: element of RFC 4918, 16 that the answer carries; `path` the
    node that it names. `message` goes to the client as it is.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        condition: str = "",
        path: Path | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.condition = condition
        self.path = path
        self.headers = headers


@dataclass(frozen=True, slots=True)
class _Row:
    status: int
    message: str
    condition: str = ""
    retry_after_s: float | None = None


TABLE: dict[type[BaseException], _Row] = {
    errors.NotFound: _Row(404, "there is nothing here"),
    errors.AlreadyExists: _Row(405, "there is something here already"),
    errors.ParentMissing: _Row(409, "the collection above does not exist"),
    errors.NotADirectory: _Row(409, "the URL leads through a file"),
    errors.NotAFile: _Row(405, "this is a collection"),
    errors.NameRefused: _Row(400, "the URL holds a name that cannot be kept"),
    errors.Forbidden: _Row(403, "this may not be done here"),
    errors.DeletionStopped: _Row(
        403, "too much was deleted within an hour: the operator has to confirm it"
    ),
    errors.Misplaced: _Row(403, "source and destination overlap"),
    errors.PreconditionFailed: _Row(412, "it is not in the state that the request names"),
    errors.Locked: _Row(423, "it is locked", "lock-token-submitted"),
    errors.LockMissing: _Row(409, "no such lock here", "lock-token-matches-request-uri"),
    errors.LimitReached: _Row(403, "a bound on what one user may keep is reached"),
    errors.QuotaExceeded: _Row(507, "the quota is used up", "quota-not-exceeded"),
    errors.BodyIncomplete: _Row(400, "the body is not as long as was announced"),
    errors.ChecksumMismatch: _Row(400, "the body does not have the announced checksum"),
    errors.RangeRefused: _Row(416, "the range does not fit the content"),
    errors.Refused: _Row(400, "the request cannot be carried out"),
    errors.Busy: _Row(503, "busy; try again later"),
    errors.DiskFull: _Row(507, "the disk of the server is full"),
    errors.StoreError: _Row(503, "a store does not answer", retry_after_s=30),
    errors.ContentLost: _Row(503, "a store does not have the content", retry_after_s=60),
    errors.StoresAhead: _Row(503, "read-only until the operator has recovered the drive"),
    errors.Failed: _Row(500, "the server needs its operator"),
}
"""An error that is not here is answered like the nearest of its bases that is."""

_BUG = _Row(500, "the server went wrong")


def answer(error: BaseException) -> HttpError:
    """How `error` is told to the client."""
    if isinstance(error, HttpError):
        return error
    row = next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), _BUG)
    retry_after_s = error.retry_after_s if isinstance(error, errors.Busy) else row.retry_after_s
    return HttpError(
        row.status,
        row.message,
        condition=row.condition,
        path=error.path if isinstance(error, errors.Locked) else None,
        headers=() if retry_after_s is None else (("Retry-After", str(ceil(retry_after_s))),),
    )


def content(error: HttpError, href: Callable[[Path], str]) -> tuple[str, bytes]:
    """Content type and bytes of the answer; `href` writes the path that it names."""
    if not error.condition:
        return "text/plain; charset=utf-8", f"{error.message}\n".encode()
    inner = ""
    if error.path is not None:
        inner = f"<D:href>{escape(href(error.path))}</D:href>"
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<D:error xmlns:D="DAV:"><D:{error.condition}>{inner}</D:{error.condition}></D:error>\n'
    )
    return "application/xml; charset=utf-8", text.encode()
