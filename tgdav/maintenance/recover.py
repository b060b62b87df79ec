"""The drive from its stores and its key: index, names, properties, users, versions.

Everything is written to an empty database, a transaction a step, so that it goes on
where it was stopped. The drive's own row comes last: before it there is no drive.
"""

import json
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
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

from tgdav.blocks import drive as drives
from tgdav.blocks import heads, lost, payload, rebuilding, snapshots
from tgdav.blocks.chunker import ChunkSizes
from tgdav.blocks.drive import Beginning, Drive
from tgdav.blocks.index import batches
from tgdav.blocks.keys import Keys
from tgdav.blocks.pack import PackEntry
from tgdav.blocks.rebuilding import Progress, Rebuilding
from tgdav.blocks.seal import Sealer, best_aead
from tgdav.blocks.tables import blocks, found, numbers, packed, packs, recovery
from tgdav.db import Database
from tgdav.errors import (
    BlockDamaged,
    ContentLost,
    DriveMissing,
    PackDamaged,
    RecoveryIncomplete,
)
from tgdav.maintenance import lineage
from tgdav.maintenance.lineage import Gap, Lineage
from tgdav.stores.pool import StorePool
from tgdav.tree import image, replaying
from tgdav.tree.nodes import plant_root
from tgdav.tree.replaying import Replaying
from tgdav.tree.tables import extents, journal, nodes, trash, trashed, unsaved, versions

REPLAYED = 500
"""Changes that one transaction makes again."""
NAMED = 100
"""Names and troubles that are kept for the report; more are only counted."""
SLACK = 1000
"""Numbers that are passed over, as the lost machine may have given out some."""

_STATE = select(recovery)
_BEGIN = insert(recovery).values(no=1, stage="list", chunks=0, journal=0)
_LOADING = update(recovery).values(
    stage="snapshot", snapshot_id=bindparam("of_id"), chunks=bindparam("done"), journal=0
)
_LOADED = update(recovery).values(chunks=bindparam("done"))
_REPLAYED = update(recovery).values(stage="journal", journal=bindparam("up_to"))
_SET_NUMBER = update(numbers).where(numbers.c.kind == bindparam("of_kind"))
_PG_SEQUENCE = text("SELECT setval(pg_get_serial_sequence('journal', 'no'), :position)")
_LOST_BLOCKS = (
    select(func.count(blocks.c.no.distinct()))
    .join(packs, packs.c.no == blocks.c.pack)
    .join(extents, extents.c.block == blocks.c.no)
    .where(packs.c.kind == "lost", extents.c.version.not_in(select(unsaved.c.version)))
)
_LOST_PACKS = select(func.count()).select_from(found).where(found.c.trouble != "")


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


