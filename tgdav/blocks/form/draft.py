"""A save that is complete but not published: which blocks, in order. Pure.

Compact, as a file of a tebibyte has a million blocks: 44 bytes for each.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tgdav.stores.base import Buffer

ID_SIZE = 32


class Piece(NamedTuple):
    """One chunk of the content, in order: the id and the bytes of its block."""

    block_id: bytes
    size: int


class Logged(NamedTuple):
    """Where a sealed block lies in the staging log: file, first byte, bytes."""

    log: int
    offset: int
    size: int


class SealedBlock(NamedTuple):
    """A sealed block in memory."""

    no: int
    block_id: bytes
    size: int
    sealed: Buffer

    @property
    def sealed_size(self) -> int:
        return len(self.sealed)


class LoggedBlock(NamedTuple):
    """A sealed block in the staging log."""

    no: int
    block_id: bytes
    size: int
    logged: Logged

    @property
    def sealed_size(self) -> int:
        return self.logged.size


Pending = SealedBlock | LoggedBlock
"""A sealed block that is recorded nowhere; publishing the draft stages it."""


class Pieces:
    """The chunks of a save as they come, with their blocks' numbers."""

    __slots__ = ("_ids", "numbers", "size", "sizes")

    def __init__(self) -> None:
        self.size = 0
        self.numbers = array("q")
        self.sizes = array("I")
        self._ids = bytearray()

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Piece]:
        for at, size in enumerate(self.sizes):
            yield Piece(bytes(self._ids[at * ID_SIZE : (at + 1) * ID_SIZE]), size)

    def append(self, no: int, block_id: bytes, size: int) -> None:
        self.numbers.append(no)
        self.sizes.append(size)
        self._ids += block_id
        self.size += size

    def renumber(self, numbers: Mapping[int, int]) -> None:
        """Name by its recorded number each block that turned out to have one already."""
        if numbers:
            self.numbers = array("q", (numbers.get(no, no) for no in self.numbers))


@dataclass(frozen=True, slots=True)
class Draft:
    """What a writer hands over. Publishing it does not change it."""

    pieces: Pieces
    pending: tuple[Pending, ...]
    hold_id: bytes | None

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.pieces.size
