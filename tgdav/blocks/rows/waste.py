"""Packs that are mostly or wholly dead: statements for gc.

A pack is dead when no block of the index lies in it. It is dropped a grace of uptime
after that was noticed, as readers may still be at it. Packs in any spool are left alone.
Each function works on a transaction's connection.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from tgdav.blocks.rows import index
from tgdav.blocks.rows.index import NewBlock
from tgdav.blocks.rows.tables import blocks, packs, replicas, stores, waste
from tgdav.stores.base import Locator
from tgdav.stores.pool import Replica

_has_blocks = exists().select_from(blocks).where(blocks.c.pack == packs.c.no)
_in_spool = (
    exists()
    .select_from(replicas.join(stores, stores.c.no == replicas.c.store))
    .where(replicas.c.pack == packs.c.no, stores.c.kind == "spool", stores.c.state != "gone")
)
_elsewhere = (
    select(func.count())
    .select_from(replicas.join(stores, stores.c.no == replicas.c.store))
    .where(
        replicas.c.pack == waste.c.heir,
        replicas.c.state == index.SOUND,
        stores.c.kind != "spool",
        stores.c.state != "gone",
    )
    .correlate(waste)
    .scalar_subquery()
)
_AFTER = packs.c.no > bindparam("after", type_=BigInteger)
_COLUMNS = (
    packs.c.no,
    packs.c.pack_id,
    packs.c.size,
    packs.c.caption,
    func.coalesce(waste.c.bytes, 0).label("bytes"),
    waste.c.dead_uptime_ns,
    waste.c.heir,
)
_with_waste = packs.outerjoin(waste, waste.c.pack == packs.c.no)
_DEAD = (
    select(*_COLUMNS)
    .select_from(_with_waste)
    .where(
        _AFTER,
        packs.c.created_ns < bindparam("older_ns", type_=BigInteger),
        ~_has_blocks,
        ~_in_spool,
    )
    .order_by(packs.c.no)
    .limit(index.BATCH)
)
_WASTED = (
    select(*_COLUMNS)
    .select_from(packs.join(waste, waste.c.pack == packs.c.no))
    .where(
        _AFTER,
        waste.c.heir.is_(None),
        waste.c.bytes >= packs.c.size * bindparam("share", type_=Float),
        ~_in_spool,
    )
    .order_by(packs.c.no)
    .limit(index.BATCH)
)
_SET = (
    update(waste)
    .where(waste.c.pack == bindparam("of_pack"))
    .values(dead_uptime_ns=bindparam("at_uptime_ns"))
)
_BEGIN = insert(waste)
_INHERIT = update(waste).where(waste.c.pack == bindparam("of_pack")).values(heir=bindparam("to"))
_IS_DEAD = select(packs.c.no).where(packs.c.no == bindparam("of_pack"), ~_has_blocks, ~_in_spool)
_HEIR_IS_SAFE = select(waste.c.pack).where(
    waste.c.pack == bindparam("of_pack"),
    (waste.c.heir.is_(None)) | (_elsewhere >= bindparam("copies")),
)
_REPLICAS = (
    select(replicas.c.store, replicas.c.locator)
    .join(stores, stores.c.no == replicas.c.store)
    .where(replicas.c.pack == bindparam("of_pack"), stores.c.state != "gone")
    .order_by(replicas.c.state)
)
_FORGET = (
    delete(waste).where(waste.c.pack == bindparam("of_pack")),
    delete(replicas).where(replicas.c.pack == bindparam("of_pack")),
    delete(packs).where(packs.c.no == bindparam("of_pack")),
)
_LIVE = (
    select(
        blocks.c.no, blocks.c.block_id, blocks.c.size, blocks.c.sealed_size, blocks.c.pack_offset
    )
    .where(
        blocks.c.pack == bindparam("of_pack"),
        blocks.c.pack_offset > bindparam("after", type_=BigInteger),
    )
    .order_by(blocks.c.pack_offset)
    .limit(index.BATCH)
)
_MOVE = (
    update(blocks)
    .where(blocks.c.no == bindparam("of_no"), blocks.c.pack == bindparam("from_pack"))
    .values(pack=bindparam("into_pack"), pack_offset=bindparam("at_offset"))
)


class Wasted(NamedTuple):
    """A pack, and what gc knows of it."""

    no: int
    pack_id: bytes
    size: int
    caption: str
    bytes: int
    """Sealed, of blocks that were collected from it."""
    dead_uptime_ns: int | None
    heir: int | None


class Live(NamedTuple):
    """A block that still lies in a pack."""

    no: int
    block_id: bytes
    size: int
    sealed_size: int
    offset: int


def dead(connection: Connection, after: int, older_ns: int) -> list[Wasted]:
    """The next packs after that number in which no block lies, recorded before then."""
    told = {"after": after, "older_ns": older_ns}
    return [Wasted(*row) for row in connection.execute(_DEAD, told)]


def wasted(connection: Connection, after: int, share: float) -> list[Wasted]:
    """The next packs of which at least this share was collected."""
    told = {"after": after, "share": share}
    return [Wasted(*row) for row in connection.execute(_WASTED, told)]


def note_dead(connection: Connection, pack: int, uptime_ns: int) -> None:
    """Note that no block lies in the pack at this uptime."""
    told = {"of_pack": pack, "at_uptime_ns": uptime_ns}
    if not connection.execute(_SET, told).rowcount:
        row = {"pack": pack, "bytes": 0, "dead_uptime_ns": uptime_ns}
        connection.execute(_BEGIN, row)


def may_go(connection: Connection, pack: int, copies: int) -> bool:
    """True if the pack is dead still, and stores have what was copied from it as promised."""
    is_dead = connection.scalars(_IS_DEAD, {"of_pack": pack}).one_or_none() is not None
    told = {"of_pack": pack, "copies": copies}
    return is_dead and connection.scalars(_HEIR_IS_SAFE, told).one_or_none() is not None


def kept_by(connection: Connection, pack: int) -> list[Replica]:
    """Its replicas in stores that are not gone, the sound ones first."""
    rows = connection.execute(_REPLICAS, {"of_pack": pack})
    return [Replica(store, Locator(locator)) for store, locator in rows]


def forget(connection: Connection, pack: int) -> None:
    """Take the pack out of the index, when no store has it any more."""
    for statement in _FORGET:
        connection.execute(statement, {"of_pack": pack})


def live(connection: Connection, pack: int, after: int) -> list[Live]:
    """The next blocks that lie in the pack behind this offset, in order."""
    told = {"of_pack": pack, "after": after}
    return [Live(*row) for row in connection.execute(_LIVE, told)]


def move(
    connection: Connection, moved: Sequence[NewBlock], sources: Mapping[int, int], heir: int
) -> None:
    """Say that these blocks lie in `heir`, each unless it left its source (by number)."""
    rows = [
        {
            "of_no": block.no,
            "from_pack": sources[block.no],
            "into_pack": block.pack,
            "at_offset": block.pack_offset,
        }
        for block in moved
    ]
    if rows:
        connection.execute(_MOVE, rows)


def inherit(connection: Connection, pack: int, heir: int) -> None:
    """Note that all that is still needed of the pack is in `heir`, too."""
    connection.execute(_INHERIT, {"of_pack": pack, "to": heir})
