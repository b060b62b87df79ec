"""DELETE (RFC 4918, 9.6): a file, or a directory with all that it holds, or nothing."""

from tgdav.dav import conditions, lookup
from tgdav.dav.depth import Depth
from tgdav.dav.messages import Reply, Request
from tgdav.dav.statuses import HttpError
from tgdav.errors import Forbidden


def handle(request: Request) -> Reply:
    if request.path == request.user.root:
        raise Forbidden("the top of a drive stays")
    node = lookup.find(request)
    if node.is_directory and Depth.of(request.headers) is not Depth.INFINITY:
        raise HttpError(400, "a collection is deleted with Depth infinity")
    request.tree.delete(request.path, request.permit, check=conditions.check(request))
    return Reply(204)
