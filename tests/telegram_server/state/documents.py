"""Stored files, and the rules by which a range of one is read.

A file keeps the parts that it was sent in; messages and copies share it, as on Telegram.
Source: core.telegram.org/api/files#downloading-files.
"""

from dataclasses import dataclass, field

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.switches import Switches

CHUNK = 1 << 20
"""No request reads across a multiple of this."""
FIRST_DOCUMENT = 5_000_000_000_000_001


@dataclass(eq=False)
class Document:
    document_id: int
    data_centre: int
    """The uploader's home, where alone it can be read."""
    date: float
    name: str
    mime_type: str
    parts: list[bytes]
    size: int
    """What messages say; a truncated file may hold less."""
    messages: set[tuple[int, int]] = field(default_factory=set)
    """Channel and id of each message that shows it."""
    orphaned_at: float = 0
    """When the last message that showed it went, or when it was made."""
    is_lost: bool = False
    """Telegram has removed it, whatever messages say."""

    def __post_init__(self) -> None:
        self.held = sum(map(len, self.parts))

    def read(self, offset: int, limit: int) -> bytes | memoryview:
        """What there is of that range; shorter at the end."""
        part_size = len(self.parts[0])
        end = min(offset + limit, self.held)
        if offset >= end:
            return b""
        first, last = offset // part_size, (end - 1) // part_size
        at = offset - first * part_size
        if first == last:
            return memoryview(self.parts[first])[at : at + end - offset]
        middle = self.parts[first + 1 : last]
        tail = memoryview(self.parts[last])[: end - last * part_size]
        return b"".join((memoryview(self.parts[first])[at:], *middle, tail))

    def flip(self, at: int, bit: int) -> None:
        """Turn one bit of one byte. Raises `ValueError` if the file is shorter."""
        number, within = divmod(at, len(self.parts[0]))
        if at < 0 or number >= len(self.parts) or within >= len(self.parts[number]):
            raise ValueError(f"no byte {at} in {self.held}")
        damaged = bytearray(self.parts[number])
        damaged[within] ^= 1 << bit
        self.parts[number] = bytes(damaged)

    def truncate(self, size: int) -> None:
        """Keep the first `size` bytes, at least one."""
        number, within = divmod(max(size, 1) - 1, len(self.parts[0]))
        del self.parts[number + 1 :]
        self.parts[number] = self.parts[number][: within + 1]
        self.held = sum(map(len, self.parts))


class Documents:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._all: dict[int, Document] = {}
        self._orphans: dict[int, Document] = {}
        """Those that no message shows, oldest first."""
        self._next_id = FIRST_DOCUMENT

    def add(self, data_centre: int, name: str, mime_type: str, parts: list[bytes]) -> Document:
        """A new file, shown by no message yet. The list of parts is its own from now on."""
        self._sweep()
        now = self._clock.now()
        size = sum(map(len, parts))
        document = Document(self._next_id, data_centre, now, name, mime_type, parts, size)
        self._all[document.document_id] = document
        self._orphan(document)
        self._next_id += 1
        return document

    def get(self, document_id: int) -> Document | None:
        """None if there is none, or no more."""
        document = self._all.get(document_id)
        return None if document and document.is_lost else document

    def show(self, document: Document, channel_id: int, message_id: int) -> None:
        """Note that a message shows the file."""
        document.messages.add((channel_id, message_id))
        self._orphans.pop(document.document_id, None)

    def hide(self, document: Document, channel_id: int, message_id: int) -> None:
        """Note that it does no more. Who has a file reference reads on until that expires (R)."""
        document.messages.discard((channel_id, message_id))
        if not document.messages:
            self._orphan(document)

    def contents(self) -> list[list[bytes]]:
        return [document.parts for document in self._all.values()]

    def _orphan(self, document: Document) -> None:
        document.orphaned_at = self._clock.now()
        self._orphans[document.document_id] = document

    def _sweep(self) -> None:
        oldest = self._clock.now() - self._switches.reference_life_s
        for document_id, document in list(self._orphans.items()):
            if document.orphaned_at >= oldest:
                break
            del self._all[document_id], self._orphans[document_id]


def check_range(offset: int, limit: int, *, precise: bool) -> None:
    """Raises `RpcError` OFFSET_INVALID, LIMIT_INVALID. U: which of them for a range too wide."""
    unit = 1024 if precise else 4096
    if offset < 0 or offset % unit:
        raise RpcError(400, "OFFSET_INVALID")
    if not 0 < limit <= CHUNK or limit % unit or (not precise and CHUNK % limit):
        raise RpcError(400, "LIMIT_INVALID")
    if offset // CHUNK != (offset + limit - 1) // CHUNK:
        raise RpcError(400, "LIMIT_INVALID")
