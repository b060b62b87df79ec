"""Which store holds which pack, and what is owed: statements for the jobs.

Each function works on a transaction's connection and does nothing but SQL. What may be
many comes in pages, by number; nothing here is on a hot path.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)

from tgdav.blocks.rows.index import SOUND, SUSPECT, batches
from tgdav.blocks.rows.tables import NO_DIGEST, blocks, packs, replicas, stores, waste
from tgdav.stores.base import Locator
from tgdav.stores.pool import Replica

SPOOL = "spool"
PAGE = 500

_after = packs.c.no > bindparam("after")
_held = replicas.join(stores, stores.c.no == replicas.c.store)
_of_pack = replicas.c.pack == packs.c.no
_is_sound = and_(_of_pack, replicas.c.state == SOUND, stores.c.state != "gone")
_is_promise = and_(_is_sound, stores.c.state == "active", stores.c.kind != SPOOL)
_promised = (
    select(func.count()).select_from(_held).where(_is_promise).correlate(packs).scalar_subquery()
)
# gc found no block in it, and that nobody needs its journal: stores may have let go of it.
_is_going = exists().where(waste.c.pack == packs.c.no, waste.c.dead_uptime_ns.is_not(None))
_is_wanted = or_(
    exists().where(blocks.c.pack == packs.c.no),
    # One without blocks and without a journal is gc's.
    and_(packs.c.kind == "pack", packs.c.position > 0, not_(_is_going)),
)
# These have no blocks; the drive goes on without one, but it shall have its copies.
_is_told = and_(packs.c.kind.in_(("snapshot", "head")), exists().where(_of_pack))
_is_readable = exists().select_from(_held).where(_is_sound)
_in_spool = exists().select_from(_held).where(_is_sound, stores.c.kind == SPOOL)
_is_on_its_way = and_(_in_spool, packs.c.created_ns > bindparam("settled_ns"))
_in_store = exists().select_from(_held).where(_is_sound, stores.c.kind != SPOOL)
_ONLY_SPOOLED = select(packs.c.no).where(packs.c.kind == "pack", _in_spool, not_(_in_store))
_has_suspect = (
    exists()
    .select_from(_held)
    .where(_of_pack, replicas.c.state == SUSPECT, stores.c.state == "active")
)
_OWED = (
    select(packs.c.no, packs.c.size, _promised.label("promised"), _is_readable)
    .where(_after, or_(_is_wanted, _is_told), not_(_is_on_its_way))
    .where(or_(_promised < bindparam("copies"), _has_suspect))
    .order_by(packs.c.no)
    .limit(PAGE)
)
_LOST = (
    select(packs.c.no, packs.c.size, _promised, _is_readable)
    .where(_after, _is_wanted, not_(_is_readable))
    .order_by(packs.c.no)
    .limit(PAGE)
)
_PACK = select(packs.c.no, packs.c.pack_id, packs.c.size, packs.c.digest, packs.c.caption).where(
    packs.c.no == bindparam("of_pack")
)
_HELD = (
    select(replicas.c.store, replicas.c.locator, replicas.c.state, stores.c.kind, stores.c.state)
    .select_from(_held)
    .where(replicas.c.pack == bindparam("of_pack"), stores.c.state != "gone")
    .order_by(replicas.c.state, replicas.c.store)  # "sound" before "suspect"
)
_KNOWN = (
    select(
        packs.c.pack_id,
        packs.c.no,
        packs.c.size,
        replicas.c.locator,
        _in_spool.label("in_spool"),
    )
    .select_from(packs.outerjoin(replicas, _of_pack & (replicas.c.store == bindparam("of_store"))))
    .where(packs.c.pack_id.in_(bindparam("ids", expanding=True)))
)
_OF_STORE = (
    select(packs.c.no, packs.c.size, replicas.c.locator, replicas.c.state)
    .join(replicas, _of_pack)
    .where(
        replicas.c.store == bindparam("of_store"),
        replicas.c.pack > bindparam("after"),
        not_(_is_going),
    )
    .order_by(replicas.c.pack)
    .limit(PAGE)
)
_UNVERIFIED = (
    select(packs.c.no, packs.c.size, packs.c.digest, replicas.c.store, replicas.c.locator)
    .join(replicas, _of_pack)
    .where(
        replicas.c.state == SOUND,
        replicas.c.verified_ns < bindparam("before_ns"),
        replicas.c.store.in_(bindparam("numbers", expanding=True)),
    )
    .order_by(replicas.c.verified_ns, replicas.c.pack)
    .limit(PAGE)
)
_VERIFIED = (
    update(replicas)
    .where(replicas.c.store == bindparam("of_store"), replicas.c.locator == bindparam("of_locator"))
    .values(verified_ns=bindparam("at_ns"))
)
_FORGET = delete(replicas).where(
    replicas.c.pack == bindparam("of_pack"),
    replicas.c.store == bindparam("of_store"),
    replicas.c.locator == bindparam("of_locator"),
)
_NOTE_DIGEST = (
    update(packs)
    .where(packs.c.no == bindparam("of_pack"), packs.c.digest == NO_DIGEST)
    .values(digest=bindparam("of_digest"))
)
_STORES = select(stores.c.no, stores.c.kind, stores.c.state).where(stores.c.state != "gone")


class Owed(NamedTuple):
    """A pack, and how many of the promised replicas it has, sound and to stay."""

    pack: int
    size: int
    promised: int
    is_readable: bool
    """True if any replica of it is believed to be sound, wherever it is."""


class PackRow(NamedTuple):
    """A recorded pack."""

    no: int
    pack_id: bytes
    size: int
    digest: bytes
    caption: str


class Held(NamedTuple):
    """A replica, and what its store is."""

    store: int
    locator: Locator
    state: str
    kind: str
    store_state: str

    @property
    def replica(self) -> Replica:
        return Replica(self.store, self.locator)

    @property
    def is_sound(self) -> bool:
        return self.state == SOUND

    @property
    def is_promise(self) -> bool:
        """True if it is in a store that is to keep it: its being sound is what is promised."""
        return self.kind != SPOOL and self.store_state == "active"


class KnownPack(NamedTuple):
    """A recorded pack as one store should have it."""

    no: int
    size: int
    locator: Locator | None  # None: no row says that the store has it
    in_spool: bool


class Kept(NamedTuple):
    """A replica that a row says one store has."""

    pack: int
    size: int
    locator: Locator
    state: str


class Unverified(NamedTuple):
    """A replica that nobody has read whole for a while."""

    pack: int
    size: int
    digest: bytes
    replica: Replica


class StoreOf(NamedTuple):
    """A store that is not gone."""

    no: int
    kind: str
    state: str


def owed(connection: Connection, copies: int, settled_ns: int, after: int) -> list[Owed]:
    """A page of the packs that lack promised replicas, or have a suspect one.

    What is sound in a spool and younger than `settled_ns` is on its way without our help.
    """
    told = {"copies": copies, "settled_ns": settled_ns, "after": after}
    return [Owed(*row) for row in connection.execute(_OWED, told)]


def only_spooled(connection: Connection) -> set[int]:
    """The packs that no store has, but some gateway's spool."""
    return set(connection.scalars(_ONLY_SPOOLED))


