"""A node and all below it, measured, deleted and copied in a few statements.

However many nodes there are, none of them is brought here. Asks for no permit and no
lock: `changes` does that first.
"""

import time
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    Connection,
    Integer,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql

from tgdav.tree import properties
from tgdav.tree.nodes import Node
from tgdav.tree.tables import NAME, nodes, retired, versions

_TOP = bindparam("top", type_=BigInteger)


def _subtree() -> CTE:
    """The numbers of the node `top` and, if `deep`, of all below."""
    below = select(nodes.c.no).where(nodes.c.no == _TOP).cte("below", recursive=True)
    step = select(nodes.c.no).join_from(below, nodes, nodes.c.parent == below.c.no)
    return below.union_all(step.where(bindparam("deep", type_=Boolean)))


def _numbered() -> CTE:
    """The subtree's numbers and those of its copy: the top's first, then by number."""
    below = _subtree()
    order = (case((below.c.no == _TOP, 0), else_=1), below.c.no)
    base = bindparam("base", type_=BigInteger)
    place = func.row_number().over(order_by=order)
    return select(below.c.no.label("old"), (base - 1 + place).label("new")).cte("numbered")


def _copy() -> Select[*tuple[Any, ...]]:
    numbered = _numbered()
    above = numbered.alias("above")
    is_top = nodes.c.no == _TOP
    return (
        select(
            numbered.c.new,
            case((is_top, bindparam("directory", type_=BigInteger)), else_=above.c.new),
            case((is_top, bindparam("new_name", type_=NAME)), else_=nodes.c.name),
            nodes.c.version,
            bindparam("new_owner", type_=nodes.c.owner.type),
            bindparam("now_ns", type_=BigInteger),
            nodes.c.modified_ns,
        )
        .join_from(numbered, nodes, nodes.c.no == numbered.c.old)
        .outerjoin(above, above.c.old == nodes.c.parent)
    )


def _height() -> Select[int]:
    """How far the farthest node is below `top`."""
    level = literal_column("0", Integer).label("level")
    below = select(nodes.c.no, level).where(nodes.c.no == _TOP).cte("below", recursive=True)
    step = select(nodes.c.no, below.c.level + 1)
    below = below.union_all(step.join_from(below, nodes, nodes.c.parent == below.c.no))
    return select(func.max(below.c.level))


_NUMBERS = select(_subtree().c.no)
_MEASURE = (
    select(func.count(), func.coalesce(func.sum(versions.c.size), 0))
    .select_from(nodes)
    .outerjoin(versions, versions.c.no == nodes.c.version)
    .where(nodes.c.no.in_(_NUMBERS))
)
_HEIGHT = _height()
_DELETE = delete(nodes).where(nodes.c.no.in_(_NUMBERS))
_COPY = insert(nodes).from_select(
    ["no", "parent", "name", "version", "owner", "created_ns", "modified_ns"], _copy()
)
_PAIRS = _numbered()

# A version that was retired before, while a copy kept it, is retired from now on. This
# insert, from the PostgreSQL room of SQLAlchemy, reads the same on SQLite.
_retire = postgresql.insert(retired).from_select(
    ["version", "retired_ns"],
    select(nodes.c.version, bindparam("now_ns", type_=BigInteger))
    .distinct()
    .where(nodes.c.no.in_(_NUMBERS), nodes.c.version.is_not(None)),
)
_RETIRE = _retire.on_conflict_do_update(
    index_elements=["version"], set_={"retired_ns": _retire.excluded.retired_ns}
)


class Amount(NamedTuple):
    """How much a subtree is."""

    nodes: int
    bytes: int


def measure(connection: Connection, top: int, *, deep: bool) -> Amount:
    """How much the node is, with all below it if `deep`."""
    return Amount(*map(int, connection.execute(_MEASURE, {"top": top, "deep": deep}).one()))


def height(connection: Connection, top: int) -> int:
    """Names in the longest path from the node down; 0 for a file."""
    return connection.scalars(_HEIGHT, {"top": top}).one()


def delete_all(connection: Connection, top: int) -> None:
    """Delete the node and all below, with their properties; retire their versions.

    Their locks are gone already.
    """
    values = {"top": top, "deep": True, "now_ns": time.time_ns()}
    properties.drop(connection, _NUMBERS, values)
    connection.execute(_RETIRE, values)
    connection.execute(_DELETE, values)


def copy_all(connection: Connection, top: int, copy: Node, *, deep: bool) -> None:
    """Write `copy`, of the node `top`, and copies of all below if `deep`; properties as well.

    The numbers from that of `copy` on are given to them: as many as `measure` counts.
    """
    values = {
        "top": top,
        "deep": deep,
        "base": copy.no,
        "directory": copy.parent,
        "new_name": copy.name,
        "new_owner": copy.owner,
        "now_ns": copy.created_ns,
    }
    connection.execute(_COPY, values)
    properties.copy(connection, _PAIRS, values)
