"""Dead properties: what clients keep with a node, without knowing what it means.

They belong to the node, so a move leaves them alone and a copy is one statement.
A value is the property's whole element as XML; it is never looked into.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
)

from tgdav.db import Database
from tgdav.errors import LimitReached
from tgdav.tree import journal
from tgdav.tree.locks import require_change
from tgdav.tree.memo import Memo
from tgdav.tree.nodes import Node, require_node, set_times, walk
from tgdav.tree.paths import Path
from tgdav.tree.permit import Permit
from tgdav.tree.tables import properties

COUNT_LIMIT = 1000
"""Properties of one node."""
NODE_LIMIT = 1 << 20
"""Bytes of all names and values of one node, as UTF-8."""
VALUE_LIMIT = 64 << 10
"""Bytes of one value, as UTF-8."""
NAME_LIMIT = 512
"""Characters of a name with its namespace."""

PAGE = 1000
"""Nodes asked about in one statement; SQLite takes 32,766 parameters."""

_NODE = properties.c.node == bindparam("of_node", type_=BigInteger)
_AMONG = properties.c.node.in_(bindparam("of_nodes", expanding=True))
_OF = select(properties).where(_AMONG)
_SIZE = select(func.sum(func.length(properties.c.name) + func.length(properties.c.value))).where(
    _AMONG
)
_ANY = select(properties.c.node).limit(1)
_REMOVE = delete(properties).where(_NODE, properties.c.name.in_(bindparam("names", expanding=True)))
_SET = insert(properties)


class Properties:
    """The dead properties of one drive's nodes. Any thread may ask."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._any: Memo[tuple[()], bool] = Memo(db, 1)

    def of(self, nodes: Sequence[int]) -> dict[int, dict[str, str]]:
        """Name → XML of each of these nodes that has any."""
        found: dict[int, dict[str, str]] = {}
        with self._db.read() as connection:
            for start in range(0, len(nodes), PAGE):
                for row in connection.execute(_OF, {"of_nodes": nodes[start : start + PAGE]}):
                    found.setdefault(row.node, {})[row.name] = row.value
        return found

    def of_each(self, nodes: Sequence[int]) -> Iterator[Mapping[str, str]]:
        """As `of`, of each of these nodes in their order, read as it is asked for.

        What is held at once has no more characters than one node may have bytes.
        """
        size = self._size(nodes) if len(nodes) > 1 else NODE_LIMIT
        if size > NODE_LIMIT:
            step = max(1, len(nodes) * NODE_LIMIT // (2 * size))
            for start in range(0, len(nodes), step):
                yield from self.of_each(nodes[start : start + step])
            return
        found = self.of(nodes) if size else {}
        for no in nodes:
            yield found.get(no, {})

    def _size(self, nodes: Sequence[int]) -> int:
        """Characters of all names and values of these nodes together."""
        with self._db.read() as connection:
            return sum(
                int(connection.scalar(_SIZE, {"of_nodes": nodes[start : start + PAGE]}) or 0)
                for start in range(0, len(nodes), PAGE)
            )

    def any_below(self, node: Node) -> bool:
        """False only when no node below has a property.

        It looks at the drive as a whole, so that it costs the same for any directory.
        """

        def read() -> bool:
            with self._db.read() as connection:
                return connection.execute(_ANY).first() is not None

        return self._any.get((), read)

    def change(
        self,
        path: Path,
        permit: Permit,
        values: Mapping[str, str],
        remove: Collection[str],
        *,
        modified_ns: int | None = None,
        created_ns: int | None = None,
    ) -> Node:
        """Set `values` (name → XML), remove the others named, set the node's times: all or nothing.

        Removing what is not there is no error. Raises `NotFound`, `Locked`, and
        `LimitReached` beyond a bound of this module; then nothing was changed.
        """

        def work(connection: Connection) -> Node:
            chain = walk(connection, path)
            node = require_node(chain, path)
            require_change(connection, [each.no for each in chain], permit)
            node = set_times(connection, node, modified_ns, created_ns)
            replace(connection, node.no, values, remove)
            journal.append(connection, _change(node, values, remove))
            return node

        return self._db.write(work)


def copy(connection: Connection, pairs: FromClause, values: Mapping[str, object]) -> None:
    """Give each node `pairs.c.new`, which has none, what `pairs.c.old` has.

    `values` are those of the parameters that `pairs` has.
    """
    rows = select(pairs.c.new, properties.c.name, properties.c.value).join_from(
        pairs, properties, properties.c.node == pairs.c.old
    )
    connection.execute(_SET.from_select(["node", "name", "value"], rows), values)


def drop(connection: Connection, numbers: Select[int], values: Mapping[str, object]) -> None:
    """Remove the properties of the nodes with these numbers, before the nodes.

    `values` are those of the parameters that `numbers` has.
    """
    connection.execute(delete(properties).where(properties.c.node.in_(numbers)), values)


def replace(
    connection: Connection, node_no: int, values: Mapping[str, str], remove: Collection[str]
) -> None:
    """Set `values`, remove the others named. Raises `LimitReached`."""
    touched = {*values, *remove}
    kept = {
        row.name: row.value
        for row in connection.execute(_OF, {"of_nodes": [node_no]})
        if row.name not in touched
    }
    _check_bounds({**kept, **values})
    if touched:
        connection.execute(_REMOVE, {"of_node": node_no, "names": list(touched)})
    if values:
        rows = [{"node": node_no, "name": name, "value": xml} for name, xml in values.items()]
        connection.execute(_SET, rows)


def _check_bounds(values: Mapping[str, str]) -> None:
    if len(values) > COUNT_LIMIT:
        raise LimitReached(f"a node has at most {COUNT_LIMIT} properties")
    if any(len(name) > NAME_LIMIT for name in values):
        raise LimitReached(f"a property's name has at most {NAME_LIMIT} characters")
    sizes = [len(xml.encode()) for xml in values.values()]
    if max(sizes, default=0) > VALUE_LIMIT:
        raise LimitReached(f"a property has at most {VALUE_LIMIT} bytes, not {max(sizes)}")
    if sum(sizes) + sum(len(name.encode()) for name in values) > NODE_LIMIT:
        raise LimitReached(f"the properties of a node have at most {NODE_LIMIT} bytes in sum")


def _change(node: Node, values: Mapping[str, str], remove: Collection[str]) -> dict[str, object]:
    return {
        "did": "properties",
        "node": node.no,
        "set": dict(values),
        "remove": sorted(remove),
        "created_ns": node.created_ns,
        "modified_ns": node.modified_ns,
    }
