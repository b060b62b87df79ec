"""Bytes in, chunks out: cut by content, so that an edit moves few cuts. Pure.

Where it cuts depends on the bytes, the sizes and the seed, never on how the bytes
were fed. The seed is secret: sizes of chunks shall not tell which file they were.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pyfastcdc import FastCDC

from tgdav.blocks.slabs import Slabs

FIRST = 16 << 10
"""Bytes of room for a stream of which nobody knows how long it is."""


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """Bytes; the drive's for ever, as other sizes would find no equal chunks."""

    min: int = 256 << 10
    average: int = 1 << 20
    max: int = 4 << 20


class Batch(NamedTuple):
    """Chunks in the order of the stream, and the loan in which they lie."""

    chunks: list[memoryview]
    memory: memoryview

    @property
    def size(self) -> int:
        """Bytes of all chunks."""
        return sum(map(len, self.chunks))


class Chunker:
    """Cuts one stream; used by one thread at a time.

    Bytes go straight to where they are cut: into `room`, told by `fill`, until it `is_full`.
    Holds at most `sizes.max` bytes, and less for less; `expected` are the bytes to come,
    if known: memory that need not grow leaves no holes.
    """

    def __init__(
        self, sizes: ChunkSizes, seed: int, slabs: Slabs, *, expected: int | None = None
    ) -> None:
        self._sizes = sizes
        self._seed = seed
        self._slabs = slabs
        self._expected = expected
        # Two mean chunks hold a cut nearly always; where they do not, more are looked at.
        self._least = min(sizes.max, 2 * sizes.average)
        self._goal = self._least
        self._window = slabs.take(min(self._least, expected or 0))
        self.held = 0
        """Bytes that are in no chunk yet."""

    @property
    def room(self) -> memoryview:
        """Where the next bytes go; at least one, unless it is full."""
        if self.held == len(self._window) < self._goal:
            # By doubling: most files are far smaller than the largest chunk.
            self._slabs.give(self._move_to(min(self._goal, max(FIRST, 2 * self.held)), 0))
        return self._window[self.held :]

    @property
    def is_full(self) -> bool:
        """Nothing more goes in before it was cut."""
        return self.held == self._goal

    def fill(self, count: int) -> None:
        """Count bytes that were put at the beginning of `room`."""
        self.held += count
        if self._expected is not None:
            self._expected = max(0, self._expected - count)

    def find(self, *, is_end: bool = False) -> list[int]:
        """Sizes of the chunks that are complete; all of them where the stream ends."""
        if is_end:
            self._expected = 0
        if self.held <= self._sizes.min:
            return [self.held] if is_end and self.held else []
        sizes = [chunk.length for chunk in self._cutter.cut_buf(self._window[: self.held])]
        # A cut at the very end may be there only because the bytes end.
        if not is_end and sizes[-1] < self._sizes.max and sum(sizes) == self.held:
            sizes.pop()
        return sizes

    def cut(self, sizes: list[int]) -> Batch:
        """The chunks of these sizes, which are the caller's with their loan from now on."""
        window, chunks, start = self._window, [], 0
        for size in sizes:
            chunks.append(window[start : start + size])
            start += size
        left = self.held - start
        self._goal = self._least
        while self._goal <= left:
            self._goal = min(self._sizes.max, 2 * self._goal)
        more = self._goal if self._expected is None else self._expected
        kept = self._move_to(min(self._goal, left + more), start)
        return Batch(chunks, kept)

    def _move_to(self, size: int, start: int) -> memoryview:
        """Go on in other memory of so many bytes, with what is held from `start` on."""
        window, left = self._window, self.held - start
        self._window = self._slabs.take(size)
        self._window[:left] = window[start : self.held]
        self.held = left
        return window

    @cached_property
    def _cutter(self) -> FastCDC:
        return _cutter(self._sizes, self._seed)


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
