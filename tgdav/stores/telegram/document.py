"""A pack as a document, and the message around it: names, the trailer, what is found.

The document is the pack and eight bytes that follow it: Telegram takes no empty file,
and a document that ends otherwise is not ours or not whole. Pure.
"""

import re
from typing import Any, NamedTuple

from telethon.tl.types import (
    DocumentAttributeFilename,
    InputDocumentFileLocation,
    Message,
    MessageMediaDocument,
)

from tgdav.stores.base import Buffer, Locator
from tgdav.stores.ledger import locator_start

PART = 512 << 10
"""Bytes of a part: the most that Telegram takes; core.telegram.org/api/files."""
BIG = 10 << 20
"""A larger document is saved in big parts, which live for a day and have no MD5."""
MOST_PARTS = 4000
"""Of one document, for an account without Premium."""
CHUNK = 1 << 20
"""No request for a document's bytes may cross a multiple of this."""
GRAIN = 1 << 10
"""Offsets and sizes of such requests are multiples of this, if they say `precise`."""

TRAILER = b"tgdavtg1"
"""Ends with the version of this form."""
LARGEST_PACK = MOST_PARTS * PART - len(TRAILER)

_LOCATOR = re.compile(r"(\d{1,19})/(\d{1,10})")
_FILE_NAME = re.compile(r"([0-9a-f]{32})\.tgdav")


class Place(NamedTuple):
    """Where one message is: the same for every account."""

    channel_id: int
    message: int

    @property
    def locator(self) -> Locator:
        return Locator(f"{locator_start(self.channel_id)}{self.message}")


class Found(NamedTuple):
    """A document as one session sees it; its references are of no use to another."""

    message: int
    document_id: int
    access_hash: int
    file_reference: bytes
    centre: int
    size: int
    """Bytes of the pack: the document's without the trailer."""
    caption: str
    pack_id: bytes

    @property
    def location(self) -> InputDocumentFileLocation:
        return InputDocumentFileLocation(
            self.document_id, self.access_hash, self.file_reference, thumb_size=""
        )


class Window(NamedTuple):
    """One request's stretch of a document, and what of its answer was asked for."""

    offset: int
    limit: int
    skip: int
    size: int


def place_of(locator: Locator) -> Place | None:
    """What the locator names; None if no Telegram store issued it."""
    found = _LOCATOR.fullmatch(locator)
    return Place(int(found[1]), int(found[2])) if found else None


def file_name(pack_id: bytes) -> str:
    """Tells the pack where the caption is lost, and nothing else."""
    return f"{pack_id.hex()}.tgdav"


def found_in(message: Any) -> Found | None:
    """The pack that a message holds; None if it holds none of ours."""
    if not isinstance(message, Message) or not isinstance(message.media, MessageMediaDocument):
        return None
    document: Any = message.media.document
    name = next(
        (a.file_name for a in document.attributes if isinstance(a, DocumentAttributeFilename)), ""
    )
    ours = _FILE_NAME.fullmatch(name)
    if not ours or document.size < len(TRAILER):
        return None
    return Found(
        message.id,
        document.id,
        document.access_hash,
        document.file_reference,
        document.dc_id,
        document.size - len(TRAILER),
        message.message,
        bytes.fromhex(ours[1]),
    )


def part_count(size: int) -> int:
    """Parts of the document that holds a pack of `size` bytes."""
    return -(-(size + len(TRAILER)) // PART)


def is_big(size: int) -> bool:
    """True if the document that holds a pack of `size` bytes is to be saved in big parts."""
    return size + len(TRAILER) > BIG


def part_of(data: Buffer, part: int) -> Buffer:
    """One part of the document that holds the pack `data`; not copied if it is whole."""
    view = memoryview(data).cast("B")
    piece = view[part * PART : (part + 1) * PART]
    if len(piece) == PART:
        return piece
    # The trailer may begin in one part and end in the next.
    start = part * PART + len(piece) - len(view)
    return bytes(piece) + TRAILER[start : start + PART - len(piece)]


def windows(offset: int, size: int) -> list[Window]:
    """The requests that bring `size` bytes from `offset`, none larger than a chunk."""
    found = []
    stop = offset + size
    while offset < stop:
        start = offset - offset % GRAIN
        edge = min(stop, start - start % CHUNK + CHUNK)
        limit = -(-(edge - start) // GRAIN) * GRAIN
        found.append(Window(start, limit, offset - start, edge - offset))
        offset = edge
    return found
