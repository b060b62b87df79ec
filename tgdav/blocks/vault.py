"""The room's one face: bytes in, kept; bytes out, as they were.

Knows no names: what a draft belongs to is for those to say who publish it.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import Connection

from tgdav.blocks.budget import Budget
from tgdav.blocks.flushing.flush import Flusher
from tgdav.blocks.flushing.horizon import LOOK_EVERY_S
from tgdav.blocks.flushing.packing import JournalSource, no_journal
from tgdav.blocks.form.draft import Draft
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import Sealer
from tgdav.blocks.local.backlog import Backlog
from tgdav.blocks.local.cache import BlockCache
from tgdav.blocks.local.spool import Spool
from tgdav.blocks.local.staging_log import StagingLog
from tgdav.blocks.progress import Progress, unseen
from tgdav.blocks.reader import BlockReader, Extent
from tgdav.blocks.rounds import Rounds
from tgdav.blocks.rows import holds, index, roster, staging, status
from tgdav.blocks.rows.drive import Drive
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.roster import OpenStore, Roster
from tgdav.blocks.rows.status import StoreStatus, VaultStatus
from tgdav.blocks.sizes import VaultSizes
from tgdav.blocks.slabs import Slabs
from tgdav.blocks.workshop import Workshop
from tgdav.blocks.writer import BlockWriter
from tgdav.db import Database
from tgdav.errors import PackDamaged, ReplicaMissing, TgdavError
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.pool import Replica, StorePool

__all__ = [
    "BlockReader",
    "BlockWriter",
    "Draft",
    "Extent",
    "JournalSource",
    "OpenStore",
    "StoreStatus",
    "Vault",
    "VaultSizes",
    "VaultStatus",
]

LOG = logging.getLogger(__name__)

LOOK_S = 5.0
"""How long a start waits for the stores to say what they know."""
SEALING_THREADS = 6
"""As many as the bench has usual batches for; some wait for the disk."""
KEEPING_THREADS = 4
TRANSFER_THREADS = 8
DISTANT_THREADS = 44


class Vault:
    """Keeps what is written and gives it back. Any thread.

    `spool_no` is the number of `spool` among the stores. With `in_stores` a save is
    answered only when the promised stores have it. `journal` rides along in packs.
    `open_store` opens what the `stores` table names; without it the pool stays as it is.
    """

    def __init__(
        self,
        db: Database,
        keys: Keys,
        drive: Drive,
        *,
        pool: StorePool,
        spool: DirectoryStore,
        spool_no: int,
        log_folder: Path | None = None,
        cache: BlockCache,
        budget: Budget,
        sizes: VaultSizes | None = None,
        in_stores: bool = False,
        journal: JournalSource = no_journal,
        open_store: OpenStore | None = None,
    ) -> None:
        sizes = sizes or VaultSizes()
        self._db = db
        self._pool = pool
        self._sealing = _threads(SEALING_THREADS, "sealing")
        self._keeping = _threads(KEEPING_THREADS, "keeping")
        self._transfers = _threads(TRANSFER_THREADS, "transfer")
        self._distant = _threads(DISTANT_THREADS, "distant")
        self._workshop = Workshop(
            db=db,
            drive=drive,
            keys=keys,
            sealer=Sealer(keys, drive.aead),
            numbers=Numbers(db, "block"),
            spool=Spool(spool_no, spool, keys, drive, Numbers(db, "pack", 10)),
            log=StagingLog(log_folder, Numbers(db, "log", 10)) if log_folder else None,
            pool=pool,
            cache=cache,
            backlog=Backlog(db, spool_no, sizes),
            sizes=sizes,
            budget=budget,
            bench=Budget(max(budget.limit // 4, 2 * drive.chunks.max)),
            in_stores=in_stores,
            slabs=Slabs(budget.limit // 8),
            sealing=self._sealing,
            keeping=self._keeping,
            transfers=self._transfers,
            distant=self._distant,
        )
        self._flusher = Flusher(self._workshop, journal)
        self._roster = Roster(db, pool, open_store, sizes.refresh_s) if open_store else None
        self._refreshing = Rounds("stores", self.refresh, sizes.refresh_s)
        self._looking = Rounds("horizon", self._look, LOOK_EVERY_S)
        self._is_started = False
        pool.set(spool_no, spool, writable=False)
        pool.on_bad = self._suspect

    @property
    def workshop(self) -> Workshop:
        """What maintenance shares with saves and reads."""
        return self._workshop

    def writer(self, announced: int | None = None) -> BlockWriter:
        """A save of `announced` bytes, or of nobody knows how many.

        Raises `StagingFull` at once if there is no room for any, `StoresAhead`.
        """
        self._flusher.horizon.require_good()
        self._workshop.backlog.require_room()
        reach_stores = self._flusher.reach_quorum if self._workshop.in_stores else None
        return BlockWriter(self._workshop, announced, reach_stores)

    def adopt(self, connection: Connection, draft: Draft) -> list[tuple[int, int, int, int]]:
        """`staging.adopt`: the draft becomes part of this transaction."""
        return staging.adopt(connection, draft)

    def release(self, draft: Draft) -> None:
        """Let go of a draft that will not be published."""
        if draft.hold_id is not None:
            holds.release(self._db, draft.hold_id)

    def reader(self, extents: Iterator[Extent], start: int, stop: int) -> BlockReader:
        """The bytes from `start` to `stop` of what `extents` make up, from `start` on.

        Returns with the first piece at hand. Raises `ContentLost`, `StoreBusy`,
        `StoreError`, `DatabaseBusy`.
        """
        return BlockReader(self._workshop, extents, start, stop)

    def flush(self, progress: Progress = unseen) -> None:
        """`Flusher.flush`: what was kept before now is in the stores on return."""
        self._flusher.flush(progress)

    def flush_beside(self, progress: Progress = unseen, patience_s: float = 120.0) -> None:
        """`Flusher.flush_beside`, where another process has the stores."""
        self._flusher.flush_beside(progress, patience_s)

    def begin_drain(self, store: int) -> None:
        """`roster.begin_drain`: whoever has the stores empties this one from now on."""
        roster.begin_drain(self._db, store, self._pool.copies)

    def end_drain(self, store: int) -> None:
        """`roster.end_drain`: use the store again."""
        roster.end_drain(self._db, store)

    def drain(
        self,
        store: int,
        progress: Progress = unseen,
        patience_s: float = 3600.0,
        *,
        beside: bool = False,
    ) -> None:
        """`Flusher.drain`: a store that is draining is gone on return."""
        if not beside:
            self.refresh()
        self._flusher.drain(store, progress, patience_s, beside=beside)

    def remove_store(self, store: int) -> None:
        """`roster.remove`: give up a store that holds nothing."""
        roster.remove(self._db, store, self._pool.copies)

    def require_current(self) -> None:
        """Raise `StoresAhead` if a store knows a newer state than the database."""
        self._flusher.horizon.require()

    def require_newest(self) -> None:
        """As `require_current`, by a look at all that the stores have now: before deleting."""
        self._flusher.horizon.look(None)

    def refresh(self) -> None:
        """Use the stores that the database names by now."""
        if self._roster:
            self._roster.refresh()

    def start(self) -> None:
        """Flush by the clock from now on. In one process for each spool.

        What the stores know is asked first; one that does not answer holds nothing up.
        """
        self._is_started = True
        looking = threading.Thread(target=self._look, name="first look", daemon=True)
        looking.start()
        looking.join(LOOK_S)
        self._flusher.start()
        self._refreshing.start()
        self._looking.start()

    def close(self, grace_s: float = 10.0) -> None:
        """Stop; if it was started, flush what `grace_s` allows. Leave the rest for later.

        No save or read may be running. The pool and the database are their owners'.
        """
        for rounds in (self._refreshing, self._looking):
            rounds.close(grace_s)
        if self._is_started:
            self._is_started = False
            flushing = threading.Thread(target=self._flush_last, name="last flush", daemon=True)
            flushing.start()
            flushing.join(grace_s)
        self._flusher.close(grace_s)
        for threads in (self._sealing, self._keeping, self._transfers, self._distant):
            threads.shutdown(cancel_futures=True)
        if self._workshop.log:
            self._workshop.log.close()

    def status(self) -> VaultStatus:
        """Figures of the whole drive, and of this process's memory."""
        memory = self._workshop.budget.used + self._workshop.bench.used
        with self._db.read() as connection:
            return status.read_status(connection, self._pool.copies, memory)

    def stores(self) -> list[StoreStatus]:
        """Every store and what it keeps."""
        with self._db.read() as connection:
            return status.list_stores(connection)

    def _look(self) -> None:
        with contextlib.suppress(TgdavError):  # it is noted: what is kept is still read
            self._flusher.horizon.look()

    def _flush_last(self) -> None:
        try:
            self.flush()
        except TgdavError as error:
            LOG.warning("not all is in the stores, it goes on at the next start: %s", error)

    def _suspect(self, replica: Replica, error: Exception) -> None:
        """Note a replica that is missing or damaged; not one that is out of reach."""
        if isinstance(error, ReplicaMissing | PackDamaged):
            with contextlib.suppress(TgdavError):  # a read is not to fail for a note
                if self._db.write(lambda connection: index.suspect(connection, replica)):
                    LOG.warning("store %d: replica %s: %s", replica.store, replica.locator, error)


def _threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads on this process's CPUs: one begins on those of its starter, which may be one."""
    if not hasattr(os, "sched_setaffinity"):
        return ThreadPoolExecutor(count, name)
    return ThreadPoolExecutor(count, name, os.sched_setaffinity, (0, os.sched_getaffinity(0)))
