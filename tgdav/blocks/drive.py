"""The drive's own row: what never changes while it lives."""

import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from tgdav.blocks.chunker import ChunkSizes
from tgdav.blocks.tables import drive
from tgdav.db import Database

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
