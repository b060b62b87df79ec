"""PROPFIND (RFC 4918, 9.1) of a node, or of a directory and what it holds.

Answers are text made straight from nodes, page by page, so a directory of any size
costs one page of nodes, and of dead properties what one node may have. Where there are
any, those cost a query or two a page.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from tgdav.dav import conditions, lookup, multistatus, urls, xml
from tgdav.dav.depth import Depth
from tgdav.dav.messages import Headers, Reply, Request
from tgdav.dav.properties import ALLPROP, LIVE, LOCK_DISCOVERY, Live, View
from tgdav.dav.statuses import HttpError
from tgdav.tree.nodes import Node

PAGE = 1000
NAMES_LIMIT = 8 << 10
"""Bytes of all names asked for, as an answer has them: once for every child."""

_is_plain = re.compile(r"[A-Za-z0-9._~()-]*").fullmatch


def handle(request: Request) -> Reply:
    depth = Depth.of(request.headers)
    brief = _is_brief(request.headers)
    asked = parse(xml.read(request), brief=brief)
    node = lookup.find(request)
    conditions.require(request)
    if depth is Depth.INFINITY and node.is_directory:
        raise HttpError(403, "Depth is 0 or 1 here", condition="propfind-finite-depth")
    deep = depth is Depth.ONE and node.is_directory
    reply = Listing(request, node, asked, deep=deep).reply()
    if brief:
        reply.headers.append(("Preference-Applied", "return=minimal"))
    return reply


@dataclass(frozen=True, slots=True)
class Asked:
    """What a PROPFIND wants to know of each node."""

    live: tuple[Live, ...]
    dead: tuple[str, ...] = ()
    """Names that only a dead property can have."""
    every_dead: bool = False
    names_only: bool = False
    tells_missing: bool = False
    """Answer 404 for what is not there."""


def parse(root: xml.Element | None, *, brief: bool = False) -> Asked:
    """Understand a body; none asks for everything. Raise `HttpError` 400 or 413.

    `brief` clients do without the properties that are not there.
    """
    if root is None:
        return Asked(ALLPROP, every_dead=True)
    allprop, propname, prop = (xml.child(root, kind) for kind in ("allprop", "propname", "prop"))
    if root.tag != "{DAV:}propfind" or [allprop, propname, prop].count(None) != 2:
        raise HttpError(400, "a propfind with one of allprop, propname and prop is needed")
    if propname is not None:
        return Asked(tuple(LIVE.values()), every_dead=True, names_only=True)
    live, dead = _names(prop if allprop is None else xml.child(root, "include"))
    if allprop is not None:
        return Asked(tuple(dict.fromkeys(ALLPROP + live)), every_dead=True)
    return Asked(live, dead, tells_missing=not brief)


def _names(element: xml.Element | None) -> tuple[tuple[Live, ...], tuple[str, ...]]:
    """What is asked for by name: the live properties, and the names of the others."""
    names = dict.fromkeys(child.tag for child in element or ())
    if sum(len(xml.empty_element(name).encode()) for name in names) > NAMES_LIMIT:
        raise HttpError(413, f"names have at most {NAMES_LIMIT} bytes in sum")
    return (
        tuple(LIVE[name] for name in names if name in LIVE),
        tuple(name for name in names if name not in LIVE),
    )


def _is_brief(headers: Headers) -> bool:
    """RFC 8144, and the header that Microsoft had before it."""
    preferences = headers.get("Prefer", "").lower().replace(" ", "").split(",")
    return "return=minimal" in preferences or headers.get("Brief", "").lower() == "t"


class Listing:
    """The responses for one node and, when `deep`, for its children."""

    def __init__(self, request: Request, node: Node, asked: Asked, *, deep: bool) -> None:
        self._tree = request.tree
        self._node = node
        self._deep = deep
        self._view = View(request, node, deep=deep)
        self._asked = self._with_locks(asked)
        self._href = request.href(request.path, is_directory=node.is_directory)

    def reply(self) -> Reply:
        return multistatus.reply(chain.from_iterable(map(self._responses, self._pages())))

    def _pages(self) -> Iterator[Sequence[Node]]:
        yield [self._node]
        after: str | None = None
        while self._deep:
            page = lookup.children(self._view.request, self._node, after, PAGE)
            yield page
            if len(page) < PAGE:
                return
            after = page[-1].name

    def _with_locks(self, asked: Asked) -> Asked:
        """Everything includes locks where there are some: Explorer looks for them."""
        if not asked.every_dead or asked.names_only or not self._view.has_locks:
            return asked
        return replace(asked, live=tuple(dict.fromkeys((*asked.live, LOCK_DISCOVERY))))

    def _responses(self, nodes: Sequence[Node]) -> Iterator[str]:
        for node, dead in zip(nodes, self._dead_of(nodes), strict=False):
            href = self._href if node is self._node else self._href_of(node)
            yield multistatus.response(href, self._propstats(node, dead))

    def _href_of(self, child: Node) -> str:
        name = child.name if _is_plain(child.name) else urls.quoted(child.name)
        return f"{self._href}{name}/" if child.version is None else self._href + name

    def _dead_of(self, nodes: Sequence[Node]) -> Iterable[Mapping[str, str]]:
        properties = self._tree.properties
        if not (self._asked.dead or self._asked.every_dead) or not properties.any_below(self._node):
            return repeat({})
        return properties.of_each([node.no for node in nodes])

    def _propstats(self, node: Node, dead: Mapping[str, str]) -> str:
        asked = self._asked
        found: list[str] = []
        missing: list[str] = []
        for name, opening, closing, empty, read in asked.live:
            value = read(node, self._view)
            if value is None:
                missing.append(name)
            elif asked.names_only or not value:
                found.append(empty)
            else:
                found.append(opening + value + closing)
        if asked.dead or dead:
            self._add_dead(dead, found, missing)
        if not (missing and asked.tells_missing):
            return multistatus.propstat("".join(found), 200)
        absent = multistatus.propstat("".join(map(xml.empty_element, missing)), 404)
        return multistatus.propstat("".join(found), 200) + absent if found else absent

    def _add_dead(self, dead: Mapping[str, str], found: list[str], missing: list[str]) -> None:
        if self._asked.names_only:
            found.extend(map(xml.empty_element, dead))
        elif self._asked.every_dead:
            found.extend(dead.values())
        for name in self._asked.dead:
            if name in dead:
                found.append(dead[name])
            else:
                missing.append(name)
