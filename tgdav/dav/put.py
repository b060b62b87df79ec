"""PUT (RFC 9110, 9.3.4): a file's content, new or replaced, or a stretch of it.

What can be refused is refused before the first byte is asked for, so that a client
that waits for "100 Continue" sends nothing in vain; what may have changed while the
body came is looked at again in the transaction that publishes.
"""

from tgdav.dav import conditions, ranges, saves
from tgdav.dav.messages import Headers, Reply, Request
from tgdav.dav.statuses import HttpError
from tgdav.errors import NotAFile


def handle(request: Request) -> Reply:
    # From here on, as who comes next may be quicker than what has to be looked at first.
    with request.underway.saving(request.path):
        return _saved(request)


def _saved(request: Request) -> Reply:
    if request.is_collection_url:
        raise NotAFile("a file's URL does not end with a slash")
    saves.require_plain(request.headers)
    stretch = _stretch(request)
    if stretch is None:
        return _whole(request)
    size = stretch.stop - stretch.start
    if request.body.length not in (None, size):
        raise HttpError(400, "Content-Length and Content-Range do not agree")
    if request.tree.find(request.path) is not None:
        return _part(request, stretch.start, size)
    if stretch == (0, size, size):
        return _whole(request)
    raise HttpError(400, "a part of a file that does not exist")


def _whole(request: Request) -> Reply:
    size = request.body.length
    if size is None:
        size = _number(request.headers, "X-Expected-Entity-Length")
    save = request.tree.writing(
        request.path,
        request.permit,
        announced=_announced(request.headers, size),
        check=conditions.check(request),
    )
    with save:
        return saves.keep(request, save, size=size)


def _part(request: Request, start: int, size: int) -> Reply:
    with request.tree.splicing(
        request.path, request.permit, start, announced=size, check=conditions.check(request)
    ) as save:
        return saves.keep(request, save, size=size, whole=False)


def _stretch(request: Request) -> ranges.Stretch | None:
    header = request.headers.get("Content-Range")
    if header is None:
        return None
    try:
        return ranges.content_range(header)
    except ranges.Malformed as error:
        raise HttpError(400, "a Content-Range that cannot be read") from error


def _announced(headers: Headers, size: int | None) -> int | None:
    """The most that the client says is coming: room is asked for all of it at once."""
    said = (size, _number(headers, "OC-Total-Length"))
    return max((each for each in said if each is not None), default=None)


def _number(headers: Headers, name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
