"""One save on its way in: cut, name, look up, seal, place.

Knows nothing of what is being saved. Back-pressure is that `filled` takes its time: what
was cut is worked on by another thread while the next comes, and by one at a time.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Self

from tgdav.blocks.form.chunker import Batch, Chunker
from tgdav.blocks.form.draft import Draft, Pieces, SealedBlock
from tgdav.blocks.placing import Placing
from tgdav.blocks.rows import index
from tgdav.blocks.rows.holds import Hold
from tgdav.blocks.rows.index import Known
from tgdav.blocks.workshop import Workshop
from tgdav.stores.base import Buffer


class BlockWriter:
    """One save; used by one thread, as a context manager.

    Leaving it without `finish` gives everything back and leaves nothing to be seen. What
    `finish` returns is to be published before it is left.
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
            workshop.slabs,
            expected=announced,
        )
        self._working: Future[None] | None = None
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
        if self._working:
            wait([self._working])
        if self._draft is None:
            self._placing.abandon()
            self._hold.drop()
        self._placing.let_go()

    @property
    def room(self) -> memoryview:
        """Where the next bytes of the content go, at least one; `filled` says how many did."""
        return self._chunker.room

    def filled(self, count: int) -> None:
        """Take the bytes at the beginning of `room`, which is elsewhere from now on.

        Blocks while too much waits already. Raises `StagingFull`, `DiskFull`,
        `StoreError`, `DatabaseBusy`, perhaps for what came before; then the save is void.
        """
        self._workshop.backlog.make_way(count)
        self._fed += count
        self._chunker.fill(count)
        if self._chunker.is_full:
            self._hand_over(self._chunker.find())
        else:
            self._grant(self._chunker.held)

    def write(self, data: Buffer) -> None:
        """As `filled`, of bytes that lie elsewhere; `data` is not needed afterwards."""
        rest = memoryview(data).cast("B")
        while rest:
            room = self.room[: len(rest)]
            room[:] = rest[: len(room)]
            rest = rest[len(room) :]
            self.filled(len(room))

    def finish(self) -> Draft:
        """The whole save, each block recorded already or pending in the draft.

        Raises what `filled` raises.
        """
        self._hand_over(self._chunker.find(is_end=True))
        self._settle()
        if self._reach_stores:
            self._placing.stage_all()
        pending = self._placing.finish()
        if self._reach_stores:
            self._reach_stores()
        self._pieces.renumber(self._placing.renumbered)
        self._workshop.backlog.add(staged=sum(block.sealed_size for block in pending))
        self._draft = Draft(self._pieces, pending, self._hold.hold_id)
        return self._draft

    def _grant(self, size: int) -> None:
        """Count what the chunker holds; never waits, as its client may be slow."""
        if size > self._granted:
            self._workshop.budget.take(size - self._granted, granted=True)
            self._granted = size

    def _hand_over(self, sizes: list[int]) -> None:
        """Have chunks of these sizes worked on, as soon as those before are done."""
        self._settle()
        batch, expected = self._chunker.cut(sizes), max(0, self._announced - self._fed)
        self._workshop.bench.take(2 * batch.size)
        if batch.size <= self._workshop.sizes.small:
            self._work(batch, expected)  # it takes less than another thread takes to wake
        else:
            self._working = self._workshop.sealing.submit(self._work, batch, expected)

    def _settle(self) -> None:
        """Wait for the batch under way; raises what it raised."""
        working, self._working = self._working, None
        if working:
            working.result()

    def _work(self, batch: Batch, expected: int) -> None:
        """Keep the chunks; give back their memory, and what they have of the bench."""
        size = 2 * batch.size
        try:
            self._keep(batch, expected)
        finally:
            for chunk in batch.chunks:
                chunk.release()
            self._workshop.slabs.give(batch.memory)
            self._workshop.bench.give(size)

    def _keep(self, batch: Batch, expected: int) -> None:
        named = [(self._workshop.keys.block_id(chunk), chunk) for chunk in batch.chunks]
        numbers = self._known([block_id for block_id, _ in named], batch.size)
        fresh = {block_id: chunk for block_id, chunk in named if block_id not in numbers}
        for block in self._sealed(fresh):
            numbers[block.block_id] = block.no
            self._placing.add(block, expected)
        for block_id, chunk in named:
            self._pieces.append(numbers[block_id], block_id, len(chunk))
            if len(chunk) <= self._workshop.sizes.small:
                # Many clients read a small file back as soon as they have saved it.
                self._workshop.cache.keep_opened(block_id, bytes(chunk))
        if self._hold.is_due:
            self._hold.keep(self._pieces.numbers)

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

    def _sealed(self, chunks: dict[bytes, memoryview]) -> Iterator[SealedBlock]:
        """The chunks sealed, in order, under numbers of their own."""
        numbers = self._workshop.numbers.take(len(chunks)) if chunks else ()
        for no, (block_id, chunk) in zip(numbers, chunks.items(), strict=True):
            yield SealedBlock(no, block_id, len(chunk), self._seal(block_id, chunk))

    def _seal(self, block_id: bytes, chunk: memoryview) -> Buffer:
        """The chunk sealed; in a slab, unless it is small."""
        if len(chunk) <= self._workshop.sizes.small:
            return self._workshop.sealer.seal(block_id, chunk)
        return self._workshop.sealer.seal_into(self._workshop.slabs.take, block_id, chunk)
