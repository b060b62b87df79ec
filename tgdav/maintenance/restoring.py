"""The tree of a drive that is recovered: from a snapshot, and the journal after it.

Each step is a transaction that says how far it is, so that what was stopped goes on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tgdav.blocks.form import payload
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.pack import PackEntry
from tgdav.blocks.form.seal import Sealer, best_aead
from tgdav.blocks.recovery import rebuilding
from tgdav.blocks.recovery.rebuilding import Progress, Rebuilding
from tgdav.blocks.rows import snapshots
from tgdav.blocks.rows.index import batches
from tgdav.blocks.rows.tables import recovery
from tgdav.db import Database
from tgdav.errors import BlockDamaged, ContentLost, DriveMissing, PackDamaged
from tgdav.maintenance.lineage import Gap, Lineage
from tgdav.tree import image
from tgdav.tree.nodes import plant_root
from tgdav.tree.replaying import Replaying
from tgdav.tree.tables import unsaved

REPLAYED = 500
"""Changes that one transaction makes again."""
NAMED = 100
"""Names and troubles that are kept for the report; more are only counted."""

_STATE = select(recovery)
_BEGIN = insert(recovery).values(no=1, stage="list", chunks=0, journal=0)
_LOADING = update(recovery).values(
    stage="snapshot", snapshot_id=bindparam("of_id"), chunks=bindparam("done"), journal=0
)
_LOADED = update(recovery).values(chunks=bindparam("done"))
_REPLAYED = update(recovery).values(stage="journal", journal=bindparam("up_to"))


@dataclass(slots=True)
class Report:
    """What a recovery tells in the end; notes are bounded."""

    replayed: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        if len(self.notes) < NAMED and what not in self.notes:
            self.notes.append(what)


class Restoring:
    """Makes one tree again, in a database in which the index of its blocks is. One thread."""

    def __init__(
        self,
        db: Database,
        rebuilding: Rebuilding,
        keys: Keys,
        report: Report,
        progress: Progress,
    ) -> None:
        self._db = db
        self._rebuilding = rebuilding
        self._sealer = Sealer(keys, best_aead())
        self._report = report
        self._progress = progress

    def load(self, chosen: snapshots.Snapshot | None) -> bool:
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

    def replay(self, history: Lineage) -> int:
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


def begin(db: Database, drive_id: bytes) -> None:
    """Say in `db` that this drive is being recovered: nobody makes another one there.

    Raises `DriveMissing` if the recovery of another drive has begun.
    """

    def work(connection: Connection) -> None:
        state = connection.execute(_STATE).one_or_none()
        if state is None:
            connection.execute(_BEGIN, {"drive_id": drive_id})
        elif bytes(state.drive_id) != drive_id:
            raise DriveMissing(
                f"the recovery of another drive, {state.drive_id.hex()}, has begun here"
            )

    db.write(work)


def is_under_way(db: Database) -> bool:
    """True if a recovery into this database has begun and not ended."""
    with db.read() as connection:
        return connection.execute(_STATE).one_or_none() is not None


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
