"""One save on its way in: cut, name, look up, seal, place.

Knows nothing of what is being saved. Back-pressure is that `write` takes its time:
it returns when the bytes are kept, or held within the budget.
"""

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from tgdav.blocks import index
from tgdav.blocks.chunker import Chunker
from tgdav.blocks.draft import Draft, Pending, Pieces
from tgdav.blocks.holds import Hold
from tgdav.blocks.index import Known
from tgdav.blocks.placing import Placing
from tgdav.blocks.seal import sealed_bound
from tgdav.blocks.workshop import Workshop
from tgdav.stores.base import Buffer


class BlockWriter:
    """One save; used by one thread, as a context manager.

    Leaving it without `finish` gives everything back and leaves nothing to be seen.
    """

    def __init__(
        self, workshop: Workshop, announced: int | None, reach_stores: Callable[[], None] | None
    ) -> None:
        self._workshop = workshop
        self._announced = announced or 0
        self._reach_stores = reach_stores
        self._chunker = Chunker(
            workshop.drive.chunks,
            workshop.keys.chunk_seed,
            expected=self._announced,
            copy=workshop.slabs.copy,
        )
        self._granted = 0
        self._fed = 0
        self._pieces = Pieces()
        self._placing = Placing(workshop, announced)
        self._hold = Hold(workshop.db, workshop.sizes.hold_after_s, workshop.sizes.hold_for_s)
        self._draft: Draft | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._workshop.budget.give(self._granted)
        self._granted = 0
        if self._draft is None:
            self._placing.abandon()
            self._hold.drop()

    def write(self, data: Buffer) -> None:
        """Take more of the content; blocks while too much waits already.

        Raises `StagingFull`, `DiskFull`, `StoreError`, `DatabaseBusy`; then the save is
        void. `data` is not needed afterwards.
        """
        self._workshop.backlog.make_way(len(data))
        rest = memoryview(data).cast("B")
        while rest:
            part, rest = rest[: self._chunker.room], rest[self._chunker.room :]
            self._fed += len(part)
            if len(part) < self._chunker.room:
                self._chunker.feed(part)
                self._grant(self._chunker.held)
            else:
                with self._workshop.bench.hold(2 * (self._chunker.held + len(part))):
                    self._take(self._chunker.feed(part))

    def finish(self) -> Draft:
        """The whole save, each block recorded already or pending in the draft.

        Raises what `write` raises.
        """
        with self._workshop.bench.hold(2 * self._chunker.held):
            self._take(self._chunker.finish())
        if self._reach_stores:
            self._placing.stage_all()
        pending = self._placing.finish()
        if self._reach_stores:
            self._reach_stores()
        self._pieces.renumber(self._placing.renumbered)
        self._workshop.backlog.add(staged=sum(len(block.sealed) for block in pending))
        self._draft = Draft(self._pieces, pending, self._hold.hold_id)
        return self._draft

    def _grant(self, size: int) -> None:
        """Count what the chunker holds; never waits, as its client may be slow."""
        if size > self._granted:
            self._workshop.budget.take(size - self._granted, granted=True)
            self._granted = size

    def _take(self, chunks: list[Buffer]) -> None:
        if not chunks:
            return
        named = [(self._workshop.keys.block_id(chunk), chunk) for chunk in chunks]
        numbers = self._known([block_id for block_id, _ in named], sum(map(len, chunks)))
        fresh = {block_id: chunk for block_id, chunk in named if block_id not in numbers}
        expected = max(0, self._announced - self._fed)
        for block in self._sealed(fresh):
            numbers[block.block_id] = block.no
            self._placing.add(block, expected)
        for block_id, chunk in named:
            self._pieces.append(numbers[block_id], block_id, len(chunk))
            self._let_go(block_id, chunk)
        if self._hold.is_due:
            self._hold.keep(self._pieces.numbers)

    def _let_go(self, block_id: bytes, chunk: Buffer) -> None:
        if len(chunk) <= self._workshop.sizes.small:
            # Many clients read a small file back as soon as they have saved it.
            self._workshop.cache.keep_opened(block_id, bytes(chunk))
        self._workshop.slabs.give(chunk)

    def _known(self, ids: list[bytes], size: int) -> dict[bytes, int]:
        """Numbers of the blocks that need not be kept again."""
        numbers = {i: no for i in ids if (no := self._placing.number(i)) is not None}
        unknown = {i for i in ids if i not in numbers}
        if size >= self._workshop.sizes.small and unknown:
            with self._workshop.db.read() as connection:
                found = index.find(connection, unknown)
            alive = {i: known for i, known in found.items() if known.is_alive}
            numbers |= self._rescued(alive)
        return numbers

    def _rescued(self, found: dict[bytes, Known]) -> dict[bytes, int]:
        """Their numbers; what gc has condemned is held at once, or taken for unknown."""
        doomed = [known.no for known in found.values() if known.is_condemned]
        kept = self._hold.rescue(doomed) if doomed else set()
        return {
            block_id: known.no
            for block_id, known in found.items()
            if not known.is_condemned or known.no in kept
        }

    def _sealed(self, chunks: dict[bytes, Buffer]) -> Iterator[Pending]:
        """The chunks sealed, in order, under numbers of their own."""
        sealed: Iterable[bytes | memoryview]
        if sum(map(len, chunks.values())) <= self._workshop.sizes.small:
            sealed = map(self._workshop.sealer.seal, chunks.keys(), chunks.values())
        else:
            sealed = self._workshop.sealing.map(self._seal, chunks.keys(), chunks.values())
        numbers = self._workshop.numbers.take(len(chunks)) if chunks else ()
        for no, (block_id, chunk), frame in zip(numbers, chunks.items(), sealed, strict=True):
            yield Pending(no, block_id, len(chunk), frame)

    def _seal(self, block_id: bytes, chunk: Buffer) -> memoryview:
        """The chunk sealed in a slab."""
        slab = self._workshop.slabs.take(sealed_bound(len(chunk)))
        return slab[: self._workshop.sealer.seal_into(slab, block_id, chunk)]
