"""The whole tree as lines, and back: what a snapshot consists of.

A line is a JSON array: a table's name and a row's values. The first line names the
columns, so that a later tgdav reads what an earlier one wrote. Blocks go by id. Locks
are left out: they mean something to clients that are connected.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, Table, delete, func, insert, select

from tgdav.blocks.rows import index
from tgdav.blocks.rows.lost import number_of
from tgdav.blocks.rows.tables import blocks
from tgdav.errors import PackDamaged
from tgdav.tree.tables import (
    extents,
    history,
    journal,
    nodes,
    properties,
    retired,
    trash,
    trashed,
    trashed_properties,
    users,
    versions,
)

TABLES: tuple[Table, ...] = (
    *(versions, nodes, extents, properties, retired, users),
    *(history, trash, trashed, trashed_properties),
)
"""In an order in which each row finds what it refers to."""

PAGE = 1000
FORM = 1

_BY_NAME = {table.name: table for table in TABLES}


def _by_level() -> Select[Any]:
    """Nodes, those above before those below; what has nothing above, first."""
    top = select(nodes.c.no, nodes.c.no.op("*")(0).label("level")).where(nodes.c.parent.is_(None))
    below = top.cte("below", recursive=True)
    step = select(nodes.c.no, below.c.level + 1).join_from(
        below, nodes, nodes.c.parent == below.c.no
    )
    below = below.union_all(step)
    return select(nodes).join_from(below, nodes, nodes.c.no == below.c.no).order_by(below.c.level)


_ROWS: dict[str, Select[Any]] = {
    "nodes": _by_level(),
    "extents": select(*extents.c, blocks.c.block_id, blocks.c.size.label("block_size")).join(
        blocks, blocks.c.no == extents.c.block
    ),
}
_POSITION = select(func.coalesce(func.max(journal.c.no), 0))


def position(connection: Connection) -> int:
    """The number of the last change that the journal still has here; 0 if none."""
    return int(connection.scalars(_POSITION).one())


def lines(connection: Connection) -> Iterator[bytes]:
    """The tree as this transaction sees it; a page of rows in memory at a time."""
    selects = {table.name: _ROWS.get(table.name, select(table)) for table in TABLES}
    columns = {name: list(rows.selected_columns.keys()) for name, rows in selects.items()}
    yield _line({"form": FORM, "columns": columns})
    for name, rows in selects.items():
        is_bytes = [isinstance(column.type, LargeBinary) for column in rows.selected_columns]
        with connection.execute(rows, execution_options={"yield_per": PAGE}) as result:
            for row in result:
                values = (
                    v.hex() if b and v is not None else v
                    for v, b in zip(row, is_bytes, strict=True)
                )
                yield _line([name, *values])


def _line(told: object) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def columns_in(line: bytes) -> dict[str, list[str]]:
    """What the first line says. Raises `PackDamaged` if this tgdav cannot read what follows."""
    told = json.loads(line)
    if not isinstance(told, dict) or told.get("form") != FORM:
        raise PackDamaged("a snapshot of a form that this tgdav does not know")
    for name, names in told["columns"].items():
        known = _BY_NAME.get(name)
        extra = {"block_id", "block_size"} if name == "extents" else set()
        if known is None or set(names) - extra - set(known.c.keys()):
            raise PackDamaged(f"a snapshot of a newer tgdav: it has other {name}")
    return dict(told["columns"])


def load(connection: Connection, columns: dict[str, list[str]], rows: Iterable[list[Any]]) -> None:
    """Write rows (a table's name and values) of an image, in the order of its lines.

    A block that is recorded nowhere is recorded as lost, so that the name shows and the
    content heals when it is saved again.
    """
    gathered: list[dict[str, Any]] = []
    of = ""
    for name, *values in rows:
        if name != of and gathered:
            _insert(connection, of, gathered)
            gathered = []
        of = name
        gathered.append(dict(zip(columns[name], values, strict=True)))
    if gathered:
        _insert(connection, of, gathered)


def _insert(connection: Connection, name: str, rows: list[dict[str, Any]]) -> None:
    table = _BY_NAME[name]
    for column in table.c:
        if isinstance(column.type, LargeBinary):
            for row in rows:
                if row.get(column.key) is not None:
                    row[column.key] = bytes.fromhex(row[column.key])
    if table is extents:
        _name_blocks(connection, rows)
    connection.execute(insert(table), rows)


def _name_blocks(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Put the blocks' numbers in this database in place of their ids."""
    ids = [(bytes.fromhex(row.pop("block_id")), row.pop("block_size")) for row in rows]
    known = index.find(connection, {block_id for block_id, _ in ids})
    for row, (block_id, size) in zip(rows, ids, strict=True):
        row["block"] = number_of(connection, known, block_id, size)


def clear(connection: Connection) -> None:
    """Forget all that was loaded."""
    for table in reversed(TABLES):
        connection.execute(delete(table))
