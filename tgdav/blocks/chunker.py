"""Bytes in, chunks out: cut by content, so that an edit moves few cuts. Pure.

Where it cuts depends on the bytes, the sizes and the seed, never on how the bytes
were fed. The seed is secret: sizes of chunks shall not tell which file they were.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pyfastcdc import FastCDC

from tgdav.stores.base import Buffer


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """Bytes; the drive's for ever, as other sizes would find no equal chunks."""

    min: int = 256 << 10
    average: int = 1 << 20
    max: int = 4 << 20


class Chunker:
    """Cuts one stream; used by one thread at a time.

    Holds at most `sizes.max` bytes beside what it is being fed, and less for less.
    `expected` are the bytes to come, if known: memory that need not grow leaves no holes.
    A chunk is what `copy` makes of its place in there.
    """

    def __init__(
        self,
        sizes: ChunkSizes,
        seed: int,
        *,
        expected: int = 0,
        copy: Callable[[memoryview], Buffer] = bytes,
    ) -> None:
        self._sizes = sizes
        self._copy = copy
        self._cutter = _cutter(sizes, seed)
        # Two mean chunks hold a cut nearly always; where they do not, more are looked at.
        self._least = min(sizes.max, 2 * sizes.average)
        self._goal = self._least
        self._window = bytearray(min(self._least, expected))
        self.held = 0
        """Bytes that are in no chunk yet."""

    @property
    def room(self) -> int:
        """Bytes that may be fed before it looks for cuts."""
        return self._goal - self.held

    def feed(self, data: Buffer) -> list[Buffer]:
        """The chunks that are complete now; `data` is not needed afterwards."""
        rest = memoryview(data).cast("B")
        chunks: list[Buffer] = []
        while rest:
            piece = rest[: self.room]
            rest = rest[len(piece) :]
            self._hold(piece)
            if not self.room:
                cut = self._cut(is_end=False)
                self._goal = self._least if cut else min(self._sizes.max, 2 * self._goal)
                chunks += cut
        return chunks

    def finish(self) -> list[Buffer]:
        """The chunks of what is held still; the stream ends here."""
        return self._cut(is_end=True)

    def _hold(self, piece: memoryview) -> None:
        needed = self.held + len(piece)
        if needed > len(self._window):
            # Grown by doubling: most files are far smaller than the largest chunk.
            grown = bytearray(min(self._sizes.max, 2 * needed))
            memoryview(grown)[: self.held] = memoryview(self._window)[: self.held]
            self._window = grown
        memoryview(self._window)[self.held : needed] = piece
        self.held = needed

    def _cut(self, *, is_end: bool) -> list[Buffer]:
        view = memoryview(self._window)[: self.held]
        chunks = []
        start = 0
        for length in [chunk.length for chunk in self._cutter.cut_buf(view)]:
            # A cut at the very end may be there only because the bytes end.
            if start + length == self.held and not is_end and length < self._sizes.max:
                break
            chunks.append(self._copy(view[start : start + length]))
            start += length
        self.held -= start
        view[: self.held] = view[start:]
        return chunks


def _cutter(sizes: ChunkSizes, seed: int) -> FastCDC:
    # FastCDC's "average" is where cuts become likely, not their mean. With strength 2
    # and a minimum of a quarter the mean is 0.99 of `average` (measured: 15.9 of 16 KiB),
    # the deviation 0.3 of it, and an edit costs a fifth less than with strength 1.
    likely_from = sizes.min + (sizes.average - sizes.min) * 3 // 4
    return FastCDC(
        likely_from,
        min_size=sizes.min,
        max_size=sizes.max,
        normalized_chunking=2,
        seed=seed,
    )
