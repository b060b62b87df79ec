"""A node and all below it, measured, copied, thrown away and brought back in a few statements.

However many nodes there are, none of them is brought here. Asks for no permit and no
lock: `changes` does that first.
"""

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
    null,
    select,
)
from sqlalchemy.dialects import postgresql

from tgdav.tree import properties
from tgdav.tree.nodes import Node
from tgdav.tree.tables import NAME, nodes, retired, trashed, trashed_properties, versions
from tgdav.tree.tables import properties as kept

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
_COPY = insert(nodes).from_select(
    ["no", "parent", "name", "version", "owner", "created_ns", "modified_ns"], _copy()
)
_PAIRS = _numbered()

_ENTRY = bindparam("entry", type_=BigInteger)
_IN_ENTRY = select(trashed.c.no).where(trashed.c.trash == _ENTRY)
_THROW = insert(trashed).from_select(
    ["no", "trash", "parent", "name", "version", "owner", "created_ns", "modified_ns"],
    select(
        nodes.c.no,
        _ENTRY,
        case((nodes.c.no == _TOP, null()), else_=nodes.c.parent),
        nodes.c.name,
        nodes.c.version,
        nodes.c.owner,
        nodes.c.created_ns,
        nodes.c.modified_ns,
    ).where(nodes.c.no.in_(_NUMBERS)),
)
_THROW_PROPERTIES = insert(trashed_properties).from_select(
    ["node", "name", "value"],
    select(kept.c.node, kept.c.name, kept.c.value).where(kept.c.node.in_(_IN_ENTRY)),
)
_DELETE = delete(nodes).where(nodes.c.no.in_(_IN_ENTRY))
_DELETE_ALONE = delete(nodes).where(nodes.c.no == _TOP)
_BRING_BACK = insert(nodes).from_select(
    ["no", "parent", "name", "version", "owner", "created_ns", "modified_ns"],
    select(
        trashed.c.no,
        func.coalesce(trashed.c.parent, bindparam("directory", type_=BigInteger)),
        case((trashed.c.parent.is_(None), bindparam("new_name", type_=NAME)), else_=trashed.c.name),
        trashed.c.version,
        trashed.c.owner,
        trashed.c.created_ns,
        trashed.c.modified_ns,
    ).where(trashed.c.trash == _ENTRY),
)
_BRING_BACK_PROPERTIES = insert(kept).from_select(
    ["node", "name", "value"],
    select(trashed_properties.c.node, trashed_properties.c.name, trashed_properties.c.value).where(
        trashed_properties.c.node.in_(_IN_ENTRY)
    ),
)
_EMPTY = (
    delete(trashed_properties).where(trashed_properties.c.node.in_(_IN_ENTRY)),
    delete(trashed).where(trashed.c.trash == _ENTRY),
)

# A version that was retired before, while a copy kept it, is retired from now on. This
# insert, from the PostgreSQL room of SQLAlchemy, reads the same on SQLite.
_retire = postgresql.insert(retired).from_select(
    ["version", "retired_ns"],
    select(trashed.c.version, bindparam("now_ns", type_=BigInteger))
    .distinct()
    .where(trashed.c.trash == _ENTRY, trashed.c.version.is_not(None)),
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


def throw_away(connection: Connection, top: int, entry: int, at_ns: int) -> None:
    """Make the node and all below the content of an entry of the trash; retire their versions.

    Their properties go with them; their locks are gone already.
    """
    values = {"top": top, "deep": True, "entry": entry, "now_ns": at_ns}
    connection.execute(_THROW, values)
    connection.execute(_THROW_PROPERTIES, values)
    properties.drop(connection, _IN_ENTRY, values)
    connection.execute(_RETIRE, values)
    connection.execute(_DELETE, values)


def bring_back(connection: Connection, entry: int, directory: int, name: str) -> None:
    """Take all nodes and properties of an entry out of the trash; its top gets this place."""
    values = {"entry": entry, "directory": directory, "new_name": name}
    connection.execute(_BRING_BACK, values)
    connection.execute(_BRING_BACK_PROPERTIES, values)
    for statement in _EMPTY:
        connection.execute(statement, values)


def delete_alone(connection: Connection, no: int) -> None:
    """Delete one node that has none below, and its properties; its locks are gone already."""
    values = {"top": no, "deep": False}
    properties.drop(connection, _NUMBERS, values)
    connection.execute(_DELETE_ALONE, values)


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
