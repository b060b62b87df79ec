"""Stores that are being emptied: their packs come back to the spool, and go where they should.

All state is in the rows. A replica's row is dropped once the promised stores have the
pack, and only then the replica is deleted; a store that holds nothing any more is gone.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from blake3 import blake3
from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from tgdav.blocks.form.soundness import examine
from tgdav.blocks.rows import index
from tgdav.blocks.rows.holdings import note_digest
from tgdav.blocks.rows.tables import NO_DIGEST, packs, replicas, stores
from tgdav.blocks.workshop import Workshop
from tgdav.errors import ContentLost, PackDamaged, StoreBusy, StoreError, TgdavError
from tgdav.stores.base import Locator
from tgdav.stores.pool import Replica

LOG = logging.getLogger(__name__)

PIECE = 4 << 20
"""Bytes of a pack that one read asks for: several windows, which a store fetches at once."""
AT_ONCE = 4
"""Packs that are read at the same time."""
NO_END = (1 << 63) - 1
PAGE = 100
"""Replicas that are deleted together: Telegram's largest batch."""

_held = replicas.alias("held")
_good = (
    replicas.join(stores, stores.c.no == replicas.c.store)
    .select()
    .with_only_columns(func.count())
    .where(
        replicas.c.pack == _held.c.pack,
        replicas.c.state == index.SOUND,
        stores.c.kind != "spool",
        stores.c.state == "active",
    )
    .correlate(_held)
    .scalar_subquery()
)
_in_spool = (
    exists()
    .select_from(replicas.join(stores, stores.c.no == replicas.c.store))
    .where(
        replicas.c.pack == _held.c.pack,
        replicas.c.state == index.SOUND,
        stores.c.kind == "spool",
    )
)
_of_store = _held.c.store == bindparam("of_store")
_is_moved = _good >= bindparam("copies")

_DRAINING = (
    select(stores.c.no)
    .where(stores.c.state == "draining", stores.c.kind != "spool")
    .order_by(stores.c.no)
)
_IS_DRAINING = exists().where(stores.c.no == bindparam("of_store"), stores.c.state == "draining")
# A store that is to stay would count itself among those that have the pack.
_MOVED = select(_held.c.pack, _held.c.locator).where(_of_store, _IS_DRAINING, _is_moved).limit(PAGE)
_TO_MOVE = (
    select(packs.c.no, packs.c.pack_id, packs.c.size, packs.c.digest, packs.c.caption)
    .join(_held, _held.c.pack == packs.c.no)
    .where(
        _of_store,
        ~_is_moved,
        ~_in_spool,
        packs.c.no > bindparam("after"),
        packs.c.no <= bindparam("last"),
    )
    .order_by(packs.c.no)
    .limit(bindparam("most"))
)
_REPLICAS = (
    select(replicas.c.store, replicas.c.locator)
    .join(stores, stores.c.no == replicas.c.store)
    .where(replicas.c.pack == bindparam("of_pack"), stores.c.state != "gone")
    .order_by(replicas.c.state)  # "sound" before "suspect"
)
_DROP = delete(replicas).where(
    replicas.c.pack == bindparam("of_pack"), replicas.c.store == bindparam("of_store")
)
_NAMED = select(replicas.c.locator).where(
    replicas.c.store == bindparam("of_store"),
    replicas.c.locator.in_(bindparam("locators", expanding=True)),
)
_GIVE_UP = (
    update(stores)
    .where(
        stores.c.no == bindparam("of_store"),
        stores.c.state == "draining",
        ~exists().where(replicas.c.store == bindparam("of_store")),
    )
    .values(state="gone", trouble="")
)
_LEFT = (
    select(func.count(), func.coalesce(func.sum(packs.c.size), 0))
    .select_from(packs.join(_held, _held.c.pack == packs.c.no))
    .where(_of_store)
)
_SPOOLED = (
    select(func.coalesce(func.sum(packs.c.size), 0))
    .join(replicas, replicas.c.pack == packs.c.no)
    .where(replicas.c.store == bindparam("of_store"))
)


class Left(NamedTuple):
    """What a store still holds."""

    packs: int
    bytes: int


class _Pack(NamedTuple):
    no: int
    pack_id: bytes
    size: int
    digest: bytes
    caption: str


def left(connection: Connection, store: int) -> Left:
    """How much is still to be moved out of the store."""
    count, size = connection.execute(_LEFT, {"of_store": store}).one()
    return Left(count, int(size))


