"""From the request's URL to the node that it names."""

from tgdav.dav.messages import Request
from tgdav.errors import NotFound
from tgdav.tree.nodes import Node


def find(request: Request) -> Node:
    """The node as it is now. Raises `NotFound`, also for a file with a directory's slash."""
    node = request.tree.find(request.path)
    if node is None and request.underway.await_end(request.path):
        node = request.tree.find(request.path)
    if node is None or (request.is_collection_url and not node.is_directory):
        raise NotFound("no node has this URL")
    return node
