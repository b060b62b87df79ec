"""Unreferenced blocks on their way out of the index: statements for gc and for saves.

First look: condemned. A save that finds the block again takes it back in the same
transaction. Second look, a grace of uptime later: out of the index. Each function works
on a transaction's connection and asks again there, so it may be run at any time.

`extents` belongs to the tree, above this room; it is known here by its name only.
"""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    select,
    table,
    update,
)

from tgdav.blocks.rows import index
from tgdav.blocks.rows.tables import blocks, condemned, holds, mislaid, staged, waste
from tgdav.db.prepared import Prepared

_extents = table("extents", column("block"))
_NUMBERS: BindParameter[int] = bindparam("numbers", expanding=True)
_NOW = bindparam("now_ns", type_=BigInteger)
_is_referenced = exists().select_from(_extents).where(_extents.c.block == blocks.c.no)
_is_held = exists().select_from(holds).where(holds.c.block == blocks.c.no, holds.c.until_ns > _NOW)
_is_condemned = exists().select_from(condemned).where(condemned.c.block == blocks.c.no)

_UNREFERENCED = (
    select(blocks.c.no, blocks.c.sealed_size)
    .where(
        blocks.c.no > bindparam("after", type_=BigInteger),
        blocks.c.no <= bindparam("up_to", type_=BigInteger),
        blocks.c.created_ns < bindparam("older_ns", type_=BigInteger),
        ~_is_referenced,
        ~_is_held,
        ~_is_condemned,
    )
    .order_by(blocks.c.no)
)
_STILL = select(blocks.c.no).where(
    blocks.c.no.in_(_NUMBERS), ~_is_referenced, ~_is_held, ~_is_condemned
)
_CONDEMN = insert(condemned)
_DUE = (
    select(condemned.c.block)
    .where(
        condemned.c.uptime_ns <= bindparam("until_ns", type_=BigInteger),
        condemned.c.block > bindparam("after", type_=BigInteger),
    )
    .order_by(condemned.c.block)
    .limit(index.BATCH)
)
_DUE_SUM = (
    select(func.count(), func.coalesce(func.sum(blocks.c.sealed_size), 0))
    .select_from(condemned.join(blocks, blocks.c.no == condemned.c.block))
    .where(
        condemned.c.uptime_ns <= bindparam("until_ns", type_=BigInteger),
        ~_is_referenced,
        ~_is_held,
    )
)
_ALL_SUM = select(func.coalesce(func.sum(blocks.c.sealed_size), 0))
_GOING = select(blocks.c.no, blocks.c.pack, blocks.c.sealed_size).where(
    blocks.c.no.in_(_NUMBERS), ~_is_referenced, ~_is_held, _is_condemned
)
_REVIVE = delete(condemned).where(condemned.c.block.in_(_NUMBERS))
_ANY = Prepared(select(condemned.c.block).limit(1))
_UNSTAGE = delete(staged).where(staged.c.block.in_(_NUMBERS))
_UNSEEK = delete(mislaid).where(mislaid.c.block.in_(_NUMBERS))
_UNHOLD = delete(holds).where(holds.c.block.in_(_NUMBERS))
_DROP = delete(blocks).where(blocks.c.no.in_(_NUMBERS))
_WASTE_MORE = (
    update(waste)
    .where(waste.c.pack == bindparam("of_pack"))
    .values(bytes=waste.c.bytes + bindparam("more"))
)
_WASTE_BEGIN = insert(waste)
_VOID_HOLDS = delete(holds).where(holds.c.until_ns < _NOW)
_LAST = select(func.coalesce(func.max(blocks.c.no), 0))
_LOST = (
    select(func.count(func.distinct(blocks.c.pack)))
    .select_from(blocks)
    .where(blocks.c.pack.is_not(None), ~index.IS_ALIVE, _is_referenced)
)


class Sum(NamedTuple):
    """Blocks, and the bytes of them sealed."""

    blocks: int
    bytes: int


def last(connection: Connection) -> int:
    """The largest number of a block."""
    return int(connection.scalars(_LAST).one())


def unreferenced(
    connection: Connection, after: int, up_to: int, older_ns: int
) -> list[tuple[int, int]]:
    """(number, sealed size) of those blocks in (`after`, `up_to`] that could be condemned.

    `older_ns`: created before then.
    """
    told = {"after": after, "up_to": up_to, "older_ns": older_ns, "now_ns": time.time_ns()}
    return [(no, size) for no, size in connection.execute(_UNREFERENCED, told)]


def condemn(connection: Connection, numbers: Sequence[int], uptime_ns: int) -> int:
    """Condemn those of these blocks that are unreferenced still; how many."""
    told = {"numbers": list(numbers), "now_ns": time.time_ns()}
    still = list(connection.scalars(_STILL, told))
    if still:
        connection.execute(_CONDEMN, [{"block": no, "uptime_ns": uptime_ns} for no in still])
    return len(still)


def revive(connection: Connection, numbers: Iterable[int]) -> None:
    """Take these blocks back, if they are condemned: somebody relies on them again."""
    if _ANY.rows(connection, {}):
        for batch in index.batches(numbers):
            connection.execute(_REVIVE, {"numbers": batch})


def due(connection: Connection, until_ns: int, after: int) -> list[int]:
    """The next blocks that were condemned at that uptime or before."""
    return list(connection.scalars(_DUE, {"until_ns": until_ns, "after": after}))


def due_in_all(connection: Connection, until_ns: int) -> Sum:
    """What `collect` would take of what is due."""
    told = {"until_ns": until_ns, "now_ns": time.time_ns()}
    return Sum(*map(int, connection.execute(_DUE_SUM, told).one()))


def sealed_bytes(connection: Connection) -> int:
    """Bytes of all sealed blocks."""
    return int(connection.scalars(_ALL_SUM).one())


def collect(connection: Connection, numbers: Sequence[int]) -> Sum:
    """Take these condemned blocks out of the index, and note what they leave in their packs.

    One that is referenced or held by now is taken back instead.
    """
    told = {"numbers": list(numbers), "now_ns": time.time_ns()}
    going = connection.execute(_GOING, told).all()
    connection.execute(_REVIVE, told)
    if not going:
        return Sum(0, 0)
    gone = {"numbers": [row.no for row in going]}
    for statement in (_UNSTAGE, _UNSEEK, _UNHOLD, _DROP):
        connection.execute(statement, gone)
    left: dict[int, int] = {}
    for _, pack, size in going:
        if pack is not None:
            left[pack] = left.get(pack, 0) + size
    for pack, size in left.items():
        _add_waste(connection, pack, size)
    return Sum(len(going), sum(row.sealed_size for row in going))


def drop_void_holds(connection: Connection, before_ns: int) -> None:
    """Forget holds whose time was up before then."""
    connection.execute(_VOID_HOLDS, {"now_ns": before_ns})


def lost_packs(connection: Connection) -> int:
    """How many packs no store has sound, though a file needs them."""
    return connection.scalars(_LOST).one()


def _add_waste(connection: Connection, pack: int, size: int) -> None:
    if not connection.execute(_WASTE_MORE, {"of_pack": pack, "more": size}).rowcount:
        connection.execute(_WASTE_BEGIN, {"pack": pack, "bytes": size})
