"""Bytes in, chunks out: cut by content, so that an edit moves few cuts. Pure.

Where it cuts depends on the bytes, the sizes and the seed, never on how the bytes
were fed. The seed is secret: sizes of chunks shall not tell which file they were.
"""

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
    """

    def __init__(self, sizes: ChunkSizes, seed: int) -> None:
        self._sizes = sizes
        self._cutter = _cutter(sizes, seed)
        self._window = bytearray()
        self._held = 0

    def feed(self, data: Buffer) -> list[bytes]:
        """The chunks that are complete now; `data` is not needed afterwards."""
        rest = memoryview(data).cast("B")
        chunks: list[bytes] = []
        while rest:
            piece = rest[: self._sizes.max - self._held]
            rest = rest[len(piece) :]
            self._hold(piece)
            if self._held == self._sizes.max:
                chunks += self._cut(is_end=False)
        return chunks

    def finish(self) -> list[bytes]:
        """The chunks of what is held still; the stream ends here."""
        return self._cut(is_end=True)

    def _hold(self, piece: memoryview) -> None:
        needed = self._held + len(piece)
        if needed > len(self._window):
            # Grown by doubling: most files are far smaller than the largest chunk.
            grown = bytearray(min(self._sizes.max, 2 * needed))
            memoryview(grown)[: self._held] = memoryview(self._window)[: self._held]
            self._window = grown
        memoryview(self._window)[self._held : needed] = piece
        self._held = needed

    def _cut(self, *, is_end: bool) -> list[bytes]:
        view = memoryview(self._window)[: self._held]
        chunks = []
        start = 0
        for length in [chunk.length for chunk in self._cutter.cut_buf(view)]:
            # A cut at the very end may be there only because the bytes end.
            if start + length == self._held and not is_end and length < self._sizes.max:
                break
            chunks.append(bytes(view[start : start + length]))
            start += length
        self._held -= start
        view[: self._held] = view[start:]
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