@dataclass(slots=True)
class _Report:
    """What is told in the end; names and notes are bounded."""

    replayed: int = 0
    unsaved: int = 0
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        if len(self.notes) < NAMED and what not in self.notes:
            self.notes.append(what)

    def name(self, names: list[str]) -> None:
        self.unsaved += len(names)
        self.names += names[: NAMED - len(self.names)]


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
        self._sealer = Sealer(keys, best_aead())
        self._stores = len(pool.numbers())
        self._report = _Report()

    def run(self) -> Recovered:
        """Recover; return when the drive can be opened.

        Run again after an error, or in another process after a crash, it goes on.
        Raises `RecoveryIncomplete` if something is missing and that was not accepted,
        `DriveMissing` if another recovery has begun here, `StoreBusy`, `StoreError`,
        `DiskFull`, `DatabaseTooNew`.
        """
        self._begin()
        self._rebuilding.run()
        told = self._head()
        while True:
            with self._db.read() as connection:
                history = Lineage(connection, drives.read_epochs(told.get("epochs")))
                chosen = history.snapshot(connection)
                self._require_whole(history, connection, chosen.position if chosen else 0)
            if self._load(chosen):
                break
        at = self._replay(history)
        self._undo_unsaved(told)
        return self._finish(history, told, at, chosen.position if chosen else 0)

    def _begin(self) -> None:
        def work(connection: Connection) -> None:
            state = connection.execute(_STATE).one_or_none()
            if state is None:
                connection.execute(_BEGIN, {"drive_id": self._drive_id})
            elif bytes(state.drive_id) != self._drive_id:
                raise DriveMissing(
                    f"the recovery of another drive, {state.drive_id.hex()}, has begun here"
                )

        self._db.write(work)

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

    def _load(self, chosen: snapshots.Snapshot | None) -> bool:
        """Load the snapshot, from where it was left; False if it turned out damaged."""
        with self._db.read() as connection:
            state = connection.execute(_STATE).one()
        wanted = chosen and chosen.snapshot_id
        if state.stage == "list" or state.snapshot_id != wanted:
            self._db.write(partial(_load_anew, wanted))
            done = 0
        else:
            done = state.chunks
        if chosen is None:
            plant_root(self._db)
            return True
        try:
            self._load_chunks(chosen.snapshot_id, done)
        except (PackDamaged, BlockDamaged, ContentLost, ValueError) as error:
            self._report.note(f"the snapshot of change {chosen.position} is damaged: {error}")
            self._db.write(lambda c: snapshots.forget(c, chosen.snapshot_id))
            return False
        return True

    def _load_chunks(self, snapshot_id: bytes, done: int) -> None:
        columns: dict[str, list[str]] = {}
        for number, chunk in enumerate(self._opened(snapshot_id, done)):
            lines = chunk.splitlines() if chunk else []
            if number == 0:
                columns = image.columns_in(lines.pop(0))
            if number >= done:
                rows = [json.loads(line) for line in lines]
                self._db.write(partial(_load_rows, columns, rows, number + 1))
                self._progress("snapshot", number + 1, 0)

    def _opened(self, snapshot_id: bytes, done: int) -> Iterator[bytes]:
        """The snapshot's chunks; nothing in place of those that are done, but for the first."""
        number = 0
        with self._db.read() as connection:
            parts = snapshots.parts(connection, snapshot_id)
        for part in parts:
            for entry in self._rebuilding.read(part).entries:
                yield self._open(part, entry) if number == 0 or number >= done else b""
                number += 1

    def _open(self, part: int, entry: PackEntry) -> bytes:
        opened: list[bytes] = []

        def is_sound(sealed: bytes) -> bool:
            try:
                opened.append(self._sealer.open(entry.block_id, sealed))
            except BlockDamaged:
                return False
            return True

        self._rebuilding.content(part, entry.offset, entry.sealed_size, is_sound)
        return opened[-1]

    def _replay(self, history: Lineage) -> int:
        """Make every change after the snapshot again; the number of the last."""
        with self._db.read() as connection:
            state = connection.execute(_STATE).one()
            position = self._position_of(connection, state.snapshot_id)
        at: int = max(state.journal, position)
        while True:
            with self._db.read() as connection:
                step = history.next(connection, at)
            if step is None or isinstance(step, Gap):
                return at
            carried = payload.read_journal(self._rebuilding.read(step.pack).journal)
            lines = carried.rows.splitlines() if carried else []
            due = [line for line in lines if at < _number(line) <= step.up_to]
            for page in batches(due, REPLAYED):
                self._db.write(partial(_apply, page))
                self._report.replayed += len(page)
                self._progress("journal", self._report.replayed, 0)
            at = step.up_to

    def _position_of(self, connection: Connection, snapshot_id: bytes | None) -> int:
        wanted = [s for s in snapshots.complete(connection) if s.snapshot_id == snapshot_id]
        return wanted[0].position if wanted else 0

    def _undo_unsaved(self, told: dict[str, Any]) -> None:
        """Let go of what never reached a store, once it is sure that it did not."""
        self._db.write(replaying.forget_saved)
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
        after = -1
        while after:
            after, names = self._db.write(partial(_undo_page, after))
            self._report.name(names)
        self._db.write(lambda c: lost.forget_unnamed(c, select(extents.c.block)))

    def _finish(self, history: Lineage, told: dict[str, Any], at: int, since: int) -> Recovered:
        """Write the drive's row, in a new epoch that begins after change `at`."""
        drive = self._drive(history, told)
        created_ns = told.get("created_ns", time.time_ns())
        epochs = history.epochs | {drive.epoch: Beginning(at, secrets.token_hex(8))}

        def work(connection: Connection) -> None:
            _go_on_from(connection, at)
            for kind, tables in _NUMBERED.items():
                _pass_over(connection, kind, tables)
            connection.execute(delete(found))
            connection.execute(delete(recovery))
            drives.remake(connection, drive, created_ns, epochs)

        with self._db.read() as connection:
            unread = int(connection.scalars(_LOST_PACKS).one())
            lost_blocks = lost.count(connection)
        if unread:
            self._report.note(f"{unread} packs could not be read")
        self._db.write(work)
        report = self._report
        return Recovered(
            drive,
            at,
            since,
            report.replayed,
            report.unsaved,
            report.names,
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


def is_under_way(db: Database) -> bool:
    """True if a recovery into this database has begun and not ended."""
    with db.read() as connection:
        return connection.execute(_STATE).one_or_none() is not None


def _walk(history: Lineage, connection: Connection, at: int) -> Gap | None:
    """The first gap in the journal after change `at`."""
    while step := history.next(connection, at):
        if isinstance(step, Gap):
            return step
        at = step.up_to
    return None


def _told(gap: Gap) -> str:
    return f"no pack at hand has the changes {gap.after + 1} to {gap.before - 1}"


def _number(line: bytes) -> int:
    return int(line[1 : line.index(b",")])


def _load_anew(snapshot_id: bytes | None, connection: Connection) -> None:
    connection.execute(delete(unsaved))
    image.clear(connection)
    connection.execute(_LOADING, {"of_id": snapshot_id, "done": 0})


def _load_rows(
    columns: dict[str, list[str]], rows: list[Any], done: int, connection: Connection
) -> None:
    told = [(row[1], row[2]) for row in rows if row[0] == "packs"]
    rebuilding.note_digests(connection, told)
    image.load(connection, columns, (row for row in rows if row[0] != "packs"))
    connection.execute(_LOADED, {"done": done})


def _apply(lines: list[bytes], connection: Connection) -> None:
    replayed = Replaying(connection)
    for line in lines:
        replayed.apply(line)
    connection.execute(_REPLAYED, {"up_to": _number(lines[-1])})


def _undo_page(after: int, connection: Connection) -> tuple[int, list[str]]:
    return replaying.undo_unsaved(connection, after)


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