def lost(connection: Connection, after: int) -> list[Owed]:
    """A page of the packs of which no store has a sound replica, and somebody needs one."""
    return [Owed(*row) for row in connection.execute(_LOST, {"after": after})]


def pack(connection: Connection, no: int) -> PackRow | None:
    """The pack's row, if there is one."""
    row = connection.execute(_PACK, {"of_pack": no}).one_or_none()
    return row and PackRow(*row)


def held(connection: Connection, no: int) -> list[Held]:
    """The pack's replicas in stores that are not gone, the more trustworthy first."""
    return [Held(*row) for row in connection.execute(_HELD, {"of_pack": no})]


def known(
    connection: Connection, store: int, pack_ids: Collection[bytes]
) -> dict[bytes, KnownPack]:
    """Those of the packs that are recorded, and what is known of them in the store."""
    found = {}
    for batch in batches(pack_ids):
        told = {"of_store": store, "ids": batch}
        for pack_id, no, size, locator, in_spool in connection.execute(_KNOWN, told):
            found[pack_id] = KnownPack(no, size, locator and Locator(locator), bool(in_spool))
    return found


def of_store(connection: Connection, store: int, after: int) -> list[Kept]:
    """A page of what the rows say that the store has to have, by the packs' numbers."""
    told = {"of_store": store, "after": after}
    return [Kept(*row) for row in connection.execute(_OF_STORE, told)]


def unverified(
    connection: Connection, numbers: Collection[int], before_ns: int
) -> list[Unverified]:
    """A page of sound replicas in these stores that were last read whole before then.

    The one that was read longest ago comes first.
    """
    told = {"numbers": list(numbers), "before_ns": before_ns}
    return [
        Unverified(no, size, digest, Replica(store, Locator(locator)))
        for no, size, digest, store, locator in connection.execute(_UNVERIFIED, told)
    ]


def note_verified(connection: Connection, replica: Replica, at_ns: int) -> None:
    """Note that the whole replica was read, and is as it was kept."""
    told = {"of_store": replica.store, "of_locator": replica.locator, "at_ns": at_ns}
    connection.execute(_VERIFIED, told)


def note_digest(connection: Connection, pack: int, digest: bytes) -> None:
    """Note the digest of a pack that was read whole, if none is known."""
    connection.execute(_NOTE_DIGEST, {"of_pack": pack, "of_digest": digest})


def forget(connection: Connection, pack: int, replica: Replica) -> None:
    """Drop the row of a replica."""
    told = {"of_pack": pack, "of_store": replica.store, "of_locator": replica.locator}
    connection.execute(_FORGET, told)


def stores_in_use(connection: Connection) -> list[StoreOf]:
    """Every store that is not gone, the spools among them."""
    return [StoreOf(*row) for row in connection.execute(_STORES.order_by(stores.c.no))]
