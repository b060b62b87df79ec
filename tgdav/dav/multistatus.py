"""The text of a 207 Multi-Status (RFC 4918, 13). Pure.

What comes in is XML already: hrefs quoted, values escaped, elements whole. Listings
of any length are written piece by piece, so nothing here holds more than one.
"""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import chain

from tgdav.dav.messages import Reply

OPENING = '<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">'
CLOSING = "</D:multistatus>\n"
XML_TYPE = ("Content-Type", "application/xml; charset=utf-8")

PIECE = 256 << 10
"""Characters that are joined; a piece has at most one response more."""


def reply(responses: Iterable[str]) -> Reply:
    """With its length when one piece holds it all, else a stream.

    Responses are taken as they are sent, but for those of the first piece: what fails
    there fails here.
    """
    pieces = _pieces(chain((OPENING,), responses, (CLOSING,)))
    first = next(pieces)
    if len(first) < PIECE:
        return Reply(207, [XML_TYPE], [first])
    return Reply(207, [XML_TYPE], chain((first,), pieces))


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


def _pieces(texts: Iterable[str]) -> Iterator[bytes]:
    """Each but the last has `PIECE` bytes at least."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= PIECE:
            yield "".join(held).encode()
            held.clear()
            size = 0
    yield "".join(held).encode()
