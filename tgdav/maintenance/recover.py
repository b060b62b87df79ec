"""The drive from its stores and its key: index, names, properties, users, versions.

Everything is written to an empty database, a transaction a step, so that it goes on
where it was stopped. The drive's own row comes last: before it there is no drive.
"""

import secrets
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from tgdav.blocks.form import payload
from tgdav.blocks.form.chunker import ChunkSizes
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import best_aead
from tgdav.blocks.recovery import heads
from tgdav.blocks.recovery.rebuilding import Progress, Rebuilding
from tgdav.blocks.rows import drive as drives
from tgdav.blocks.rows import lost, snapshots
from tgdav.blocks.rows.drive import Beginning, Drive
from tgdav.blocks.rows.tables import blocks, found, numbers, packed, packs, recovery
from tgdav.db import Database
from tgdav.errors import (
    RecoveryIncomplete,
)
from tgdav.maintenance import lineage
from tgdav.maintenance.lineage import FOREVER, Gap, Lineage
from tgdav.maintenance.restoring import NAMED, Report, Restoring, begin, is_under_way
from tgdav.stores.pool import StorePool
from tgdav.tree import expiry, replaying
from tgdav.tree.tables import extents, journal, nodes, trash, trashed, unsaved, versions

SLACK = 1000
"""Numbers that are passed over, as the lost machine may have given out some."""

_SET_NUMBER = update(numbers).where(numbers.c.kind == bindparam("of_kind"))
_PG_SEQUENCE = text("SELECT setval(pg_get_serial_sequence('journal', 'no'), :position)")
_LOST_BLOCKS = (
    select(func.count(blocks.c.no.distinct()))
    .join(packs, packs.c.no == blocks.c.pack)
    .join(extents, extents.c.block == blocks.c.no)
    .where(packs.c.kind == "lost", extents.c.version.not_in(select(unsaved.c.version)))
)
_LOST_PACKS = select(func.count()).select_from(found).where(found.c.trouble != "")

__all__ = ["Recovered", "Recovery", "begin", "is_under_way"]


class Recovered(NamedTuple):
    """What a recovery brought back, and what it could not."""

    drive: Drive
    position: int
    """The last change that was found."""
    snapshot_position: int
    """That of the snapshot it began with; 0: there was none."""
    replayed: int
    """Changes after it, in this run."""
    unsaved: int
    """Saves whose content had not reached a store."""
    unsaved_names: list[str]
    lost_blocks: int
    notes: list[str]
    """What was found damaged or missing on the way."""


