"""One whole pack out of several damaged replicas: each block from one where it opens.

Replicas of a pack are the same bytes, so parts of one stand for the same parts of another.
Whether the result is the pack, its digest has to say.
"""

from collections.abc import Sequence

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.pack import PackContents, read_pack
from tgdav.blocks.form.seal import Sealer
from tgdav.blocks.form.soundness import WINDOW, Read
from tgdav.errors import BlockDamaged, PackDamaged, ReplicaMissing


class Patchwork:
    """The replicas of one pack, by their reads. Used by one thread."""

    def __init__(self, keys: Keys, sealer: Sealer, replicas: Sequence[Read]) -> None:
        self._keys = keys
        self._sealer = sealer
        self._replicas = replicas

    def fill(self, whole: memoryview) -> bool:
        """Fill `whole`, of the pack's size; False if a part is damaged everywhere.

        Raises what the reads raise, but for a replica that ends early.
        """
        for read in self._replicas:
            contents = self._contents(read, len(whole))
            if contents is not None and self._copy_around(read, contents, whole):
                return self._fill_blocks(contents, whole)
        return False

    def _contents(self, read: Read, size: int) -> PackContents | None:
        try:
            return read_pack(read, size, self._keys)
        except (PackDamaged, ReplicaMissing):
            return None

    def _copy_around(self, read: Read, contents: PackContents, whole: memoryview) -> bool:
        """Copy what stands before and behind the blocks, which has been opened just now."""
        if not contents.entries:
            start = stop = 0
        else:
            start = contents.entries[0].offset
            stop = contents.entries[-1].offset + contents.entries[-1].sealed_size
        whole[:start] = read(0, start)
        for at in range(stop, len(whole), WINDOW):
            size = min(WINDOW, len(whole) - at)
            whole[at : at + size] = read(at, size)
        return True

    def _fill_blocks(self, contents: PackContents, whole: memoryview) -> bool:
        return all(
            self._fill_block(entry.block_id, whole, entry.offset, entry.sealed_size)
            for entry in contents.entries
        )

    def _fill_block(self, block_id: bytes, whole: memoryview, offset: int, size: int) -> bool:
        for read in self._replicas:
            try:
                sealed = read(offset, size)
                self._sealer.open(block_id, sealed)
            except (BlockDamaged, ReplicaMissing):
                continue
            whole[offset : offset + size] = sealed
            return True
        return False
