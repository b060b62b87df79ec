"""Whether a pack is what it says it is, down to the last byte of each block.

Reads it once from front to back and keeps one block in memory. Knows neither where the
bytes come from nor what becomes of the answer.
"""

from collections.abc import Callable
from typing import NamedTuple

from blake3 import blake3

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.pack import PackContents, read_pack
from tgdav.blocks.form.payload import CLEAR_ID
from tgdav.blocks.form.seal import Sealer
from tgdav.errors import BlockDamaged, PackDamaged

WINDOW = 1 << 20
"""Bytes that are read at once, from multiples of it: what Telegram gives at once."""

Read = Callable[[int, int], bytes]


class Examined(NamedTuple):
    """A pack all of whose blocks open."""

    contents: PackContents
    digest: bytes


def examine(read: Read, size: int, keys: Keys, sealer: Sealer) -> Examined:
    """What the pack of `size` bytes holds; `read(offset, size)` gives its bytes.

    Raises `PackDamaged` if its index or a block does not open; what `read` raises.
    """
    contents = read_pack(read, size, keys)
    run = _Run(read, size)
    try:
        for entry in contents.entries:
            run.skip(entry.offset - run.position)
            if entry.block_id == CLEAR_ID:
                continue
            chunk = sealer.open(entry.block_id, run.take(entry.sealed_size))
            if len(chunk) != entry.size:
                raise PackDamaged(f"a block of {len(chunk)} bytes that should have {entry.size}")
    except BlockDamaged as error:
        raise PackDamaged(f"pack {contents.pack_id.hex()}: {error}") from error
    run.skip(size - run.position)
    return Examined(contents, run.digest())


class _Run:
    """The bytes in order, and the digest of all that were passed."""

    def __init__(self, read: Read, size: int) -> None:
        self.position = 0
        self._read = read
        self._size = size
        self._digest = blake3()
        self._rest = b""

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        parts = []
        while count:
            parts.append(self._next(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def skip(self, count: int) -> None:
        while count > 0:
            count -= len(self._next(count))

    def digest(self) -> bytes:
        return self._digest.digest()

    def _next(self, most: int) -> bytes:
        """Some bytes, at most so many."""
        if not self._rest:
            at = self.position
            self._rest = self._read(at, min(WINDOW - at % WINDOW, self._size - at))
            self._digest.update(self._rest)
        part, self._rest = self._rest[:most], self._rest[most:]
        self.position += len(part)
        return part
