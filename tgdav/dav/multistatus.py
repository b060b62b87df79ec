"""The text of a 207 Multi-Status (RFC 4918, 13). Pure.

What comes in is XML already: hrefs quoted, values escaped, elements whole. Listings
of any length are written piece by piece, so nothing here holds more than one.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus

from tgdav.dav.messages import Reply

OPENING = '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">'
CLOSING = "</D:multistatus>\n"
XML_TYPE = ("Content-Type", "application/xml; charset=utf-8")


def reply(responses: Iterable[str]) -> Reply:
    """All of it at once, so that the answer carries its length."""
    return Reply(207, [XML_TYPE], ["".join((OPENING, *responses, CLOSING)).encode()])


def stream(pieces: Iterator[str]) -> Reply:
    """One piece after the other, each asked for when the last one is sent."""
    return Reply(207, [XML_TYPE], _encoded(pieces))


def response(href: str, propstats: str) -> str:
    return f"<D:response><D:href>{href}</D:href>{propstats}</D:response>"


def propstat(elements: str, status: int, condition: str = "") -> str:
    """The properties that share a fate; `condition` is the DAV: element that says why."""
    why = f"<D:error><D:{condition}/></D:error>" if condition else ""
    return (
        f"<D:propstat><D:prop>{elements}</D:prop>"
        f"<D:status>{_LINES[status]}</D:status>{why}</D:propstat>"
    )


_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    yield OPENING.encode()
    for piece in pieces:
        yield piece.encode()
    yield CLOSING.encode()
