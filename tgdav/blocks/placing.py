"""Where one save's new blocks go: memory, staging, or packs of its own.

A little rides in memory until the publish; what is more is staged ahead of it, in the
staging log if there is one. Of a big save they go straight to packs in the spool, and
while one pack is being synced and recorded the next one fills.
"""

from concurrent.futures import Future

from sqlalchemy import Connection

from tgdav.blocks.form.draft import Logged, LoggedBlock, Pending, SealedBlock
from tgdav.blocks.keeping import keep
from tgdav.blocks.local.spool import KeptPack, OpenPack
from tgdav.blocks.local.staging_log import StagingLog
from tgdav.blocks.rows import condemned, index, staging
from tgdav.blocks.workshop import Workshop


class Placing:
    """One save's; used by the save's thread. End it by `finish` or `abandon`."""

    def __init__(self, workshop: Workshop, announced: int | None) -> None:
        self._workshop = workshop
        self._sizes = workshop.sizes
        self._pack_size = even_size(announced or 0, workshop.sizes.pack_size)
        self._unrecorded: dict[bytes, int] = {}
        self._gathered: list[SealedBlock] = []
        self._gathered_bytes = 0
        self._logged: list[LoggedBlock] = []
        self._relied_on: list[Logged] = []
        self._staged_bytes = 0
        self._pack: OpenPack | None = None
        self._closing: tuple[OpenPack, Future[tuple[KeptPack, dict[int, int]]]] | None = None
        self.renumbered: dict[int, int] = {}
        """Recorded numbers of blocks that another save recorded first, by ours."""

    def number(self, block_id: bytes) -> int | None:
        """The block's number, if this save placed it and has not recorded it yet."""
        return self._unrecorded.get(block_id)

    def add(self, block: SealedBlock, expected: int) -> None:
        """Place a new block of a save that may bring `expected` more bytes.

        A slab that its sealed bytes lie in is given back. Raises `DiskFull`,
        `StoreError`, `Busy`.
        """
        self._unrecorded[block.block_id] = block.no
        size = block.sealed_size
        if self._pack:
            self._put(block)
        elif self._workshop.log is None or size <= self._sizes.small:
            self._gather(block, expected)
        elif self._staged_bytes + self._gathered_bytes + size + expected <= self._sizes.small_save:
            self._write_down(block, self._workshop.log)
        else:
            self._put(block)

    def finish(self) -> tuple[Pending, ...]:
        """Record what is in packs; return what is recorded nowhere, and outlives the power."""
        if self._pack:
            self._close(self._pack)
        self._settle()
        self._sync()
        # In bytes of their own, as slabs are used again.
        gathered = [block._replace(sealed=bytes(block.sealed)) for block in self._gathered]
        return (*gathered, *self._logged)

    def stage_all(self) -> None:
        """Leave nothing in memory."""
        if self._gathered or self._logged:
            self._stage()

    def abandon(self) -> None:
        """Leave nothing that was not recorded; what was is gc's, or the next save's."""
        self._gathered.clear()
        if self._pack:
            self._pack.abandon()
        if self._closing and self._closing[1].cancel():
            self._closing[0].abandon()

    def let_go(self) -> None:
        """The draft is published, or will never be: the staging log is not relied on any more."""
        if self._workshop.log:
            self._workshop.log.let_go(self._relied_on)

    def _write_down(self, block: SealedBlock, log: StagingLog) -> None:
        """Write the block to the staging log; publishing will say so."""
        logged = log.append(block.sealed)
        self._relied_on.append(logged)
        self._logged.append(LoggedBlock(block.no, block.block_id, block.size, logged))
        self._staged_bytes += logged.size
        self._workshop.slabs.give(block.sealed)

    def _sync(self) -> None:
        if self._workshop.log and self._logged:
            self._workshop.log.sync(block.logged for block in self._logged)

    def _gather(self, block: SealedBlock, expected: int) -> None:
        """Hold the block in memory, as long as that is little."""
        self._gathered.append(block)
        self._gathered_bytes += block.sealed_size
        if self._gathered_bytes <= self._sizes.pending_limit:
            return
        if self._staged_bytes + self._gathered_bytes + expected <= self._sizes.small_save:
            self._stage()
        else:
            for gathered in self._take_gathered():
                self._put(gathered)

    def _put(self, block: SealedBlock) -> None:
        """Write the block into the save's own pack."""
        if self._pack is None:
            self._pack = self._workshop.spool.open_pack()
        self._pack.add(block.no, block.block_id, block.sealed, block.size)
        self._workshop.slabs.give(block.sealed)
        if self._pack.size >= self._pack_size:
            self._close(self._pack)

    def _take_gathered(self) -> list[SealedBlock]:
        taken, self._gathered, self._gathered_bytes = self._gathered, [], 0
        return taken

    def _close(self, pack: OpenPack) -> None:
        """Let another thread sync and record the open pack; one at a time."""
        self._settle()
        self._pack = None
        recorded = self._workshop.keeping.submit(keep, self._workshop, pack, _record)
        self._closing = (pack, recorded)

    def _settle(self) -> None:
        """Wait until the pack before is recorded."""
        if self._closing:
            (_, closing), self._closing = self._closing, None
            kept, renumbered = closing.result()
            self.renumbered |= renumbered
            for block in kept.blocks:
                self._unrecorded.pop(block.block_id, None)

    def _stage(self) -> None:
        """Stage all that is in no pack, ahead of the publish."""
        self._sync()
        self._staged_bytes += self._gathered_bytes
        gathered = self._take_gathered()
        logged, self._logged = self._logged, []
        batch: list[Pending] = [*gathered, *logged]
        self.renumbered |= self._workshop.db.write(
            lambda connection: staging.stage(connection, batch)
        )
        self._workshop.backlog.add(staged=sum(block.sealed_size for block in batch))
        for block in batch:
            self._unrecorded.pop(block.block_id, None)
        for block in gathered:
            self._workshop.slabs.give(block.sealed)


def _record(connection: Connection, kept: KeptPack) -> dict[int, int]:
    known = index.find(connection, [block.block_id for block in kept.blocks])
    index.record_blocks(connection, kept.blocks, known)
    condemned.revive(connection, [each.no for each in known.values()])
    return index.renumbered(kept.blocks, known)


def even_size(announced: int, pack_size: int) -> int:
    """The size of packs that hold `announced` bytes with no small one at the end."""
    if announced <= pack_size:
        return pack_size
    return -(-announced // round(announced / pack_size))
