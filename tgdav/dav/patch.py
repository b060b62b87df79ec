"""PATCH as SabreDAV defines it: a stretch of a file is replaced, or something appended.

https://sabre.io/dav/http-patch/. Also what rclone sends to a Nextcloud after a copy.
"""

from tgdav.dav import conditions, lookup, ranges, representation, saves
from tgdav.dav.messages import Reply, Request
from tgdav.dav.statuses import HttpError
from tgdav.errors import Busy, NotAFile, RangeRefused
from tgdav.tree.nodes import Node
from tgdav.tree.permit import Check

MEDIA_TYPE = "application/x-sabredav-partialupdate"


def handle(request: Request) -> Reply:
    node = lookup.find(request)
    if node.is_directory:
        raise NotAFile("a collection has no stretches")
    if "X-Recalculate-Hash" in request.headers:
        # rclone asks once more for a checksum that it did not send; there is none to keep.
        return Reply(204, representation.validators(node))
    update = _update(request)
    _require_media_type(request)
    saves.require_plain(request.headers)
    size = _size(request, update)
    check = conditions.check(request)
    start = update.start
    if start is not None and start < 0:
        start, check = _from_end(node, start), _also_as_long(check, node)
    with request.tree.splicing(
        request.path, request.permit, start, announced=size, check=check
    ) as save:
        return saves.keep(request, save, size=size, whole=False)


def _require_media_type(request: Request) -> None:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        accepted = ("Accept-Patch", MEDIA_TYPE)
        raise HttpError(415, "a patch of a kind that is not known", headers=(accepted,))


def _update(request: Request) -> ranges.Update:
    try:
        return ranges.update_range(request.headers.get("X-Update-Range", ""))
    except ranges.Malformed as error:
        raise HttpError(400, "an X-Update-Range that cannot be read") from error


def _size(request: Request, update: ranges.Update) -> int:
    size = request.body.length
    if size is None or "Content-Length" not in request.headers:
        raise HttpError(411, "a patch announces its length")
    if update.stop is not None and update.start is not None and update.stop - update.start != size:
        raise RangeRefused("Content-Length and X-Update-Range do not agree")
    return size


def _from_end(node: Node, start: int) -> int:
    if -start > node.size:
        raise RangeRefused(f"{-start} bytes before the end of {node.size}")
    return node.size + start


def _also_as_long(check: Check | None, seen: Node) -> Check:
    """A place counted from the end is the same place only in as long a file."""

    def decide(node: Node | None) -> None:
        if check is not None:
            check(node)
        if node is not None and node.size != seen.size:
            raise Busy(f"the file has {node.size} bytes by now", 1.0)

    return decide
