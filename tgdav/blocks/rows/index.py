"""Which blocks there are and where they lie: statements on blocks, packs, replicas.

Each function works on a transaction's connection and does nothing but SQL, so it may
be run again. A block is *alive* while it is staged or a store should have it sound.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, bindparam, case, exists, func, insert, select, update

from tgdav.blocks.form.pack import parse_caption
from tgdav.blocks.rows.tables import blocks, condemned, packs, replicas, staged, stores
from tgdav.db.prepared import Prepared
from tgdav.errors import StoreBusy
from tgdav.stores.base import Locator
from tgdav.stores.pool import Replica

T = TypeVar("T")

SOUND, SUSPECT = "sound", "suspect"
BATCH = 500
"""Values in one IN: far below what any database takes, and enough to be one round trip."""

_kept = replicas.join(stores, (stores.c.no == replicas.c.store) & (stores.c.state != "gone"))
IS_ALIVE = case(
    (blocks.c.pack.is_(None), exists().where(staged.c.block == blocks.c.no)),
    else_=exists()
    .select_from(_kept)
    .where(replicas.c.pack == blocks.c.pack, replicas.c.state == SOUND),
)
_is_condemned = exists().select_from(condemned).where(condemned.c.block == blocks.c.no)
_FIND = Prepared(
    select(blocks.c.block_id, blocks.c.no, IS_ALIVE.label("is_alive"), _is_condemned).where(
        blocks.c.block_id.in_(bindparam("ids", expanding=True))
    ),
    "ids",
)
_COUNT = select(func.count()).where(blocks.c.no.in_(bindparam("numbers", expanding=True)))
_LOCATE = Prepared(
    select(
        blocks.c.no,
        blocks.c.block_id,
        blocks.c.size,
        blocks.c.sealed_size,
        blocks.c.pack,
        blocks.c.pack_offset,
        replicas.c.store,
        replicas.c.locator,
    )
    .select_from(blocks.outerjoin(_kept, replicas.c.pack == blocks.c.pack))
    .where(blocks.c.no.in_(bindparam("numbers", expanding=True)))
    .order_by(replicas.c.state),  # "sound" before "suspect"
    "numbers",
)
_INSERT_BLOCK = Prepared(insert(blocks))
_REVIVE = (
    update(blocks)
    .where(blocks.c.no == bindparam("of_no"))
    .values(
        pack=bindparam("into_pack"),
        pack_offset=bindparam("at_offset"),
        sealed_size=bindparam("of_sealed_size"),
    )
)
_INSERT_PACK = insert(packs)
_PACK_NO = select(packs.c.no).where(packs.c.pack_id == bindparam("of_pack_id"))
_INSERT_REPLICA = insert(replicas)
_RENEW_REPLICA = (
    update(replicas)
    .where(replicas.c.pack == bindparam("of_pack"), replicas.c.store == bindparam("of_store"))
    .values(locator=bindparam("at_locator"), state=SOUND, verified_ns=bindparam("now_ns"))
)
_STATE = select(stores.c.state).where(stores.c.no == bindparam("of_store"))
_SUSPECT = (
    update(replicas)
    .where(
        replicas.c.store == bindparam("of_store"),
        replicas.c.locator == bindparam("of_locator"),
        replicas.c.state == SOUND,
    )
    .values(state=SUSPECT)
)


class Known(NamedTuple):
    """A recorded block."""

    no: int
    is_alive: bool
    is_condemned: bool = False
    """gc may take it out of the index, unless a save takes it back first."""


class Located(NamedTuple):
    """Where a sealed block is; staged if `pack` is None."""

    block_id: bytes
    size: int
    sealed_size: int
    pack: int | None
    offset: int
    replicas: tuple[Replica, ...]


class NewBlock(NamedTuple):
    """A block to be recorded, in a pack if `pack` is not None."""

    no: int
    block_id: bytes
    size: int
    sealed_size: int
    pack: int | None
    pack_offset: int | None


class Named(Protocol):
    """A block that is meant to have this number."""

    @property
    def no(self) -> int: ...

    @property
    def block_id(self) -> bytes: ...


class NewPack(NamedTuple):
    """A finished pack, as its row says it."""

    no: int
    pack_id: bytes
    size: int
    digest: bytes
    caption: str


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """`values` in lists of at most `size`."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def find(connection: Connection, ids: Collection[bytes]) -> dict[bytes, Known]:
    """Those of `ids` that are recorded."""
    return {
        block_id: Known(no, bool(is_alive), bool(is_condemned))
        for batch in batches(ids)
        for block_id, no, is_alive, is_condemned in _FIND.rows(connection, {"ids": batch})
    }


