"""Packs of what is staged, and of the journal: when they are due, and how.

One process at a time does this (a lease). A crash on the way leaves staged what was
staged: a block is unstaged in the transaction that says which pack has it. What the
staging log has not is lost until it is back, and keeps nothing up meanwhile.
"""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from sqlalchemy import Connection, bindparam, insert, select, update

from tgdav.blocks.form import payload
from tgdav.blocks.form.draft import LoggedBlock
from tgdav.blocks.keeping import keep
from tgdav.blocks.local.spool import KeptPack, OpenPack
from tgdav.blocks.local.staging_log import read_log
from tgdav.blocks.rows import lost, staging
from tgdav.blocks.rows.index import batches
from tgdav.blocks.rows.tables import packed
from tgdav.blocks.workshop import Workshop
from tgdav.errors import ReplicaMissing

LOG = logging.getLogger(__name__)

JournalSource = Callable[[Connection, int], tuple[int, bytes]]
"""The journal after a number: the last number of what it gives, and the rows.

It gives a few MiB at most; `b""` when there is nothing newer.
"""

LOADED = 32
"""Staged blocks in memory at once while a pack is made of them: all small, or in the log."""
MOVED = 500
"""Blocks that one transaction unstages; more would keep saves waiting."""

_PACKED = select(packed.c.journal, packed.c.packed_ns)
_FIRST_PACKED = insert(packed).values(no=1)
_LATER_PACKED = update(packed).values(journal=bindparam("up_to"), packed_ns=bindparam("at_ns"))


def no_journal(_connection: Connection, after: int) -> tuple[int, bytes]:
    """The journal of a drive without a tree."""
    return after, b""


class Packing:
    """Makes packs of one database's staged blocks; under a lease, by one thread."""

    def __init__(self, workshop: Workshop, journal: JournalSource) -> None:
        self._workshop = workshop
        self._sizes = workshop.sizes
        self._journal = journal
        # What was never packed has its first pack by the clock like any other.
        self._since_ns = time.time_ns()

    def has_work(self) -> bool:
        """True if anything is staged, or the journal is not packed to its end."""
        with self._workshop.db.read() as connection:
            after, _ = _packed(connection)
            waits = staging.waiting(connection).oldest_ns is not None
            return waits or self._journal(connection, after)[1] != b""

    def is_full(self) -> bool:
        """True if a whole pack's worth is staged, or half of what may be."""
        enough = min(self._sizes.pack_size, self._sizes.staging_limit // 2)
        with self._workshop.db.read() as connection:
            return staging.waiting(connection).bytes >= enough

    def is_old(self) -> bool:
        """True if something has waited for as long as it may."""
        now = time.time_ns()
        with self._workshop.db.read() as connection:
            oldest_ns = staging.waiting(connection).oldest_ns
            if oldest_ns is not None and now - oldest_ns >= self._sizes.flush_age_s * 1e9:
                return True
            after, packed_ns = _packed(connection)
            rests = now - max(packed_ns, self._since_ns) < self._sizes.journal_age_s * 1e9
            return not rests and self._journal(connection, after)[1] != b""

    def packs(self, until_ns: int) -> Iterator[None]:
        """Make packs, one a step, until what was staged by then and the journal of now are in.

        Ends while saves go on: no pack is made for changes alone that came meanwhile.
        Raises what keeping a pack raises; then nothing of that pack changed.
        """
        owes_journal = True
        while True:
            with self._workshop.db.read() as connection:
                numbers = staging.oldest(connection, until_ns, self._sizes.pack_size)
                after, _ = _packed(connection)
                last, rows = self._journal(connection, after)
                has_more = self._journal(connection, last)[1] != b""
            if not numbers and not (rows and owes_journal):
                return
            self._make(numbers, after, last, rows)
            owes_journal = owes_journal and has_more
            yield

    def _make(self, numbers: list[int], after: int, last: int, rows: bytes) -> None:
        pack = self._workshop.spool.open_pack(position=last)
        try:
            self._fill(pack, numbers)
            if rows:
                pack.journal(payload.journal(self._workshop.drive.epoch, after, last, rows))
        except BaseException:
            pack.abandon()
            raise
        kept, _ = keep(self._workshop, pack, lambda connection, _: _mark(connection, last))
        self._unstage(kept)

    def _fill(self, pack: OpenPack, numbers: list[int]) -> None:
        for batch in batches(numbers, LOADED):
            with self._workshop.db.read() as connection:
                blocks = staging.opened_up(connection, batch)
            for block in blocks:
                if isinstance(block, LoggedBlock):
                    self._copy(pack, block)
                else:
                    pack.add(block.no, block.block_id, block.sealed, block.size)

    def _copy(self, pack: OpenPack, block: LoggedBlock) -> None:
        """Put the block into the pack from where it lies in the log."""
        slab = self._workshop.slabs.take(block.sealed_size)
        try:
            read_log(self._workshop.log, block.logged, slab)
        except ReplicaMissing as error:
            LOG.error("block %d is lost until this is back: %s", block.no, error)
            self._workshop.db.write(partial(lost.mislay, block=block))
        else:
            pack.add(block.no, block.block_id, slab, block.size)
        finally:
            self._workshop.slabs.give(slab)

    def _unstage(self, kept: KeptPack) -> None:
        for blocks in batches(kept.blocks, MOVED):
            self._workshop.db.write(partial(staging.move, blocks=blocks))
        self._workshop.backlog.add(staged=-sum(block.sealed_size for block in kept.blocks))
        self.tidy()

    def tidy(self) -> None:
        """Remove the files of the staging log that nothing needs. Raises `StoreError`."""
        if self._workshop.log:
            self._workshop.log.tidy(self._logs)

    def find_again(self) -> None:
        """Stage again what the staging log has again. Raises `StoreError`, `DatabaseBusy`."""
        with self._workshop.db.read() as connection:
            sought = lost.all_mislaid(connection)
        log = self._workshop.log
        found = [each for each in sought if not each.is_lost or (log and log.has(each.logged))]
        if found:
            staged = self._workshop.db.write(partial(lost.stage_again, found=found))
            self._workshop.backlog.add(staged=staged)

    def _logs(self) -> set[int]:
        with self._workshop.db.read() as connection:
            return staging.logs(connection)


def _packed(connection: Connection) -> tuple[int, int]:
    """How far the journal is packed, and since when (ns); (0, 0) at first."""
    row = connection.execute(_PACKED).one_or_none()
    return (row.journal, row.packed_ns) if row else (0, 0)


def _mark(connection: Connection, journal: int) -> None:
    told = {"up_to": journal, "at_ns": time.time_ns()}
    if not connection.execute(_LATER_PACKED, told).rowcount:
        connection.execute(_FIRST_PACKED, {"journal": told["up_to"], "packed_ns": told["at_ns"]})
