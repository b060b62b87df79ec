"""COPY and MOVE (RFC 4918, 9.8 and 9.9), which differ in what is left behind.

Both touch names only, so a directory of any size is copied or moved in one step:
it happens whole or not at all, and there is no 207 to read.
"""

from tgdav.dav import conditions, lookup
from tgdav.dav.depth import Depth
from tgdav.dav.messages import Headers, Reply, Request
from tgdav.dav.statuses import HttpError
from tgdav.errors import AlreadyExists
from tgdav.tree.nodes import Node
from tgdav.tree.paths import Path


def handle(request: Request) -> Reply:
    target = _destination(request)
    overwrite = _overwrites(request.headers)
    depth = Depth.of(request.headers)
    node = lookup.find(request)
    _require_depth(request, node, depth)
    try:
        created = _carry_out(request, target, overwrite=overwrite, deep=depth is not Depth.ZERO)
    except AlreadyExists as error:
        raise HttpError(412, "the destination exists, and Overwrite is F") from error
    return Reply(201 if created else 204, [], [])


def _carry_out(request: Request, target: Path, *, overwrite: bool, deep: bool) -> bool:
    tree, source, permit = request.tree, request.path, request.permit
    check = conditions.check(request)
    if request.method == "MOVE":
        return tree.move(source, target, permit, overwrite=overwrite, check=check)
    return tree.copy(source, target, permit, overwrite=overwrite, deep=deep, check=check)


def _destination(request: Request) -> Path:
    url = request.headers.get("Destination", "").strip()
    if not url:
        raise HttpError(400, "a Destination is needed")
    return request.locate(url)


def _overwrites(headers: Headers) -> bool:
    """What `Overwrite` says; an absent one means T."""
    value = headers.get("Overwrite", "T").strip().upper()
    if value not in ("T", "F"):
        raise HttpError(400, "Overwrite is T or F")
    return value == "T"


def _require_depth(request: Request, node: Node, depth: Depth) -> None:
    """A file has one depth; a directory is moved whole, and copied whole or empty."""
    if depth is Depth.ONE or (
        depth is Depth.ZERO and node.is_directory and request.method == "MOVE"
    ):
        raise HttpError(400, "Depth is infinity, or 0 for COPY")
