"""GET and HEAD (RFC 9110, 9.3): one version, whole or in ranges; a directory as a page.

The node that was found pins the version: its size, ETag and bytes are of one save. Its
first bytes are there before the status is sent, so a dead store is a 503 and not a
torn answer. HEAD says the same and asks no store.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tgdav.dav import conditions, lookup, ranges, representation
from tgdav.dav.media import content_type
from tgdav.dav.messages import Piece, Reply, Request
from tgdav.dav.ranges import Multipart, Range
from tgdav.dav.statuses import HttpError
from tgdav.tree.nodes import Node
from tgdav.tree.tree import Tree

LISTED = 1000
"""Nodes of a directory that are held at once."""


def handle(request: Request) -> Reply:
    node = lookup.find(request)
    if node.is_directory:
        return _page(request, node)
    if conditions.is_fresh(request, node):
        return Reply(304, representation.validators(node))
    wanted = _wanted(request, node)
    if wanted is None:
        return _sent(request, node, Range(0, node.size), 200)
    if len(wanted) > 1:
        return _multipart(request, node, wanted)
    reply = _sent(request, node, wanted[0], 206)
    reply.headers.append(("Content-Range", wanted[0].content_range(node.size)))
    return reply


def _wanted(request: Request, node: Node) -> Sequence[Range] | None:
    """The ranges to send; None for the whole. Only GET has ranges (RFC 9110, 14.2)."""
    header = request.headers.get("Range")
    if header is None or request.method != "GET" or not conditions.allows_range(request, node):
        return None
    try:
        return ranges.requested(header, node.size)
    except ranges.Unsatisfiable as error:
        size = ("Content-Range", f"bytes */{node.size}")
        raise HttpError(416, "the file ends before this range", headers=(size,)) from error


def _sent(request: Request, node: Node, stretch: Range, status: int) -> Reply:
    headers = [*representation.headers(node), ("Content-Length", str(stretch.size))]
    if request.method == "HEAD" or not stretch.size:
        return Reply(status, headers)
    return Reply(status, headers, request.tree.reading(node, stretch.start, stretch.stop))


def _multipart(request: Request, node: Node, wanted: Sequence[Range]) -> Reply:
    frame = Multipart(wanted, node.size, content_type(node.name), secrets.token_hex(16))
    headers = [
        *representation.headers(node, frame.media_type),
        ("Content-Length", str(frame.length)),
    ]
    return Reply(206, headers, Parts(request.tree, node, frame))


class Parts:
    """The body of a multipart/byteranges: one range after the other, one reading at a time."""

    def __init__(self, tree: Tree, node: Node, frame: Multipart) -> None:
        """Open the first range; raises what `Tree.reading` raises."""
        self._tree = tree
        self._node = node
        self._frame = frame
        self._reading = tree.reading(node, *frame.ranges[0])

    def __iter__(self) -> Iterator[Piece]:
        for number, each in enumerate(self._frame.ranges):
            if number:
                self._reading = self._tree.reading(self._node, *each)
            yield self._frame.heading(each)
            yield from self._reading
            self._reading.close()
        yield self._frame.ending

    def close(self) -> None:
        self._reading.close()


def _page(request: Request, node: Node) -> Reply:
    below = request.path[len(request.user.root) :]
    pieces = request.options.page(
        request.href(request.path, is_directory=True),
        "/" + "/".join(below),
        not below,
        _children(request, node),
    )
    headers = [*request.options.page_headers, ("Cache-Control", "no-cache")]
    if request.method == "HEAD":
        return Reply(200, headers, iter(()))
    # As with content: what fails at once is told by the status.
    return Reply(200, headers, chain([next(pieces)], pieces))


def _children(request: Request, node: Node) -> Iterable[Node]:
    after = None
    while page := lookup.children(request, node, after, LISTED):
        yield from page
        after = page[-1].name
