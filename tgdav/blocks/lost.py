"""Blocks that something names and no pack at hand has: recorded, and dead.

They lie in a pack of no size that no store keeps. A read of one says so at once; a save
of the same content, or the pack that turns up, brings it back for all who name it.
"""

import time
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select

from tgdav.blocks.index import Known
from tgdav.blocks.tables import blocks, packs

LOST = bytes(16)
"""The id of the pack that does not exist."""

_PACK = select(packs.c.no).where(packs.c.pack_id == LOST)
_COUNT = select(func.count()).where(blocks.c.pack == bindparam("of_pack"))
_NEXT = select(func.coalesce(func.max(blocks.c.no), 0) + 1)
_NEXT_PACK = select(func.coalesce(func.max(packs.c.no), 0) + 1)
_DROP = delete(blocks).where(blocks.c.pack == _PACK.scalar_subquery())
_DROP_PACK = delete(packs).where(
    packs.c.pack_id == LOST, ~exists().where(blocks.c.pack == packs.c.no)
)


def number_of(connection: Connection, known: dict[bytes, Known], block_id: bytes, size: int) -> int:
    """The block's number; one that is not among `known` is recorded as lost, and put there.

    Only in a recovery: it takes the next number there is, which nobody else wants then.
    """
    if block_id not in known:
        no = int(connection.scalars(_NEXT).one())
        row = {"no": no, "block_id": block_id, "size": size, "sealed_size": 0}
        row |= {"pack": _pack(connection), "pack_offset": 0, "created_ns": time.time_ns()}
        connection.execute(insert(blocks), row)
        known[block_id] = Known(no, is_alive=False)
    return known[block_id].no


def count(connection: Connection) -> int:
    """How many blocks are lost."""
    pack = connection.scalars(_PACK).one_or_none()
    return 0 if pack is None else int(connection.scalars(_COUNT, {"of_pack": pack}).one())


def forget_unnamed(connection: Connection, named: Select[Any]) -> None:
    """Forget the lost blocks that `named` (their numbers) does not give."""
    connection.execute(_DROP.where(blocks.c.no.not_in(named)))
    connection.execute(_DROP_PACK)


def _pack(connection: Connection) -> int:
    no = connection.scalars(_PACK).one_or_none()
    if no is None:
        no = int(connection.scalars(_NEXT_PACK).one())
        row = {"no": no, "pack_id": LOST, "size": 0, "digest": b"", "caption": "", "kind": "lost"}
        connection.execute(insert(packs), row | {"created_ns": time.time_ns()})
    return no
