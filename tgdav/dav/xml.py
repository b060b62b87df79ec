"""XML in and out: bounded bodies to elements, elements and names to text.

No DTD is read, so nothing is expanded and nothing is fetched. The bounds on bytes,
depth and number hold while the body is read. Knows no method and no property.
"""

from xml.etree.ElementTree import Element, ParseError, TreeBuilder, register_namespace, tostring
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from tgdav.dav.messages import Request
from tgdav.dav.saves import require_plain
from tgdav.dav.statuses import HttpError

BODY_LIMIT = 64 << 10
"""Bytes; the longest request of the clients we know has 2 KiB."""
DEPTH_LIMIT = 100
ELEMENT_LIMIT = 500

XML = "{http://www.w3.org/XML/1998/namespace}"
XML_LANG = XML + "lang"

register_namespace("D", "DAV:")


def read(request: Request) -> Element | None:
    """The root element of the body; None when there is no body.

    Raises `HttpError`: 413 before more than `BODY_LIMIT` was read, 415 for a body
    under a content coding, 400 for what is not XML or leans on a DTD.
    """
    data = _read_body(request)
    return parse(data) if data else None


def parse(data: bytes) -> Element:
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        parser.feed(data)
        root: Element = parser.close()
    # Encodings that Python does not know, or that are no single bytes, come as the last two.
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise HttpError(400, "the body is not XML that can be read here") from error
    return root


def text_of(element: Element) -> str:
    """The element as XML that stands by itself: namespaces declared, no tail."""
    tail, element.tail = element.tail, None
    try:
        return tostring(element, encoding="unicode")
    finally:
        element.tail = tail


def empty_element(name: str) -> str:
    """`{namespace}local` as an empty element, where `D` is declared as `DAV:`."""
    namespace, _, local = name.rpartition("}")
    if namespace == "{DAV:":
        return f"<D:{local}/>"
    if namespace == XML[:-1]:  # no other prefix, and no default, may be declared to be it
        return f"<xml:{local}/>"
    return f"<{local} xmlns={quoteattr(namespace[1:])}/>" if namespace else f"<{local}/>"


def child(element: Element, name: str) -> Element | None:
    return element.find(f"{{DAV:}}{name}")


def _read_body(request: Request) -> bytes:
    require_plain(request.headers)
    if (request.body.length or 0) > BODY_LIMIT:
        raise HttpError(413, f"XML bodies have at most {BODY_LIMIT} bytes")
    data = bytearray()
    while piece := request.body.read(BODY_LIMIT + 1 - len(data)):
        data += piece
        if len(data) > BODY_LIMIT:
            raise HttpError(413, f"XML bodies have at most {BODY_LIMIT} bytes")
    return bytes(data)


class _BoundedBuilder(TreeBuilder):
    """Stops a parse that goes too deep or on for too long; comments leave no trace."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_LIMIT:
            raise HttpError(400, f"elements are nested deeper than {DEPTH_LIMIT}")
        if self._elements > ELEMENT_LIMIT:
            raise HttpError(413, f"more than {ELEMENT_LIMIT} elements")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


__all__ = ["XML_LANG", "Element", "child", "empty_element", "escape", "parse", "read", "text_of"]
