"""What a request demands of the state of things: RFC 9110, 13 and RFC 4918, 10.4.

A condition that changes depend on is decided twice, before the body is read and in
the transaction that publishes: `check` gives the function for both. Dates that are no
dates are ignored, as RFC 9110 asks.
"""

import re
from collections.abc import Callable

from tgdav.dav.dates import SECOND, read_http_date
from tgdav.dav.if_header import State
from tgdav.dav.messages import Headers, Request
from tgdav.dav.representation import etag
from tgdav.dav.statuses import HttpError
from tgdav.errors import NameRefused, PreconditionFailed
from tgdav.tree.nodes import Node
from tgdav.tree.permit import Check

_ETAG = re.compile(r'(W/)?("[^"]*")')
_CONDITIONAL = ("If", "If-Match", "If-None-Match", "If-Unmodified-Since")


def check(request: Request) -> Check | None:
    """The function that raises `PreconditionFailed` if a node does not fit the request.

    It asks the tree nothing, so it may run inside a transaction: what lies elsewhere
    than the request's own node is looked at here, once. None: nothing is demanded.
    """
    if not any(name in request.headers for name in _CONDITIONAL):
        return None
    dav_condition_holds = _dav_condition(request)

    def decide(node: Node | None) -> None:
        if not dav_condition_holds(node):
            raise PreconditionFailed("no list of the If header holds")
        _require_match(request.headers, node)
        if _is_known(request.headers, node):
            raise PreconditionFailed("the client has this version already")

    return decide


def require(request: Request) -> None:
    """Raise `PreconditionFailed` if the request's node, as it is now, does not fit."""
    decide = check(request)
    if decide is not None:
        decide(request.tree.find(request.path))


def is_fresh(request: Request, node: Node) -> bool:
    """For GET and HEAD: the client's own copy is this version, which is a 304.

    Raises `PreconditionFailed` where that comes first (RFC 9110, 13.2.2).
    """
    if not _dav_condition(request)(node):
        raise PreconditionFailed("no list of the If header holds")
    _require_match(request.headers, node)
    if "If-None-Match" in request.headers:
        return _is_known(request.headers, node)
    since_ns = _date(request.headers, "If-Modified-Since")
    return since_ns is not None and _second(node) <= since_ns


def allows_range(request: Request, node: Node) -> bool:
    """`If-Range`: the client holds parts of this very version, or did not say."""
    value = request.headers.get("If-Range", "").strip()
    if not value:
        return True
    if value.startswith(('"', "W/")):
        return value == etag(node)
    return read_http_date(value) == _second(node)


def _require_match(headers: Headers, node: Node | None) -> None:
    if "If-Match" in headers:
        if not _names(headers["If-Match"], node, weak=False):
            raise PreconditionFailed("this is not the version that If-Match names")
        return
    since_ns = _date(headers, "If-Unmodified-Since")
    if since_ns is not None and node is not None and _second(node) > since_ns:
        raise PreconditionFailed("it was changed since")


def _is_known(headers: Headers, node: Node | None) -> bool:
    return "If-None-Match" in headers and _names(headers["If-None-Match"], node, weak=True)


def _names(value: str, node: Node | None, *, weak: bool) -> bool:
    """An ETag of the list is the node's; "*" is any node's."""
    if value.strip() == "*":
        return node is not None
    tags = (tag for is_weak, tag in _ETAG.findall(value) if weak or not is_weak)
    return node is not None and etag(node) in tags


def _date(headers: Headers, name: str) -> int | None:
    return read_http_date(headers[name]) if name in headers else None


def _second(node: Node) -> int:
    """The node's time as Last-Modified tells it: a client never sees more."""
    return node.modified_ns // SECOND * SECOND


def _dav_condition(request: Request) -> Callable[[Node | None], bool]:
    """Whether the If header holds, given how the request's own node stands."""
    condition = request.condition
    if condition is None:
        return lambda _: True
    states = {each.url: _state(request, each.url) for each in condition.lists}

    def holds(node: Node | None) -> bool:
        own = etag(node)
        return condition.holds(
            lambda url: State(own, states[url][1].tokens) if states[url][0] else states[url][1]
        )

    return holds


def _state(request: Request, url: str | None) -> tuple[bool, State]:
    """Whether `url` is the request's own, and how it stands. What is not ours has no state."""
    try:
        path = request.path if url is None else request.locate(url)
    except (HttpError, NameRefused):
        return False, State()
    tokens = frozenset(lock.token for lock in request.tree.locks.covering(path))
    if path == request.path:
        return True, State(None, tokens)
    return False, State(etag(request.tree.find(path)), tokens)
