"""LOCK and UNLOCK (RFC 4918, 9.10 and 9.11), and how locks are told to clients.

Whether a lock may be had, and what it forbids, the tree decides; here are the
request's XML and headers, and the answer's.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tgdav.dav import conditions, lookup, xml
from tgdav.dav.depth import Depth
from tgdav.dav.messages import Reply, Request
from tgdav.dav.multistatus import XML_TYPE
from tgdav.dav.statuses import HttpError
from tgdav.errors import Locked, LockMissing
from tgdav.tree.locks import Lock

OWNER_LIMIT = 4 << 10
"""Bytes of the <owner> that is kept with a lock."""

SUPPORTED = "".join(
    f"<D:lockentry><D:lockscope><D:{scope}/></D:lockscope>"
    "<D:locktype><D:write/></D:locktype></D:lockentry>"
    for scope in ("exclusive", "shared")
)

_SECONDS = re.compile(r"second-(\d{1,10})\Z", re.IGNORECASE)


def handle(request: Request) -> Reply:
    return _unlock(request) if request.method == "UNLOCK" else _lock(request)


def active_locks(locks: Iterable[Lock], request: Request) -> str:
    """The value of DAV:lockdiscovery."""
    return "".join(_active_lock(lock, request) for lock in locks)


@dataclass(frozen=True, slots=True)
class LockInfo:
    """What the body of a LOCK asks for."""

    exclusive: bool
    owner: str


def _lock(request: Request) -> Reply:
    depth = Depth.of(request.headers)
    if depth is Depth.ONE:
        raise HttpError(400, "a lock has Depth 0 or infinity")
    root = xml.read(request)
    if root is None:
        return _granted(request, _refresh(request), 200)
    info = _parse(root)
    lock, created = _acquire(request, info, infinite=depth is Depth.INFINITY)
    reply = _granted(request, lock, 201 if created else 200)
    reply.headers.append(("Lock-Token", f"<{lock.token}>"))
    return reply


def _acquire(request: Request, info: LockInfo, *, infinite: bool) -> tuple[Lock, bool]:
    conditions.require(request)
    if request.is_collection_url and request.tree.find(request.path) is None:
        raise HttpError(409, "a lock makes a file, whose URL does not end with a slash")
    try:
        return request.tree.locks.lock(
            request.path,
            request.permit,
            exclusive=info.exclusive,
            infinite=infinite,
            owner=info.owner,
            for_s=_seconds(request),
        )
    except Locked as error:
        raise HttpError(
            423, "it is locked already", condition="no-conflicting-lock", path=error.path
        ) from error


def _refresh(request: Request) -> Lock:
    """Prolong the lock that `If` names; RFC 4918, 9.10.2 lets it name only one."""
    if not request.permit.tokens:
        raise HttpError(400, "a LOCK has a body, or names a lock to refresh in If")
    for token in sorted(request.permit.tokens):
        try:
            return request.tree.locks.refresh(
                request.path, request.permit, token, _seconds(request)
            )
        except LockMissing:
            continue
    raise HttpError(
        412, "no lock of yours to refresh here", condition="lock-token-matches-request-uri"
    )


def _unlock(request: Request) -> Reply:
    token = request.headers.get("Lock-Token", "").strip().removeprefix("<").removesuffix(">")
    if not token:
        raise HttpError(400, "UNLOCK names its lock in Lock-Token")
    lookup.find(request)
    conditions.require(request)
    request.tree.locks.unlock(request.path, request.permit, token)
    return Reply(204)


def _parse(root: xml.Element) -> LockInfo:
    scope, kind = xml.child(root, "lockscope"), xml.child(root, "locktype")
    if root.tag != "{DAV:}lockinfo" or scope is None or kind is None:
        raise HttpError(400, "a lockinfo with lockscope and locktype is needed")
    is_shared = xml.child(scope, "shared") is not None
    if is_shared is (xml.child(scope, "exclusive") is not None):
        raise HttpError(400, "a lock is exclusive or shared")
    if xml.child(kind, "write") is None:
        raise HttpError(400, "locks are write locks")
    return LockInfo(not is_shared, _owner(root))


def _owner(root: xml.Element) -> str:
    element = xml.child(root, "owner")
    if element is None:
        return ""
    owner = xml.text_of(element)
    if len(owner.encode()) > OWNER_LIMIT:
        raise HttpError(413, f"an owner has at most {OWNER_LIMIT} bytes")
    return owner


def _seconds(request: Request) -> int:
    """The first life that the client can name in seconds, and never more than ours."""
    longest = request.options.lock_s
    for wish in request.headers.get("Timeout", "").split(","):
        if match := _SECONDS.match(wish.strip()):
            return max(1, min(int(match[1]), longest))
    return longest


def _granted(request: Request, lock: Lock, status: int) -> Reply:
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<D:prop xmlns:D="DAV:"><D:lockdiscovery>'
        f"{_active_lock(lock, request)}</D:lockdiscovery></D:prop>\n"
    )
    return Reply(status, [XML_TYPE], [text.encode()])


def _active_lock(lock: Lock, request: Request) -> str:
    # What lies above the user's root is not told: to this user, the lock begins there.
    root = request.user.root
    path = lock.path if lock.path[: len(root)] == root else root
    seconds = max(0, -(-(lock.until_ns - time.time_ns()) // 10**9))
    return (
        "<D:activelock><D:locktype><D:write/></D:locktype>"
        f"<D:lockscope><D:{'exclusive' if lock.exclusive else 'shared'}/></D:lockscope>"
        f"<D:depth>{'infinity' if lock.infinite else '0'}</D:depth>{lock.owner}"
        f"<D:timeout>Second-{seconds}</D:timeout>"
        f"<D:locktoken><D:href>{xml.escape(lock.token)}</D:href></D:locktoken>"
        f"<D:lockroot><D:href>{request.href(path)}</D:href></D:lockroot></D:activelock>"
    )
