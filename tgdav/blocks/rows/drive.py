"""The drive's own row: what never changes while it lives."""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from tgdav.blocks.form.chunker import ChunkSizes
from tgdav.blocks.rows.tables import behind, drive
from tgdav.db import Database
from tgdav.errors import PackDamaged

_EPOCHS = select(drive.c.epochs)
_WHY = select(behind.c.why)
_FORGET_WHY = delete(behind)
_NOTE_WHY = insert(behind).values(no=1)
_FIND = select(
    drive.c.drive_id,
    drive.c.epoch,
    drive.c.key_id,
    drive.c.aead,
    drive.c.chunk_min,
    drive.c.chunk_average,
    drive.c.chunk_max,
)


class Beginning(NamedTuple):
    """Where an epoch began."""

    after: int
    """The last journal number before it."""
    mark: str = ""
    """Of the machine that began it: two may recover one drive at the same time."""


@dataclass(frozen=True, slots=True)
class Drive:
    """Which drive this is, and how it cuts and seals."""

    drive_id: bytes
    epoch: int
    key_id: bytes
    aead: int
    chunks: ChunkSizes


def find(db: Database) -> Drive | None:
    """The drive of this database, or None if none was made."""
    with db.read() as connection:
        row = connection.execute(_FIND).one_or_none()
    return row and Drive(*row[:4], ChunkSizes(*row[4:]))


def make(connection: Connection, key_id: bytes, aead: int, chunks: ChunkSizes) -> Drive:
    """Write the row of a new drive; the database has none."""
    made = Drive(secrets.token_bytes(16), 1, key_id, aead, chunks)
    row = {"no": 1, "drive_id": made.drive_id, "epoch": made.epoch, "key_id": key_id, "aead": aead}
    row |= {"chunk_min": chunks.min, "chunk_average": chunks.average, "chunk_max": chunks.max}
    connection.execute(insert(drive), row | {"created_ns": time.time_ns()})
    return made


def remake(
    connection: Connection, recovered: Drive, created_ns: int, epochs: dict[int, Beginning]
) -> None:
    """Write the row of a drive that was recovered; the database has none.

    `epochs` says of each epoch after the first where it began.
    """
    row = {"no": 1, "drive_id": recovered.drive_id, "epoch": recovered.epoch}
    row |= {"key_id": recovered.key_id, "aead": recovered.aead, "created_ns": created_ns}
    sizes = recovered.chunks
    row |= {"chunk_min": sizes.min, "chunk_average": sizes.average, "chunk_max": sizes.max}
    row["epochs"] = json.dumps(list_epochs(epochs))
    connection.execute(insert(drive), row)


def epochs(connection: Connection) -> dict[int, Beginning]:
    """Where each epoch after the first began."""
    return read_epochs(json.loads(connection.scalars(_EPOCHS).one()))


def list_epochs(epochs: dict[int, Beginning]) -> list[tuple[int, int, str]]:
    """As JSON has them: what `read_epochs` reads."""
    return [(epoch, *began) for epoch, began in sorted(epochs.items())]


def read_epochs(listed: Any) -> dict[int, Beginning]:
    """The epochs in what a head or the drive's row says. Raises `PackDamaged`."""
    try:
        return {int(epoch): Beginning(int(at), str(mark)) for epoch, at, mark in listed or ()}
    except (TypeError, ValueError) as error:
        raise PackDamaged("epochs of a form that this tgdav does not know") from error


def why_behind(connection: Connection) -> str:
    """Why nothing may be changed, or ""."""
    return connection.scalars(_WHY).one_or_none() or ""


def note_behind(connection: Connection, why: str) -> None:
    """Let no change happen any more, in any process ("": again)."""
    connection.execute(_FORGET_WHY)
    if why:
        connection.execute(_NOTE_WHY, {"why": why})
