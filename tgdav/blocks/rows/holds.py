"""Holds: what a long save relies on and has not published is not collected.

A hold ends when the save is published or given up, or by itself if neither is told.
"""

import secrets
import time
from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Connection,
    LargeBinary,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from tgdav.blocks.rows import condemned
from tgdav.blocks.rows.index import batches
from tgdav.blocks.rows.tables import blocks, holds
from tgdav.db import Database

_of_hold = bindparam("of_hold", type_=LargeBinary)
_until = bindparam("new_until_ns", type_=BigInteger)
_RENEW = update(holds).where(holds.c.hold_id == _of_hold).values(until_ns=_until)
_KEEP = insert(holds).from_select(
    ["hold_id", "block", "until_ns"],
    select(_of_hold, blocks.c.no, _until).where(
        blocks.c.no.in_(bindparam("numbers", expanding=True)),
        blocks.c.no.not_in(select(holds.c.block).where(holds.c.hold_id == _of_hold)),
    ),
)
_RECORDED = select(blocks.c.no).where(blocks.c.no.in_(bindparam("numbers", expanding=True)))
_DROP = delete(holds).where(holds.c.hold_id == _of_hold)


class Hold:
    """One save's hold; used by the save's thread."""

    def __init__(self, db: Database, after_s: float, for_s: float) -> None:
        self._db = db
        self._for_s = for_s
        self._due = time.monotonic() + after_s
        self._seen = (0, 0)
        self.hold_id: bytes | None = None
        """None until something is held."""

    @property
    def is_due(self) -> bool:
        """True if what the save relies on should be held, or held for longer, now."""
        return time.monotonic() >= self._due

    def keep(self, numbers: Sequence[int]) -> None:
        """Hold those blocks of a growing list that are recorded by now, for `for_s` from now."""
        hold_id = self.hold_id = self.hold_id or secrets.token_bytes(16)
        until_ns = time.time_ns() + int(self._for_s * 1e9)
        new = set(numbers[self._seen[0] :])

        def work(connection: Connection) -> None:
            told = {"of_hold": hold_id, "new_until_ns": until_ns}
            connection.execute(_RENEW, told)
            for batch in batches(new):
                connection.execute(_KEEP, told | {"numbers": batch})

        self._db.write(work)
        # What was not recorded yet this time, as its pack is still open, is next time.
        self._seen = (self._seen[1], len(numbers))
        self._due = time.monotonic() + self._for_s / 8

    def rescue(self, numbers: Sequence[int]) -> set[int]:
        """Hold these blocks, and take them back from gc; those that are there still."""
        hold_id = self.hold_id = self.hold_id or secrets.token_bytes(16)
        until_ns = time.time_ns() + int(self._for_s * 1e9)

        def work(connection: Connection) -> set[int]:
            told = {"of_hold": hold_id, "new_until_ns": until_ns}
            kept: set[int] = set()
            for batch in batches(numbers):
                kept |= set(connection.scalars(_RECORDED, {"numbers": batch}))
                connection.execute(_KEEP, told | {"numbers": batch})
            condemned.revive(connection, numbers)
            return kept

        return self._db.write(work)

    def drop(self) -> None:
        """End the hold, if there is one."""
        if self.hold_id is not None:
            release(self._db, self.hold_id)
            self.hold_id = None


def release(db: Database, hold_id: bytes) -> None:
    """End a hold whose save will not be published."""
    db.write(lambda connection: drop(connection, hold_id))


def drop(connection: Connection, hold_id: bytes) -> None:
    """End a hold as part of this transaction."""
    connection.execute(_DROP, {"of_hold": hold_id})
