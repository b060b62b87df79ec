"""Numbers for rows: taken from the database a range at a time.

Each process gives out of its own range, so most numbers cost no SQL. A range that
a process did not use up is never used: gaps are normal and mean nothing.
"""

import threading

from sqlalchemy import Connection, bindparam, insert, select, update

from tgdav.blocks.rows.tables import numbers
from tgdav.db import Database

_ADVANCE = (
    update(numbers)
    .where(numbers.c.kind == bindparam("of_kind"))
    .values(next=numbers.c.next + bindparam("count"))
)
_BEGIN = insert(numbers).values(kind=bindparam("of_kind"), next=bindparam("first_free"))
_NEXT = select(numbers.c.next).where(numbers.c.kind == bindparam("of_kind"))


class Numbers:
    """The numbers of one kind, from 1. Any thread may take them."""

    def __init__(self, db: Database, kind: str, range_size: int = 1000) -> None:
        self._db = db
        self._kind = kind
        self._range_size = range_size
        self._lock = threading.Lock()
        self._free = range(0)

    def take(self, count: int = 1) -> range:
        """`count` numbers in a row that nobody else gets, in any process, ever.

        Now and then this is a write: never call it inside a `Database.write` work.
        Raises what `Database.write` raises; then no number was given.
        """
        with self._lock:
            if len(self._free) < count:
                self._free = self._reserve(max(count, self._range_size))
            taken, self._free = self._free[:count], self._free[count:]
            return taken

    def _reserve(self, count: int) -> range:
        return self._db.write(lambda connection: reserve(connection, self._kind, count))


def reserve(connection: Connection, kind: str, count: int = 1) -> range:
    """Take `count` numbers as part of this transaction; whoever takes others waits for it."""
    told = {"of_kind": kind}
    if not connection.execute(_ADVANCE, {**told, "count": count}).rowcount:
        connection.execute(_BEGIN, {**told, "first_free": 1 + count})
    next_free = int(connection.scalars(_NEXT, told).one())
    return range(next_free - count, next_free)