def count(connection: Connection, numbers: Iterable[int]) -> int:
    """How many of these distinct numbers are blocks'."""
    return sum(connection.scalars(_COUNT, {"numbers": batch}).one() for batch in batches(numbers))


def locate(connection: Connection, numbers: Collection[int]) -> dict[int, Located]:
    """Where these blocks are, the more trustworthy replicas first."""
    found: dict[int, Located] = {}
    for batch in batches(numbers):
        for no, block_id, size, sealed_size, pack, offset, store, locator in _LOCATE.rows(
            connection, {"numbers": batch}
        ):
            replica = () if store is None else (Replica(store, Locator(locator)),)
            before = found[no].replicas if no in found else ()
            found[no] = Located(block_id, size, sealed_size, pack, offset or 0, before + replica)
    return found


def record_blocks(
    connection: Connection, new: Collection[NewBlock], known: Mapping[bytes, Known]
) -> None:
    """Record blocks, given what `find` knows of them in this transaction.

    A block that is alive stays where it is. One that is dead moves to where the new one
    lies: what was lost must never poison what is saved now, and old files heal by it.
    """
    now = time.time_ns()
    fresh = [block._asdict() | {"created_ns": now} for block in new if block.block_id not in known]
    if fresh:
        _INSERT_BLOCK.run_each(connection, fresh)
    dead = [
        block for block in new if block.block_id in known and not known[block.block_id].is_alive
    ]
    if dead:
        connection.execute(_REVIVE, [_move(known[block.block_id].no, block) for block in dead])


def renumbered(new: Iterable[Named], known: Mapping[bytes, Known]) -> dict[int, int]:
    """The recorded numbers of those blocks that have one, by the numbers meant for them."""
    return {block.no: known[block.block_id].no for block in new if block.block_id in known}


def is_alive(known: Known | None) -> bool:
    """True if the block is recorded, and somebody should have it."""
    return known is not None and known.is_alive


def _move(no: int, block: NewBlock) -> dict[str, int | None]:
    return {
        "of_no": no,
        "into_pack": block.pack,
        "at_offset": block.pack_offset,
        "of_sealed_size": block.sealed_size,
    }


def record_pack(connection: Connection, pack: NewPack, kept: Iterable[Replica]) -> int:
    """Record a pack that these stores have; its number.

    That is another one than it should have if it was found in a store and recorded before.
    """
    now = time.time_ns()
    no = connection.scalars(_PACK_NO, {"of_pack_id": pack.pack_id}).one_or_none()
    if no is None:
        no = pack.no
        connection.execute(_INSERT_PACK, pack._asdict() | _told(pack.caption) | {"created_ns": now})
    for replica in kept:
        record_replica(connection, no, replica)
    return int(no)


def _told(caption: str) -> dict[str, str | int]:
    """The columns of a pack that its caption fills."""
    said = parse_caption(caption)
    if said is None:
        return {"kind": "pack", "epoch": 1, "position": 0}
    return {"kind": said.kind, "epoch": said.epoch, "position": said.position}


def record_replica(connection: Connection, pack: int, replica: Replica) -> None:
    """Record that a store has the pack, sound, in place of what was known of it there.

    Raises `StoreBusy` if the store was given up meanwhile: nobody will read it there.
    """
    if connection.scalars(_STATE, {"of_store": replica.store}).one() == "gone":
        raise StoreBusy(f"store {replica.store} was given up while it took a pack", 1.0)
    now = time.time_ns()
    told = {"of_pack": pack, "of_store": replica.store}
    found = {"at_locator": replica.locator, "now_ns": now}
    if not connection.execute(_RENEW_REPLICA, told | found).rowcount:
        row = {"pack": pack, "store": replica.store, "locator": replica.locator}
        row |= {"state": SOUND, "verified_ns": now}
        connection.execute(_INSERT_REPLICA, row)


def suspect(connection: Connection, replica: Replica) -> bool:
    """Note that a read of this replica went wrong; True if that was not known."""
    told = {"of_store": replica.store, "of_locator": replica.locator}
    return bool(connection.execute(_SUSPECT, told).rowcount)
