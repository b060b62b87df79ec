"""The guard: who deletes too much within an hour is stopped until somebody confirms it.

Counts nodes that were thrown away, not files that were overwritten. Off at a share
of 0; it costs nothing then. Knows no command.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, bindparam, func, insert, select, update

from tgdav.db import Database
from tgdav.errors import DeletionStopped
from tgdav.tree import subtrees
from tgdav.tree.tables import deletions
from tgdav.tree.tables import nodes as rows

HOUR_NS = 3600 * 10**9
LEAST = 100
"""Nodes that anybody may delete within an hour, whatever share they are."""
FRESH_S = 60.0
"""How long a count of the drive's nodes is good enough."""

_OF_USER = deletions.c.user == bindparam("of_user")
_TOTAL = select(func.count()).select_from(rows)
_FIND = select(deletions).where(_OF_USER)
_BEGIN = insert(deletions)
_SET = (
    update(deletions)
    .where(_OF_USER)
    .values(
        since_ns=bindparam("new_since_ns"),
        nodes=bindparam("new_nodes"),
        total=bindparam("new_total"),
        stopped=bindparam("new_stopped"),
        excused_until_ns=bindparam("new_excused_until_ns"),
    )
)


class Guard:
    """Who deleted how much. Any thread.

    `share` is the part of the drive's nodes that one user may delete within an hour.
    """

    def __init__(
        self, db: Database, share: float = 0.0, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._db = db
        self._share = share
        self._clock = clock
        self._total = 0
        self._total_until = 0.0

    @contextlib.contextmanager
    def watching(self, user: str) -> Iterator[None]:
        """Around a transaction that may delete: whom it stops stays stopped."""
        self._look()
        try:
            yield
        except DeletionStopped:
            self._db.write(lambda connection: self._write(connection, user, stopped=True))
            raise

    def count(self, connection: Connection, user: str, top: int) -> None:
        """Count the node and all below as deleted by `user`. Raises `DeletionStopped`."""
        if not self._share:
            return
        now_ns = self._clock()
        found = connection.execute(_FIND, {"of_user": user}).one_or_none()
        if found and found.excused_until_ns > now_ns:
            return
        if found and found.stopped:
            raise DeletionStopped(f"{user} may delete nothing more until that is confirmed")
        amount = subtrees.measure(connection, top, deep=True).nodes
        if found is None or found.since_ns <= now_ns - HOUR_NS:
            since_ns, nodes, total = now_ns, amount, self._total
        else:
            since_ns, nodes, total = found.since_ns, found.nodes + amount, found.total
        if nodes > max(LEAST, self._share * total):
            raise DeletionStopped(f"{user} would have deleted {nodes} of {total} nodes in an hour")
        self._write(connection, user, since_ns=since_ns, nodes=nodes, total=total)

    def confirm(self, user: str) -> None:
        """Let `user` delete whatever they want for an hour from now, and count anew then."""
        until_ns = self._clock() + HOUR_NS
        self._db.write(lambda connection: self._write(connection, user, excused_until_ns=until_ns))

    def stopped(self) -> list[str]:
        """Users who may delete nothing until that is confirmed."""
        query = select(deletions.c.user).where(deletions.c.stopped).order_by(deletions.c.user)
        with self._db.read() as connection:
            return list(connection.scalars(query))

    def _look(self) -> None:
        """Count the drive now and then, outside the transactions that depend on it."""
        if self._share and time.monotonic() >= self._total_until:
            with self._db.read() as connection:
                self._total = connection.scalars(_TOTAL).one()
            self._total_until = time.monotonic() + FRESH_S

    def _write(
        self,
        connection: Connection,
        user: str,
        *,
        since_ns: int = 0,
        nodes: int = 0,
        total: int = 0,
        stopped: bool = False,
        excused_until_ns: int = 0,
    ) -> None:
        row = {"since_ns": since_ns, "nodes": nodes, "total": total, "stopped": stopped}
        row |= {"excused_until_ns": excused_until_ns}
        named = {f"new_{column}": value for column, value in row.items()}
        if not connection.execute(_SET, {"of_user": user, **named}).rowcount:
            connection.execute(_BEGIN, {"user": user, **row})
