"""Blocks that something names and no pack at hand has: recorded, and dead.

They lie in a pack of no size that no store keeps. A read of one says so at once; a save of
the same content, the pack or the file that turns up, brings it back for all who name it.
"""

import time
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select, update

from tgdav.blocks.form.draft import Logged, LoggedBlock
from tgdav.blocks.rows.index import Known
from tgdav.blocks.rows.numbers import reserve
from tgdav.blocks.rows.tables import blocks, mislaid, packs, staged

LOST = bytes(16)
"""The id of the pack that does not exist."""

_PACK = select(packs.c.no).where(packs.c.pack_id == LOST)
_COUNT = select(func.count()).where(blocks.c.pack == bindparam("of_pack"))
_GIVE_UP = (
    update(blocks)
    .where(blocks.c.no == bindparam("of_no"), blocks.c.pack.is_(None))
    .values(pack=bindparam("to_pack"), pack_offset=0, sealed_size=0)
)
_UNSTAGE = delete(staged).where(staged.c.block == bindparam("of_no"))
_MISLAY = insert(mislaid)
_FIND = delete(mislaid).where(mislaid.c.block == bindparam("of_no"))
_MISLAID = select(mislaid, (packs.c.pack_id == LOST).label("is_lost")).select_from(
    mislaid.join(blocks, blocks.c.no == mislaid.c.block).outerjoin(
        packs, packs.c.no == blocks.c.pack
    )
)
_TAKE_BACK = (
    update(blocks)
    .where(blocks.c.no == bindparam("of_no"), blocks.c.pack == _PACK.scalar_subquery())
    .values(pack=None, pack_offset=None, sealed_size=bindparam("of_sealed_size"))
)
_STAGE = insert(staged)
_DROP = delete(blocks).where(blocks.c.pack == _PACK.scalar_subquery())
_DROP_PACK = delete(packs).where(
    packs.c.pack_id == LOST, ~exists().where(blocks.c.pack == packs.c.no)
)


def number_of(connection: Connection, known: dict[bytes, Known], block_id: bytes, size: int) -> int:
    """The block's number; one that is not among `known` is recorded as lost, and put there."""
    if block_id not in known:
        no = reserve(connection, "block")[0]
        row = {"no": no, "block_id": block_id, "size": size, "sealed_size": 0}
        row |= {"pack": _pack(connection), "pack_offset": 0, "created_ns": time.time_ns()}
        connection.execute(insert(blocks), row)
        known[block_id] = Known(no, is_alive=False)
    return known[block_id].no


class Mislaid(NamedTuple):
    """A block that was staged, and where the staging log should have it."""

    no: int
    logged: Logged
    is_lost: bool
    """False once it was brought back otherwise."""


def mislay(connection: Connection, block: LoggedBlock) -> None:
    """Say that a staged block is lost, as its bytes are not where they were written."""
    told = {"of_no": block.no, "to_pack": _pack(connection)}
    if connection.execute(_GIVE_UP, told).rowcount:
        connection.execute(_UNSTAGE, told)
        connection.execute(_FIND, told)
        log, offset, size = block.logged
        row = {"block": block.no, "log": log, "log_offset": offset, "sealed_size": size}
        connection.execute(_MISLAY, row)


def all_mislaid(connection: Connection) -> list[Mislaid]:
    """What was mislaid and not found yet."""
    return [
        Mislaid(row.block, Logged(row.log, row.log_offset, row.sealed_size), bool(row.is_lost))
        for row in connection.execute(_MISLAID)
    ]


def stage_again(connection: Connection, found: Collection[Mislaid]) -> int:
    """Stage those that are lost still, and seek none of these any more; the bytes staged."""
    total = 0
    for no, (log, offset, size), _ in found:
        told = {"of_no": no, "of_sealed_size": size}
        if connection.execute(_TAKE_BACK, told).rowcount:
            row = {"block": no, "sealed": b"", "sealed_size": size, "staged_ns": time.time_ns()}
            connection.execute(_STAGE, row | {"log": log, "log_offset": offset})
            total += size
        connection.execute(_FIND, told)
    return total


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
        no = reserve(connection, "pack")[0]
        row = {"no": no, "pack_id": LOST, "size": 0, "digest": b"", "caption": "", "kind": "lost"}
        connection.execute(insert(packs), row | {"created_ns": time.time_ns()})
    return no
