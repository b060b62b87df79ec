"""What a transaction throws away: a node, with all below, becomes an entry of the trash.

The entry's number is taken before the transaction; if nothing is thrown, it is unused.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert

from tgdav.tree import subtrees
from tgdav.tree.guard import Guard
from tgdav.tree.nodes import Node
from tgdav.tree.paths import Path
from tgdav.tree.tables import trash

SECOND_NS = 10**9

_ENTER = insert(trash)


@dataclass(frozen=True, slots=True)
class Basket:
    """Room for one node; the transaction may run several times."""

    entry: int
    guard: Guard

    def take(self, connection: Connection, node: Node, path: Path, user: str) -> int:
        """Throw the node away that has this path; return the number of its entry.

        Its locks are gone already. Raises `DeletionStopped`.
        """
        self.guard.count(connection, user, node.no)
        throw(connection, self.entry, node, path, user, time.time_ns())
        return self.entry


def throw(
    connection: Connection, entry: int, node: Node, path: Path, user: str, at_ns: int
) -> None:
    """Make the node, with all below, the entry of this number; the guard is not asked."""
    row = {"no": entry, "node": node.no, "path": "/" + "/".join(path)}
    row |= {"parent": node.parent, "user": user, "forgotten": False}
    connection.execute(_ENTER, row | {"deleted_ns": at_ns // SECOND_NS * SECOND_NS})
    subtrees.throw_away(connection, node.no, entry, at_ns)
