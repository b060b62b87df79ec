"""Jobs that one process at a time may do, across all processes on the database.

A lease runs out by itself, so a killed process blocks nobody for longer than the
time it asked for; a job that takes longer acquires again before that.
"""

import secrets
import time
from collections.abc import Callable

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from tgdav.blocks.rows.tables import leases
from tgdav.db import Database

_named = leases.c.name == bindparam("of_name")
_FIND = select(leases.c.holder, leases.c.until_ns).where(_named)
_BEGIN = insert(leases).values(
    name=bindparam("of_name"), holder=bindparam("new_holder"), until_ns=bindparam("new_until_ns")
)
_TAKE = (
    update(leases)
    .where(_named)
    .values(holder=bindparam("new_holder"), until_ns=bindparam("new_until_ns"))
)
_RELEASE = delete(leases).where(_named, leases.c.holder == bindparam("of_holder"))
_POSTGRESQL_NS = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS bigint)")


def database_ns(connection: Connection) -> int:
    """The time that all processes on this database agree on, in ns since 1970."""
    if connection.dialect.name == "postgresql":
        return int(connection.scalars(_POSTGRESQL_NS).one())
    return time.time_ns()


class Leases:
    """One holder's leases; a holder is a process unless it is given. Any thread."""

    def __init__(
        self,
        db: Database,
        holder: str | None = None,
        clock: Callable[[Connection], int] = database_ns,
    ) -> None:
        self._db = db
        self._holder = holder or secrets.token_hex(16)
        self._clock = clock

    def acquire(self, name: str, for_s: float) -> bool:
        """True if `name` is this holder's for `for_s` from now; else somebody has it.

        Whoever has it already may acquire it again: it then ends `for_s` from now.
        """

        def work(connection: Connection) -> bool:
            now = self._clock(connection)
            until = now + int(for_s * 1e9)
            wanted = {"of_name": name, "new_holder": self._holder, "new_until_ns": until}
            found = connection.execute(_FIND, {"of_name": name}).one_or_none()
            if found and found.holder != self._holder and found.until_ns > now:
                return False
            connection.execute(_TAKE if found else _BEGIN, wanted)
            return True

        return self._db.write(work, urgent=True)

    def remaining_s(self, name: str) -> float:
        """For how long somebody has `name` still; 0 if nobody does."""
        with self._db.read() as connection:
            found = connection.execute(_FIND, {"of_name": name}).one_or_none()
            return max(0.0, (found.until_ns - self._clock(connection)) / 1e9) if found else 0.0

    def release(self, name: str) -> None:
        """Give `name` back; nothing happens if this holder does not have it."""
        self._db.write(
            lambda connection: connection.execute(
                _RELEASE, {"of_name": name, "of_holder": self._holder}
            ),
            urgent=True,
        )
