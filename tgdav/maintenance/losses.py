"""What a lost pack costs: how many blocks, and which files.

The paths are for the person who has to bring those files again; they are never logged.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, func, select

from tgdav.blocks.rows.tables import blocks
from tgdav.db import Database
from tgdav.tree.nodes import lineage
from tgdav.tree.tables import extents, nodes

PAGE = 200

_BLOCKS = select(func.count()).where(blocks.c.pack == bindparam("of_pack"))
_FILES = (
    select(nodes.c.no)
    .distinct()
    .join(extents, extents.c.version == nodes.c.version)
    .join(blocks, blocks.c.no == extents.c.block)
    .where(blocks.c.pack == bindparam("of_pack"), nodes.c.no > bindparam("after"))
    .order_by(nodes.c.no)
    .limit(PAGE)
)
_NAMES = select(nodes.c.no, nodes.c.name).where(
    nodes.c.no.in_(bindparam("numbers", expanding=True))
)


def blocks_in(connection: Connection, pack: int) -> int:
    """How many blocks the pack has that are nowhere else."""
    return int(connection.scalars(_BLOCKS, {"of_pack": pack}).one())


def files(db: Database, pack: int) -> Iterator[tuple[int, str]]:
    """The files that have bytes in the pack: their numbers and paths."""
    after = 0
    while True:
        with db.read() as connection:
            told = {"of_pack": pack, "after": after}
            page = [(no, _path(connection, no)) for no in connection.scalars(_FILES, told).all()]
        if not page:
            return
        yield from page
        after = page[-1][0]


def _path(connection: Connection, node: int) -> str:
    chain = lineage(connection, node)
    names = {row.no: row.name for row in connection.execute(_NAMES, {"numbers": chain})}
    return "/".join(names[no] for no in chain)