class Recovery:
    """Recovers one drive into a database that has none. One thread.

    `chunks` is how the drive is to cut if no head says it. With `accept_loss` it goes on
    without what is missing; else it stops before anything is given up.
    """

    def __init__(
        self,
        db: Database,
        pool: StorePool,
        keys: Keys,
        drive_id: bytes,
        *,
        chunks: ChunkSizes,
        accept_loss: bool = False,
        progress: Progress = lambda _stage, _done, _of: None,
    ) -> None:
        self._db = db
        self._keys = keys
        self._drive_id = drive_id
        self._chunks = chunks
        self._accepts_loss = accept_loss
        self._progress = progress
        self._rebuilding = Rebuilding(db, pool, keys, drive_id, progress)
        self._stores = len(pool.numbers())
        self._report = Report()
        self._restoring = Restoring(db, self._rebuilding, keys, self._report, progress)

    def run(self) -> Recovered:
        """Recover; return when the drive can be opened.

        Run again after an error, or in another process after a crash, it goes on.
        Raises `RecoveryIncomplete` if something is missing and that was not accepted,
        `DriveMissing` if another recovery has begun here, `StoreBusy`, `StoreError`,
        `DiskFull`, `DatabaseTooNew`.
        """
        begin(self._db, self._drive_id)
        self._rebuilding.run()
        told = self._head()
        while True:
            with self._db.read() as connection:
                history = Lineage(connection, drives.read_epochs(told.get("epochs")))
                chosen = history.snapshot(connection)
                self._require_whole(history, connection, chosen.position if chosen else 0)
            if self._restoring.load(chosen):
                break
        at = self._restoring.replay(history)
        self._drop_given_up()
        self._require_saved(told)
        return self._finish(history, told, at, chosen.position if chosen else 0)

    def _head(self) -> dict[str, Any]:
        """What the newest head says; nothing if there is none."""
        with self._db.read() as connection:
            no = lineage.head(connection)
        if no is None:
            self._report.note("no head was found: the drive is made out from its packs")
            return {}
        return payload.read_facts(self._rebuilding.read(no).journal)

    def _require_whole(self, history: Lineage, connection: Connection, at: int) -> None:
        """Raise `RecoveryIncomplete` if there are packs that cannot be read, or a gap."""
        missing = []
        for why, kind in lineage.trouble(connection):
            self._report.note(why)
            if kind == "pack":
                missing.append(why)
        if gap := _walk(history, connection, at):
            missing.append(_told(gap))
            self._report.note(_told(gap))
        if missing:
            self._refuse(f"{len(missing)} things are missing: {missing[0]}")

    def _refuse(self, why: str) -> None:
        if not self._accepts_loss:
            raise RecoveryIncomplete(
                f"{why}; give the drive's other stores as well, or --yes to go on without"
            )

    def _drop_given_up(self) -> None:
        """Drop what was given up: gc may have collected its blocks, and nobody misses them."""
        self._db.write(_pass_over_all)
        expiry.drop_forgotten(self._db, lambda: None)
        self._db.write(replaying.forget_saved)
        expiry.drop_versions(self._db, FOREVER, lambda: None)

    def _require_saved(self, told: dict[str, Any]) -> None:
        """Raise `RecoveryIncomplete` if content is missing that another store may have."""
        with self._db.read() as connection:
            count = int(connection.scalars(select(func.count()).select_from(unsaved)).one())
            lost_blocks = int(connection.scalars(_LOST_BLOCKS).one())
        named = len(told.get("stores", []))
        if lost_blocks:
            self._refuse(f"{lost_blocks} blocks that files need are in none of the stores")
        if count and named > self._stores:
            self._refuse(
                f"{count} saves have content that is not here, and the drive had {named} stores, "
                f"where {self._stores} were given"
            )

    def _finish(self, history: Lineage, told: dict[str, Any], at: int, since: int) -> Recovered:
        """Write the drive's row, in a new epoch that begins after change `at`.

        What the stores did not get is undone with it: so begins the epoch, or it does not.
        """
        drive = self._drive(history, told)
        created_ns = told.get("created_ns", time.time_ns())
        epochs = history.epochs | {drive.epoch: Beginning(at, secrets.token_hex(8))}

        def work(connection: Connection) -> tuple[list[str], int]:
            _go_on_from(connection, at)
            names = replaying.undo_unsaved(connection)
            lost.forget_unnamed(connection, select(extents.c.block))
            for other in history.other_snapshots(connection):
                snapshots.forget(connection, other.snapshot_id)
            connection.execute(delete(found))
            connection.execute(delete(recovery))
            drives.remake(connection, drive, created_ns, epochs)
            return names, lost.count(connection)

        with self._db.read() as connection:
            unread = int(connection.scalars(_LOST_PACKS).one())
        if unread:
            self._report.note(f"{unread} packs could not be read")
        names, lost_blocks = self._db.write(work)
        report = self._report
        return Recovered(
            drive,
            at,
            since,
            report.replayed,
            len(names),
            names[:NAMED],
            lost_blocks,
            report.notes,
        )

    def _drive(self, history: Lineage, told: dict[str, Any]) -> Drive:
        epoch = history.newest_epoch + 1
        if told:
            made = heads.drive_of(told, self._drive_id, self._keys.key_id)
            return Drive(made.drive_id, epoch, made.key_id, made.aead, made.chunks)
        return Drive(self._drive_id, epoch, self._keys.key_id, best_aead(), self._chunks)


_NUMBERED: dict[str, tuple[Table, ...]] = {
    "node": (nodes, trash, trashed),
    "version": (versions,),
    "block": (blocks,),
    "pack": (packs,),
}


def _walk(history: Lineage, connection: Connection, at: int) -> Gap | None:
    """The first gap in the journal after change `at`."""
    while step := history.next(connection, at):
        if isinstance(step, Gap):
            return step
        at = step.up_to
    return None


def _told(gap: Gap) -> str:
    return f"no pack at hand has the changes {gap.after + 1} to {gap.before - 1}"


def _go_on_from(connection: Connection, position: int) -> None:
    """Let the journal's next number follow `position`."""
    row = {"no": 1, "journal": position, "packed_ns": time.time_ns()}
    connection.execute(insert(packed), row)
    if position == 0:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(_PG_SEQUENCE, {"position": position})
        return
    last = {"no": position, "at_ns": 0, "change": ""}
    connection.execute(insert(journal), last)  # SQLite remembers the number of a deleted row
    connection.execute(delete(journal))


def _pass_over_all(connection: Connection) -> None:
    """Let new numbers follow those of all rows there are, before any goes."""
    for kind, tables in _NUMBERED.items():
        _pass_over(connection, kind, tables)


def _pass_over(connection: Connection, kind: str, tables: Iterable[Table]) -> None:
    """Let new numbers of this kind follow those of the rows there are."""
    given = (connection.scalars(select(func.max(table.c.no))).one() for table in tables)
    free = 1 + max(no or 0 for no in given) + SLACK
    known = {"of_kind": kind}
    current = connection.scalars(select(numbers.c.next).where(numbers.c.kind == kind)).one_or_none()
    if current is None:
        connection.execute(insert(numbers), {"kind": kind, "next": free})
    elif current < free:
        connection.execute(_SET_NUMBER.values(next=free), known)
