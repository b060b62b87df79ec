"""The live properties: what a PROPFIND can learn of a node without asking for values.

One table; everything else under any other name is a dead property, kept as it came.
A value is XML text; None says that this node does not have the property.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from tgdav.dav import locks, representation
from tgdav.dav.dates import http_date, iso_date
from tgdav.dav.media import content_type
from tgdav.dav.messages import Request
from tgdav.dav.xml import empty_element, escape
from tgdav.tree.locks import Lock
from tgdav.tree.nodes import Node
from tgdav.tree.paths import Path
from tgdav.tree.quota import Quota

DAV = "{DAV:}"
MICROSOFT = "{urn:schemas-microsoft-com:}"
OWNCLOUD = "{http://owncloud.org/ns}"

FIRST_SLOW_DARWIN = (24, 4)
"""macOS 15.4, the first that waits 90 s for a mount when it is told the free space."""


class View:
    """What live properties ask beside their node: of one request, each thing once.

    `node` is what the request names; `deep` says that its children are shown too.
    """

    def __init__(self, request: Request, node: Node, *, deep: bool) -> None:
        self.request = request
        self._node = node
        self._deep = deep

    @cached_property
    def quota(self) -> Quota | None:
        """None where the question alone does harm."""
        if not self.request.options.quota_for_finder and _is_slow_finder(self.request):
            return None
        return self.request.tree.quota(self.request.user)

    @cached_property
    def has_locks(self) -> bool:
        return bool(self._covering or self._direct)

    def locks_on(self, node: Node) -> Sequence[Lock]:
        if not self.has_locks:
            return ()
        if node.no == self._node.no:
            return self._covering
        return [*self._inherited, *self._direct.get((*self.request.path, node.name), ())]

    @cached_property
    def _any(self) -> bool:
        return self.request.tree.locks.any()

    @cached_property
    def _covering(self) -> Sequence[Lock]:
        return self.request.tree.locks.covering(self.request.path) if self._any else ()

    @cached_property
    def _inherited(self) -> Sequence[Lock]:
        return [lock for lock in self._covering if lock.infinite]

    @cached_property
    def _direct(self) -> dict[Path, list[Lock]]:
        """By the path that is locked; children of the node are among them."""
        direct: dict[Path, list[Lock]] = {}
        if self._deep and self._any:
            for lock in self.request.tree.locks.below(self.request.path):
                direct.setdefault(lock.path, []).append(lock)
        return direct


Read = Callable[[Node, View], str | None]


class Live(NamedTuple):
    """A live property: how its element begins and ends, and what stands between."""

    name: str
    opening: str
    closing: str
    empty: str
    read: Read


def _live(name: str, read: Read) -> Live:
    empty = empty_element(name)
    local = empty[1:-2].partition(" ")[0]
    return Live(name, empty[:-2] + ">", f"</{local}>", empty, read)


def _resource_type(node: Node, _: View) -> str:
    return "<D:collection/>" if node.version is None else ""


def _length(node: Node, _: View) -> str | None:
    return None if node.version is None else str(node.size)


def _etag(node: Node, _: View) -> str | None:
    return representation.etag(node)


def _content_type(node: Node, _: View) -> str:
    return "httpd/unix-directory" if node.version is None else content_type(node.name)


def _display_name(node: Node, _: View) -> str | None:
    # The root has no name of its own; clients then show the host's.
    return escape(node.name) or None


def _created(node: Node, _: View) -> str:
    return iso_date(node.created_ns)


def _modified(node: Node, _: View) -> str:
    return http_date(node.modified_ns)


def _win32_created(node: Node, _: View) -> str:
    return http_date(node.created_ns)


def _lock_discovery(node: Node, view: View) -> str:
    return locks.active_locks(view.locks_on(node), view.request)


def _supported_lock(_: Node, __: View) -> str:
    return locks.SUPPORTED


def _used(node: Node, view: View) -> str | None:
    return _of_quota(node, view, lambda quota: quota.used)


def _available(node: Node, view: View) -> str | None:
    return _of_quota(node, view, lambda quota: quota.available)


def _durability(node: Node, view: View) -> str | None:
    if node.version is None:
        return None
    return "remote" if view.request.tree.is_remote(node) else "local"


def _of_quota(node: Node, view: View, number: Callable[[Quota], int]) -> str | None:
    if node.version is not None or view.quota is None:
        return None
    return str(number(view.quota))


def _checksums(node: Node, _: View) -> str | None:
    if not node.checksum:
        return None
    return f'<checksum xmlns="{OWNCLOUD[1:-1]}">{escape(node.checksum)}</checksum>'


def _is_slow_finder(request: Request) -> bool:
    agent = re.search(r"^WebDAVFS/.* Darwin/(\d+)\.(\d+)", request.headers.get("User-Agent", ""))
    return agent is not None and tuple(map(int, agent.groups())) >= FIRST_SLOW_DARWIN


ALLPROP = tuple(
    _live(DAV + local, read)
    for local, read in (
        ("resourcetype", _resource_type),
        ("getcontentlength", _length),
        ("getlastmodified", _modified),
        ("creationdate", _created),
        ("getetag", _etag),
        ("getcontenttype", _content_type),
        ("displayname", _display_name),
    )
)
"""What allprop tells of every node. Windows takes 1,000,000 bytes for a folder, and two
properties that say the same of every file (locks are possible, there is none) would
take a third of them: those are told where there is a lock, or when asked by name."""

LOCK_DISCOVERY = _live(DAV + "lockdiscovery", _lock_discovery)

LIVE: dict[str, Live] = {
    live.name: live
    for live in (
        *ALLPROP,
        LOCK_DISCOVERY,
        _live(DAV + "supportedlock", _supported_lock),
        _live(DAV + "quota-used-bytes", _used),
        _live(DAV + "quota-available-bytes", _available),
        _live(MICROSOFT + "Win32CreationTime", _win32_created),
        _live(MICROSOFT + "Win32LastModifiedTime", _modified),
        _live(OWNCLOUD + "checksums", _checksums),
        _live("{urn:tgdav}durability", _durability),
    )
}
