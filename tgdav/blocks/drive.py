"""The drive's own row: what never changes while it lives."""

import json
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from tgdav.blocks.chunker import ChunkSizes
from tgdav.blocks.tables import drive
from tgdav.db import Database

_EPOCHS = select(drive.c.epochs)
_BEHIND = select(drive.c.behind)
_SET_BEHIND = update(drive).values(behind=bindparam("why"))
_FIND = select(
    drive.c.drive_id,
    drive.c.epoch,
    drive.c.key_id,
    drive.c.aead,
    drive.c.chunk_min,
    drive.c.chunk_average,
    drive.c.chunk_max,
)


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
    connection: Connection, recovered: Drive, created_ns: int, epochs: dict[int, int]
) -> None:
    """Write the row of a drive that was recovered; the database has none.

    `epochs` says of each epoch after the first which journal number it began after.
    """
    row = {"no": 1, "drive_id": recovered.drive_id, "epoch": recovered.epoch}
    row |= {"key_id": recovered.key_id, "aead": recovered.aead, "created_ns": created_ns}
    sizes = recovered.chunks
    row |= {"chunk_min": sizes.min, "chunk_average": sizes.average, "chunk_max": sizes.max}
    row["epochs"] = json.dumps(sorted(epochs.items()))
    connection.execute(insert(drive), row)


def epochs(connection: Connection) -> dict[int, int]:
    """After which journal number each later epoch began."""
    return dict(json.loads(connection.scalars(_EPOCHS).one()))


def behind(connection: Connection) -> str:
    """Why nothing may be changed, or ""."""
    return connection.scalars(_BEHIND).one_or_none() or ""


def note_behind(connection: Connection, why: str) -> None:
    """Let no change happen any more, in any process ("": again)."""
    connection.execute(_SET_BEHIND, {"why": why})
