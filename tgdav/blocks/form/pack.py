"""Many sealed blocks as one immutable object that explains itself. Pure.

`header | blocks | index | trailer`: the header is clear, blocks follow each other
with nothing between, index (`nonce | ciphertext | tag`) and trailer (the same, of
the index's size) are sealed. Who lacks the key sees ids and a size, padded if small.
"""

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import NONCE_SIZE, TAG_SIZE, cipher
from tgdav.errors import PackDamaged
from tgdav.stores.base import Buffer

MAGIC = b"TGDAVPCK"
VERSION = 1
PADDED_BELOW = 16 << 20
"""Bytes; a larger pack was closed for being full, so its size tells little."""
TAIL = 64 << 10
"""Bytes read at once from a pack's end: most indexes are in there."""

_HEADER = struct.Struct(">8sBB8s16s16s")  # magic, version, aead, key id, drive id, pack id
_TRAILER = struct.Struct(">I")  # bytes of the sealed index
_INDEX = struct.Struct(">IIQ")  # entries, bytes of the packed journal, of the journal
_ENTRY = struct.Struct(">32sII")  # block id, bytes of the sealed block, of the chunk
HEADER_SIZE = _HEADER.size
_SEALING = NONCE_SIZE + TAG_SIZE
_TRAILER_SIZE = _TRAILER.size + _SEALING
_SMALLEST = _HEADER.size + _INDEX.size + _SEALING + _TRAILER_SIZE

_CAPTION = re.compile(
    r"tgdav1 ([a-z]{1,16}) ([0-9a-f]{32}) ([0-9a-f]{32}) ([0-9]{1,19})(?: ([0-9]{1,9}))?"
)
_LARGEST = 2**63 - 1
"""What a database takes for a position."""


class PackHeader(NamedTuple):
    """What a pack says to everybody."""

    aead: int
    key_id: bytes
    drive_id: bytes
    pack_id: bytes


class PackEntry(NamedTuple):
    """Where one sealed block lies in its pack."""

    block_id: bytes
    offset: int
    sealed_size: int
    size: int


@dataclass(frozen=True, slots=True)
class PackSummary:
    """A finished pack, as the index records it."""

    size: int
    digest: bytes
    entries: tuple[PackEntry, ...]


@dataclass(frozen=True, slots=True)
class PackContents:
    """What a pack says to who has its key."""

    drive_id: bytes
    pack_id: bytes
    entries: tuple[PackEntry, ...]
    journal: bytes


class PackWriter:
    """Writes one pack from front to back through `write`; used by one thread.

    A pack that was not finished cannot be read. `write` may raise: the pack is then
    void. `random_bytes` is the source of nonces.
    """

    def __init__(
        self,
        write: Callable[[Buffer], object],
        keys: Keys,
        aead: int,
        drive_id: bytes,
        pack_id: bytes,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._write = write
        self._cipher = cipher(aead, keys.pack_key(pack_id))
        self._random_bytes = random_bytes
        self._header = _HEADER.pack(MAGIC, VERSION, aead, keys.key_id, drive_id, pack_id)
        self._digest = blake3()
        self._written = 0
        self._entries: list[PackEntry] = []
        self._journal: list[bytes] = []
        self._put(self._header)

    @property
    def size(self) -> int:
        """Bytes of the pack if it were finished now, before journal and padding."""
        return self._written + _SMALLEST - _HEADER.size + len(self._entries) * _ENTRY.size

    def add(self, block_id: bytes, sealed: Buffer, size: int) -> int:
        """Append a sealed block whose chunk has `size` bytes; return its offset."""
        offset = self._written
        self._put(sealed)
        self._entries.append(PackEntry(block_id, offset, len(sealed), size))
        return offset

    def journal(self, rows: bytes) -> None:
        """Let `rows` ride along, behind those of earlier calls."""
        self._journal.append(rows)

    def finish(self) -> PackSummary:
        """Write index and trailer; nothing may be added afterwards."""
        index = self._index()
        end = self._written + len(index) + _SEALING + _TRAILER_SIZE
        padding = bytes(padded_size(end) - end)
        sealed_index = self._seal(index + padding, b"index")
        self._put(sealed_index)
        self._put(self._seal(_TRAILER.pack(len(sealed_index)), b"trailer"))
        return PackSummary(self._written, self._digest.digest(), tuple(self._entries))

    def _put(self, data: Buffer) -> None:
        self._write(data)
        self._digest.update(data)
        self._written += len(data)

    def _index(self) -> bytes:
        journal = b"".join(self._journal)
        packed = zstandard.ZstdCompressor().compress(journal) if journal else b""
        return b"".join(
            (
                _INDEX.pack(len(self._entries), len(packed), len(journal)),
                *(_ENTRY.pack(e.block_id, e.sealed_size, e.size) for e in self._entries),
                packed,
            )
        )

    def _seal(self, data: bytes, what: bytes) -> bytes:
        nonce = self._random_bytes(NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, data, self._header + what)


def read_header(clear: bytes) -> PackHeader:
    """What the first bytes of a pack say. `PackDamaged` if they are no pack's."""
    if len(clear) < _HEADER.size or not clear.startswith(MAGIC):
        raise PackDamaged("this is no pack")
    _, version, *said = _HEADER.unpack_from(clear)
    if version != VERSION:
        raise PackDamaged(f"a pack of version {version}; this tgdav knows {VERSION}")
    return PackHeader(*said)


def read_pack(read: Callable[[int, int], bytes], size: int, keys: Keys) -> PackContents:
    """What the pack of `size` bytes holds; `read(offset, size)` gives its bytes.

    Reads its two ends only; that each block opens is not looked at. Raises
    `PackDamaged` if it is not whole, not of these keys, or no pack; what `read` raises.
    """
    if size < _SMALLEST:
        raise PackDamaged(f"{size} bytes are no pack")
    clear = read(0, _HEADER.size)
    header = read_header(clear)
    if header.key_id != keys.key_id:
        raise PackDamaged(f"pack {header.pack_id.hex()}: sealed with another drive's key")
    try:
        index_start, index = _read_index(read, size, keys, clear)
        entries, journal = _parse_index(index, index_start)
    except (InvalidTag, ValueError, struct.error, zstandard.ZstdError) as error:
        raise PackDamaged(f"pack {header.pack_id.hex()}: its index does not open") from error
    return PackContents(header.drive_id, header.pack_id, entries, journal)


def _read_index(
    read: Callable[[int, int], bytes], size: int, keys: Keys, clear: bytes
) -> tuple[int, bytes]:
    header = read_header(clear)
    aead = cipher(header.aead, keys.pack_key(header.pack_id))

    def opened(sealed: bytes, what: bytes) -> bytes:
        return aead.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], clear + what)

    tail_start = max(0, size - TAIL)
    tail = read(tail_start, size - tail_start)
    (index_size,) = _TRAILER.unpack(opened(tail[-_TRAILER_SIZE:], b"trailer"))
    start = size - _TRAILER_SIZE - index_size
    if start < _HEADER.size:
        raise ValueError(f"an index of {index_size} bytes")
    near = start >= tail_start
    sealed = tail[start - tail_start : -_TRAILER_SIZE] if near else read(start, index_size)
    return start, opened(sealed, b"index")


