"""PROPPATCH (RFC 4918, 9.2): all of it or nothing.

Dead properties are kept as the XML that came. A few live ones can be set, because
clients set the times of what they copied; the others are protected.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tgdav.dav import conditions, lookup, multistatus, xml
from tgdav.dav.dates import read_http_date, read_unix_time
from tgdav.dav.messages import Reply, Request
from tgdav.dav.properties import DAV, LIVE, MICROSOFT, OWNCLOUD
from tgdav.dav.statuses import HttpError
from tgdav.errors import LimitReached
from tgdav.tree.nodes import Node

NAME_LIMIT = 512
"""Characters of a name, its namespace with it: what the tree keeps."""

MODIFIED: dict[str, Callable[[str], int | None]] = {
    DAV + "getlastmodified": read_http_date,
    DAV + "lastmodified": read_unix_time,  # rclone, with vendor owncloud or nextcloud
    MICROSOFT + "Win32LastModifiedTime": read_http_date,
}
CREATED: dict[str, Callable[[str], int | None]] = {
    MICROSOFT + "Win32CreationTime": read_http_date,
}
CHECKSUMS = OWNCLOUD + "checksums"


def handle(request: Request) -> Reply:
    instructions = list(parse(xml.read(request)))
    node = lookup.find(request)
    conditions.require(request)
    change = Change(node)
    for instruction in instructions:
        change.add(instruction)
    if not change.refusals:
        _carry_out(request, change)
    href = request.href(request.path, is_directory=node.is_directory)
    return multistatus.reply([multistatus.response(href, change.propstats())])


@dataclass(frozen=True, slots=True)
class Instruction:
    """Set the property to `element`, or remove it."""

    name: str
    element: xml.Element | None


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    status: int
    condition: str = ""


PROTECTED = Refusal(403, "cannot-modify-protected-property")
NOT_A_VALUE = Refusal(409)
TOO_LONG = Refusal(507)


@dataclass(slots=True)
class Change:
    """What instructions, taken in their order, come to."""

    node: Node
    set: dict[str, str] = field(default_factory=dict)
    remove: dict[str, None] = field(default_factory=dict)
    modified_ns: int | None = None
    created_ns: int | None = None
    names: dict[str, None] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def add(self, instruction: Instruction) -> None:
        name, element = instruction.name, instruction.element
        self.names[name] = None
        refusal = self._take(name, element)
        if refusal is not None:
            self.refusals.setdefault(name, refusal)

    def propstats(self) -> str:
        """How each property fared: with one refused, all others failed with it."""
        others = Refusal(424) if self.refusals else Refusal(200)
        fates: dict[Refusal, list[str]] = {}
        for name in self.names:
            fates.setdefault(self.refusals.get(name, others), []).append(name)
        return "".join(
            multistatus.propstat(
                "".join(map(xml.empty_element, names)), fate.status, fate.condition
            )
            for fate, names in sorted(fates.items())
        )

    def _take(self, name: str, element: xml.Element | None) -> Refusal | None:
        if len(name) > NAME_LIMIT:
            return TOO_LONG
        if element is not None and name in MODIFIED:
            self.modified_ns = MODIFIED[name](element.text or "")
            return NOT_A_VALUE if self.modified_ns is None else None
        if element is not None and name in CREATED:
            self.created_ns = CREATED[name](element.text or "")
            return NOT_A_VALUE if self.created_ns is None else None
        if element is not None and name == CHECKSUMS:
            return None if self._is_known_checksum(element) else PROTECTED
        if name in LIVE:
            return PROTECTED
        self._keep(name, element)
        return None

    def _keep(self, name: str, element: xml.Element | None) -> None:
        if element is None:
            self.set.pop(name, None)
            self.remove[name] = None
        else:
            self.remove.pop(name, None)
            self.set[name] = xml.text_of(element)

    def _is_known_checksum(self, element: xml.Element) -> bool:
        """Rclone sends back with every new time the checksum that it got from us."""
        told = "".join(element.itertext()).split()
        known = self.node.checksum.lower().split()
        return all(checksum.lower() in known for checksum in told)


def parse(root: xml.Element | None) -> Iterator[Instruction]:
    """The instructions of a propertyupdate in document order; `HttpError` 400."""
    if root is None or root.tag != "{DAV:}propertyupdate":
        raise HttpError(400, "a propertyupdate is needed")
    updates = [update for update in root if update.tag in ("{DAV:}set", "{DAV:}remove")]
    if not updates:
        raise HttpError(400, "a propertyupdate sets or removes something")
    for update in updates:
        for prop in update.iterfind("{DAV:}prop"):
            language = _language(prop, update, root)
            for element in prop:
                if language is not None:
                    element.attrib.setdefault(xml.XML_LANG, language)
                is_set = update.tag == "{DAV:}set"
                yield Instruction(element.tag, element if is_set else None)


def _language(*inner_to_outer: xml.Element) -> str | None:
    """The xml:lang in whose scope the properties stand; it is kept with each."""
    languages = (element.get(xml.XML_LANG) for element in inner_to_outer)
    return next((language for language in languages if language is not None), None)


def _carry_out(request: Request, change: Change) -> None:
    try:
        request.tree.properties.change(
            request.path,
            request.permit,
            change.set,
            change.remove,
            modified_ns=change.modified_ns,
            created_ns=change.created_ns,
        )
    except LimitReached as error:
        raise HttpError(507, "the properties of a node have their bounds") from error
