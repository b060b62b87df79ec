"""From the request's URL to the node that it names, and to what a directory shows.

`.trash` at the top of what a user sees is the trash, to be looked into only; a node of
that name hides it.
"""

from bisect import bisect

from tgdav.dav.messages import Request
from tgdav.errors import NotFound
from tgdav.tree.nodes import Node
from tgdav.tree.trash_folder import NAME as TRASH


def find(request: Request) -> Node:
    """The node as it is now. Raises `NotFound`, also for a file with a directory's slash."""
    node = request.tree.find(request.path)
    if node is None and is_trash(request):
        below = request.path[len(request.user.root) + 1 :]
        node = request.tree.trash_folder.find(request.user.root, below)
    if node is None and _has_come(request):
        node = request.tree.find(request.path)
    if node is None or (request.is_collection_url and not node.is_directory):
        raise NotFound("no node has this URL")
    return node


def children(
    request: Request, node: Node, after: str | None = None, limit: int = 1000
) -> list[Node]:
    """The next nodes, about `limit`, of the directory that the request names, by name."""
    if is_trash(request):
        return request.tree.trash_folder.children(request.user.root, node, after, limit)
    page = request.tree.children(node, after=after, limit=limit)
    if request.options.show_trash and request.path == request.user.root:
        _add_trash(request, page, after, is_last=len(page) < limit)
    return page


def is_trash(request: Request) -> bool:
    """True if the URL leads into the trash."""
    root = request.user.root
    if request.path[len(root) : len(root) + 1] != (TRASH,):
        return False
    return request.tree.find((*root, TRASH)) is None


def _add_trash(request: Request, page: list[Node], after: str | None, *, is_last: bool) -> None:
    """Put the trash where its name belongs, if that is on this page and nobody else's."""
    names = [node.name.encode() for node in page]
    name = TRASH.encode()
    is_here = (after or "").encode() < name and (is_last or name < names[-1])
    folder = request.tree.trash_folder.find(request.user.root, ())
    if is_here and name not in names and folder is not None:
        page.insert(bisect(names, name), folder)


def _has_come(request: Request) -> bool:
    """A save of this free path was under way, and has ended."""
    if request.method == "HEAD" and request.headers.get("User-Agent", "").startswith("gvfs/"):
        # It asks so for a file that it opens to write, which it sends when that is closed.
        request.underway.expect(request.path)
        return False
    return request.underway.await_end(request.path)
