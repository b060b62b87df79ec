"""From the request's URL to the node that it names."""

from tgdav.dav.messages import Request
from tgdav.errors import NotFound
from tgdav.tree.nodes import Node


def find(request: Request) -> Node:
    """The node as it is now. Raises `NotFound`, also for a file with a directory's slash."""
    node = request.tree.find(request.path)
    if node is None and _has_come(request):
        node = request.tree.find(request.path)
    if node is None or (request.is_collection_url and not node.is_directory):
        raise NotFound("no node has this URL")
    return node


def _has_come(request: Request) -> bool:
    """A save of this free path was under way, and has ended."""
    if request.method == "HEAD" and request.headers.get("User-Agent", "").startswith("gvfs/"):
        # It asks so for a file that it opens to write, which it sends when that is closed.
        request.underway.expect(request.path)
        return False
    return request.underway.await_end(request.path)
