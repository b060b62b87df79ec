"""One version's bytes on their way out: locate, fetch ahead, open, give out.

Only what was asked for is fetched, in whole blocks. Whole blocks pass through: small
ones, and those of which a part was wanted, are kept in memory for the next read.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from itertools import count, islice
from typing import NamedTuple, Self

from tgdav.blocks.budget import Budget
from tgdav.blocks.fetching import Chunks, fetch
from tgdav.blocks.rows import index
from tgdav.blocks.rows.index import Located
from tgdav.blocks.workshop import Workshop
from tgdav.errors import ContentLost

PAGE = 32
"""Extents that are located with one look at the index, and the most in one window."""


class Extent(NamedTuple):
    """A stretch of a version, held by a block from `block_offset` on."""

    offset: int
    size: int
    block: int
    block_offset: int


class _Part(NamedTuple):
    """What one block gives: its bytes from `start` to `stop`."""

    block: int
    start: int
    stop: int


class _Window:
    """Parts whose blocks are fetched at once, as they lie side by side in one pack."""

    def __init__(self, part: _Part, block: Located) -> None:
        self.parts = [part]
        self.run = {part.block: block}
        self.replicas = block.replicas
        self.opened_bytes = block.size
        self.sealed_bytes = block.sealed_size
        self.coming: Future[Chunks] | None = None
        self._end = (block.pack, block.offset + block.sealed_size)

    def add(self, part: _Part, block: Located, limit: int) -> bool:
        """Add the part if it costs no further read, and little memory; else False."""
        if len(self.parts) == PAGE:
            return False
        if part.block not in self.run:
            is_next = block.pack is not None and self._end == (block.pack, block.offset)
            if not is_next or self.opened_bytes + block.size > limit:
                return False
            self.run[part.block] = block
            self.opened_bytes += block.size
            self.sealed_bytes += block.sealed_size
            self._end = (block.pack, block.offset + block.sealed_size)
        self.parts.append(part)
        return True


class BlockReader:
    """The bytes of a version from `start` to `stop`, as an iterator of pieces.

    A piece is void once the next one is asked for: its memory is used again. The first is
    there once the reader is, so making it raises as iterating does: `ContentLost`,
    `StoreBusy`, `StoreError`, `DatabaseBusy`; the bytes end short then. Used by one
    thread; `close` it in the end.
    """

    def __init__(
        self, workshop: Workshop, extents: Iterator[Extent], start: int, stop: int
    ) -> None:
        self._workshop = workshop
        self._plan = _plan(workshop, extents, start, stop)
        self._planned: _Window | None = None
        self._ahead: deque[_Window] = deque()
        self._taken = 0
        self._pieces = self._stream()
        self._first = next(self._pieces, None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> memoryview:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._pieces)

    def close(self) -> None:
        """Give back what is held, and ask for nothing more."""
        self._pieces.close()

    def _stream(self) -> Generator[memoryview]:
        try:
            for depth in count(2, 2):
                window = self._next_window()
                if window is None:
                    return
                pieces = self._give_out(window)
                yield next(pieces)
                # Not before the first piece is on its way: most reads end with it.
                self._fetch_ahead(depth)
                yield from pieces
        finally:
            self._give_up()

    def _next_window(self) -> _Window | None:
        """The window to give out now, fetched already or not."""
        if self._ahead:
            return self._ahead.popleft()
        window, self._planned = self._planned or next(self._plan, None), None
        if window is not None:
            size = window.opened_bytes + window.sealed_bytes
            self._workshop.budget.take(size, granted=True)
            self._taken += size
        return window

    def _fetch_ahead(self, depth: int) -> None:
        """Have up to `depth` windows under way, as far as it helps and there is memory."""
        while len(self._ahead) < depth:
            self._planned = window = self._planned or next(self._plan, None)
            if window is None or len(self._ahead) >= self._useful(window):
                return
            size = window.opened_bytes + window.sealed_bytes
            if not self._workshop.budget.offer(size):
                return
            self._taken += size
            self._planned = None
            window.coming = self._threads(window).submit(fetch, self._workshop, window.run)
            self._ahead.append(window)

    def _useful(self, window: _Window) -> int:
        """Windows that may be under way, so that this one comes no later than it could."""
        sizes = self._workshop.sizes
        at_once = self._workshop.pool.read_concurrency(window.replicas)
        return min(max(sizes.prefetch, at_once), sizes.prefetch_most)

    def _threads(self, window: _Window) -> Executor:
        workshop = self._workshop
        is_near = any(workshop.pool.is_local(replica.store) for replica in window.replicas)
        return workshop.transfers if is_near or not window.replicas else workshop.distant

    def _arrived(self, window: _Window) -> Chunks:
        """The window's chunks; small ones are fetched by this very thread."""
        if window.coming is None:
            if window.opened_bytes <= self._workshop.sizes.small:
                return fetch(self._workshop, window.run)
            window.coming = self._threads(window).submit(fetch, self._workshop, window.run)
        return window.coming.result()

    def _give_out(self, window: _Window) -> Iterator[memoryview]:
        workshop = self._workshop
        chunks = self._arrived(window)
        self._give_back(window.sealed_bytes)
        for block, start, stop in window.parts:
            chunk = chunks[block]
            if len(chunk) <= workshop.sizes.piece or stop - start < len(chunk):
                workshop.cache.keep_opened(window.run[block].block_id, bytes(chunk))
            for at in range(start, stop, workshop.sizes.piece):
                with memoryview(chunk)[at : min(at + workshop.sizes.piece, stop)] as piece:
                    yield piece
        self._give_back(window.opened_bytes)
        for chunk in chunks.values():
            workshop.slabs.give(chunk)

    def _give_back(self, size: int) -> None:
        self._workshop.budget.give(size)
        self._taken -= size

    def _give_up(self) -> None:
        """Let go of everything; what is being fetched is let go when it arrives."""
        budget = self._workshop.budget
        for window in self._ahead:
            size = window.opened_bytes + window.sealed_bytes
            if window.coming is not None and not window.coming.cancel():
                window.coming.add_done_callback(partial(_give_late, budget, size))
                self._taken -= size
        self._ahead.clear()
        self._give_back(self._taken)


def _give_late(budget: Budget, size: int, _arrived: object) -> None:
    budget.give(size)


def _plan(
    workshop: Workshop, extents: Iterator[Extent], start: int, stop: int
) -> Iterator[_Window]:
    """What to fetch, in the order of the version, each window as large as is useful."""
    window: _Window | None = None
    for part, block in _located(workshop, _parts(extents, start, stop)):
        if window is None or not window.add(part, block, workshop.sizes.window):
            if window is not None:
                yield window
            window = _Window(part, block)
    if window is not None:
        yield window


def _parts(extents: Iterator[Extent], start: int, stop: int) -> Iterator[_Part]:
    """The parts from `start` to `stop`, and no gap: bytes that nobody has are not zeros."""
    for offset, size, block, block_offset in extents:
        if offset + size <= start:
            continue
        if start >= stop:
            return
        if offset > start:
            break
        end = min(offset + size, stop)
        yield _Part(block, block_offset + start - offset, block_offset + end - offset)
        start = end
    if start < stop:
        raise ContentLost(f"no extent has the bytes from {start} on")


def _located(workshop: Workshop, parts: Iterator[_Part]) -> Iterator[tuple[_Part, Located]]:
    while page := list(islice(parts, PAGE)):
        with workshop.db.read() as connection:
            blocks = index.locate(connection, {part.block for part in page})
        for part in page:
            if part.block not in blocks:
                raise ContentLost(f"block {part.block} is not recorded")
            yield part, blocks[part.block]