class Draining:
    """Empties stores into the spool; under a lease. What delivers the spool is `delivery`."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._spool = workshop.spool
        self._copies = workshop.pool.copies
        self._threads = ThreadPoolExecutor(AT_ONCE, "draining")
        self._after: dict[int, int] = {}
        self._undeleted: dict[int, list[Locator]] = {}

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def stores(self) -> list[int]:
        """The stores that are being emptied."""
        with self._workshop.db.read() as connection:
            return list(connection.scalars(_DRAINING))

    def go_on(self) -> bool:
        """Do a little for each of them; False if there was nothing to do yet.

        Raises `StoreBusy`, `StoreError`, `DiskFull`, `DatabaseBusy`; `ContentLost` if
        nothing is left to be done but packs that no store has sound.
        """
        went_on, errors = False, []
        for store in self.stores():
            try:
                went_on |= self._empty(store)
            except TgdavError as error:
                errors.append(error)
        if errors and not went_on:
            raise errors[0]
        return went_on

    def _empty(self, store: int) -> bool:
        has_let_go = self._let_go(store)
        has_fetched = self._fetch_some(store)
        return has_let_go or has_fetched or self._give_up(store)

    def _let_go(self, store: int) -> bool:
        """Drop and delete replicas that are not needed any more."""
        if not self._workshop.pool.has(store):
            return False  # it could not delete them
        in_mind = self._undeleted.get(store, [])

        def work(connection: Connection) -> list[Locator]:
            if in_mind:
                return _unnamed(connection, store, in_mind)
            return _drop_moved(connection, store, self._copies)

        # Kept in mind until the store has deleted them: no row tells of them any more.
        undeleted = self._undeleted[store] = self._workshop.db.write(work)
        if undeleted:
            self._workshop.pool.delete(store, undeleted)
            self._undeleted[store] = []
        return bool(undeleted)

    def _fetch_some(self, store: int) -> bool:
        """Bring some packs back into the spool, as long as little waits there."""
        if not self._has_room():
            return False
        lost: BaseException | None = None
        for page in self._pages(store):
            under_way = [self._threads.submit(self._fetch, pack) for pack in page]
            errors = [error for future in under_way if (error := future.exception())]
            for error in errors:
                if not isinstance(error, ContentLost):
                    raise error
                lost = error
            if len(errors) < len(page):
                return True
        if lost:
            raise lost
        return False

    def _pages(self, store: int) -> Iterator[list[_Pack]]:
        """All packs to fetch, a few at a time, from where the last call ended."""
        start = self._after.get(store, 0)
        for after, last in ((start, NO_END), (0, start)):
            while page := self._page(store, after, last):
                after = self._after[store] = page[-1].no  # noqa: PLW2901 - the next page's
                yield page

    def _page(self, store: int, after: int, last: int) -> list[_Pack]:
        told = {"of_store": store, "copies": self._copies, "after": after, "last": last}
        with self._workshop.db.read() as connection:
            rows = connection.execute(_TO_MOVE, told | {"most": AT_ONCE})
            return [_Pack(*row) for row in rows]

    def _has_room(self) -> bool:
        """Saves come first: what is drained takes a small part of the spool at most."""
        sizes = self._workshop.sizes
        with self._workshop.db.read() as connection:
            spooled = connection.scalars(_SPOOLED, {"of_store": self._spool.no}).one()
        most = min(sizes.spool_limit // 4, 2 * sizes.deliveries_most * sizes.pack_size)
        return int(spooled) < most

    def _fetch(self, pack: _Pack) -> None:
        """Bring one pack back into the spool, from the best replica that is sound."""
        with self._workshop.db.read() as connection:
            rows = connection.execute(_REPLICAS, {"of_pack": pack.no}).all()
        found = [Replica(store, Locator(locator)) for store, locator in rows]
        failure: TgdavError | None = None
        for replica in found:
            try:
                self._copy(pack, replica)
                return
            except (StoreBusy, StoreError, ContentLost, PackDamaged) as error:
                if isinstance(error, PackDamaged):
                    self._workshop.pool.on_bad(replica, error)
                is_final = isinstance(error, ContentLost | PackDamaged)
                failure = failure if failure and is_final else error
        if failure is None or isinstance(failure, ContentLost | PackDamaged):
            raise ContentLost(f"pack {pack.pack_id.hex()}: no store has it sound") from failure
        raise failure

    def _copy(self, pack: _Pack, replica: Replica) -> None:
        workshop, digest = self._workshop, blake3()
        with self._spool.receive(pack.pack_id, pack.caption) as sink:
            for start in range(0, pack.size, PIECE):
                size = min(PIECE, pack.size - start)
                with workshop.bench.hold(size):
                    data = workshop.pool.read([replica], start, size)
                    digest.update(data)
                    sink.write(data)
            if digest.digest() != self._digest(pack, replica):
                raise PackDamaged(f"pack {pack.pack_id.hex()}: other bytes than were kept")
            kept = Replica(self._spool.no, sink.keep())
            workshop.db.write(lambda c: index.record_replica(c, pack.no, kept))
        workshop.backlog.add(spooled=pack.size)

    def _digest(self, pack: _Pack, replica: Replica) -> bytes:
        """The pack's digest. If nobody knows it, all that is in the replica is opened first."""
        if pack.digest != NO_DIGEST:
            return pack.digest
        workshop = self._workshop

        def read(offset: int, size: int) -> bytes:
            return workshop.pool.read([replica], offset, size)

        digest = examine(read, pack.size, workshop.keys, workshop.sealer).digest
        workshop.db.write(lambda c: note_digest(c, pack.no, digest))
        return digest

    def _give_up(self, store: int) -> bool:
        """Have no such store any more, if it holds nothing."""
        told = {"of_store": store}
        is_gone = self._workshop.db.write(lambda c: bool(c.execute(_GIVE_UP, told).rowcount))
        if is_gone:
            LOG.info("store %d is empty and was given up", store)
        return is_gone


def _drop_moved(connection: Connection, store: int, copies: int) -> list[Locator]:
    """Drop the rows of some replicas that the store need not have any more; these."""
    found = connection.execute(_MOVED, {"of_store": store, "copies": copies}).all()
    if found:
        dropped = [{"of_pack": pack, "of_store": store} for pack, _ in found]
        connection.execute(_DROP, dropped)
    return [Locator(locator) for _, locator in found]


def _unnamed(connection: Connection, store: int, dropped: list[Locator]) -> list[Locator]:
    """Those of the dropped replicas that are to be deleted still.

    A drain may have ended and begun again meanwhile. Repair records what it finds in a
    store that is to stay, and others may have let go of theirs since.
    """
    told = {"of_store": store, "locators": dropped}
    if not connection.scalars(select(_IS_DRAINING), told).one():
        return []
    named = set(connection.scalars(_NAMED, told))
    return [locator for locator in dropped if locator not in named]