def _parse_index(index: bytes, blocks_end: int) -> tuple[tuple[PackEntry, ...], bytes]:
    count, packed_size, journal_size = _INDEX.unpack_from(index)
    entries = []
    offset = _HEADER.size
    journal_start = _INDEX.size + count * _ENTRY.size
    for block_id, sealed_size, size in _ENTRY.iter_unpack(index[_INDEX.size : journal_start]):
        entries.append(PackEntry(block_id, offset, sealed_size, size))
        offset += sealed_size
    if len(entries) != count or offset != blocks_end:
        raise ValueError("the entries do not cover the blocks")
    packed = index[journal_start : journal_start + packed_size]
    return tuple(entries), _unpack_journal(packed, journal_size)


def _unpack_journal(packed: bytes, size: int) -> bytes:
    if not packed and not size:
        return b""
    if zstandard.frame_content_size(packed) != size:
        raise ValueError("the journal's size is not the index's")
    return zstandard.ZstdDecompressor().decompress(packed)


def padded_size(size: int) -> int:
    """`size` rounded up so that it tells little: Padmé, at most 12 % more.

    Keeps as many leading bits as the size of the size has; arXiv:1806.03160, 4.
    """
    if not 2 <= size < PADDED_BELOW:
        return size
    exponent = size.bit_length() - 1
    loose_bits = exponent - exponent.bit_length()
    mask = (1 << loose_bits) - 1
    return (size + mask) & ~mask


class Caption(NamedTuple):
    """What stands beside a pack in its store."""

    kind: str
    drive_id: bytes
    pack_id: bytes
    position: int
    epoch: int = 1


def caption(
    pack_id: bytes, drive_id: bytes, kind: str = "pack", position: int = 0, epoch: int = 1
) -> str:
    """Printable ASCII, at most 120 characters. `position` is the journal's.

    The first epoch goes without saying.
    """
    text = f"tgdav1 {kind} {drive_id.hex()} {pack_id.hex()} {position}"
    return text if epoch == 1 else f"{text} {epoch}"


def parse_caption(text: str) -> Caption | None:
    """What `caption` wrote; None if it did not write this."""
    found = _CAPTION.fullmatch(text)
    if not found:
        return None
    kind, drive_id, pack_id, position, epoch = found.groups()
    if int(position) > _LARGEST:
        return None
    ids = bytes.fromhex(drive_id), bytes.fromhex(pack_id)
    return Caption(kind, *ids, int(position), int(epoch or 1))
