"""Packs out of the spool into the stores, and the spool's own tidying.

Put, record the replica, drop the spool's row, delete the file: in this order, so that
a crash between any two leaves at worst a file too many, which `sweep` finds.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from typing import NamedTuple

from blake3 import blake3
from sqlalchemy import Connection, bindparam, delete, func, select

from tgdav.blocks.flushing.adopting import adopt
from tgdav.blocks.form.pack import parse_caption
from tgdav.blocks.rows import holdings, index
from tgdav.blocks.rows.tables import packs, replicas, stores
from tgdav.blocks.workshop import Workshop
from tgdav.errors import PackDamaged, ReplicaMissing, TgdavError
from tgdav.stores.base import Listed, Locator
from tgdav.stores.pool import Replica

LOG = logging.getLogger(__name__)

CALLS = 4
"""Calls of a store that one put keeps busy, where it has any use for more than one."""
READ = 256 << 10
"""Bytes of a pack in memory while it is looked at."""

_other = replicas.alias("other")
_others = (
    select(func.count())
    .select_from(_other.join(stores, stores.c.no == _other.c.store))
    .where(
        _other.c.pack == packs.c.no,
        _other.c.state == index.SOUND,
        stores.c.state == "active",
        stores.c.kind != "spool",
    )
    .correlate(packs)
)
_SPOOLED = (
    select(
        packs.c.no,
        packs.c.pack_id,
        packs.c.size,
        packs.c.digest,
        packs.c.caption,
        replicas.c.locator,
        replicas.c.state,
        _others.scalar_subquery().label("others"),
    )
    .join(replicas, replicas.c.pack == packs.c.no)
    .where(replicas.c.store == bindparam("of_store"))
    .order_by(packs.c.no)
)
_DROP = delete(replicas).where(
    replicas.c.pack == bindparam("of_pack"), replicas.c.store == bindparam("of_store")
)
_RECORDED = select(packs.c.no).where(packs.c.pack_id == bindparam("of_pack_id"))
_KEEPERS = (
    select(replicas.c.store)
    .join(stores, stores.c.no == replicas.c.store)
    .where(
        replicas.c.pack == bindparam("of_pack"),
        replicas.c.state == index.SOUND,
        stores.c.state != "gone",
    )
)
_IS_SPOOLED = select(replicas.c.pack).where(
    replicas.c.pack == bindparam("of_pack"), replicas.c.store == bindparam("of_store")
)


def _untold() -> None:
    """Nobody watches."""


class Spooled(NamedTuple):
    """A recorded pack that the spool has."""

    no: int
    pack_id: bytes
    size: int
    digest: bytes
    caption: str
    locator: Locator
    state: str
    others: int  # replicas that count as promised ones

    @property
    def is_sound(self) -> bool:
        """True unless a read or a delivery of it went wrong."""
        return self.state == index.SOUND


class Delivery:
    """Empties one spool; under a lease."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._spool = workshop.spool
        self._sizes = workshop.sizes
        self._threads = ThreadPoolExecutor(self._sizes.deliveries_most, "delivery")

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def waiting(self) -> list[Spooled]:
        """The packs in the spool: those that only it has first, and of these the oldest."""
        with self._workshop.db.read() as connection:
            rows = connection.execute(_SPOOLED, {"of_store": self._spool.no})
            return sorted(map(Spooled._make, rows), key=self._is_safe)

    def owed(self) -> list[Spooled]:
        """Of the packs in the spool, those that saves wait for."""
        return [pack for pack in self.waiting() if not self._is_safe(pack)]

    def deliver(
        self, waiting: Callable[[], Iterable[Spooled]], tell: Callable[[], None] = _untold
    ) -> None:
        """Put into the stores what `waiting` tells of, a few packs at a time.

        It is asked again while there is room for one more, so that a pack that comes
        meanwhile waits for no other; each is tried once. `tell` is called all along.

        One that a quorum of stores has leaves the spool, even if more are promised and
        could not be made now: repair makes them. One that comes from a store that is being
        emptied waits for them all. What could not be put waits on in the spool. No more is
        tried after a store that takes nothing, but after a pack that nobody should get.
        Raises in the end `StoreBusy`, `StoreError`, `DiskFull`, `DatabaseBusy`; else
        `PackDamaged`.
        """
        begun: set[int] = set()
        under_way: set[Future[None]] = set()
        errors: list[BaseException] = []
        while True:
            if all(isinstance(error, PackDamaged) for error in errors):
                self._begin(waiting, begun, under_way)
            if not under_way:
                break
            errors += self._settled(under_way, tell)
        for error in sorted(errors, key=lambda error: isinstance(error, PackDamaged)):
            raise error

    def sweep(self) -> None:
        """Settle the spool's packs that no row says it has, after a crash.

        One that is recorded was delivered: the file goes. One that is not is recorded
        with the blocks that only it has: it may be all that is left of a newer database,
        and its blocks need not be sent again. Packs of running saves are left alone.
        """
        known = {pack.locator for pack in self.waiting()}
        for listed in self._spool.store.scan():
            said = parse_caption(listed.caption)
            is_ours = said is not None and said.drive_id == self._workshop.drive.drive_id
            if listed.locator not in known and said and is_ours:
                self._settle(listed, said.pack_id)

    def _is_safe(self, pack: Spooled) -> bool:
        return pack.others >= self._workshop.pool.quorum

    def _at_once(self) -> int:
        """Packs to have under way: each makes several calls of its own."""
        useful = self._workshop.pool.write_concurrency() // CALLS
        return min(max(self._sizes.deliveries, useful), self._sizes.deliveries_most)

    def _begin(
        self,
        waiting: Callable[[], Iterable[Spooled]],
        begun: set[int],
        under_way: set[Future[None]],
    ) -> None:
        """Begin as many more as there is room for."""
        if (room := self._at_once() - len(under_way)) > 0:
            fresh = (pack for pack in waiting() if pack.no not in begun)
            for pack in islice(fresh, room):
                begun.add(pack.no)
                under_way.add(self._threads.submit(self._deliver, pack))

    def _settled(
        self, under_way: set[Future[None]], tell: Callable[[], None]
    ) -> list[BaseException]:
        """Wait for some, but not long, as others may have come; the errors of those that ended."""
        ended, _ = wait(under_way, self._sizes.tick_s, FIRST_COMPLETED)
        under_way -= ended
        errors = [error for future in ended if (error := future.exception())]
        try:
            tell()
        except TgdavError as error:
            errors.append(error)
        return errors

    def _deliver(self, pack: Spooled) -> None:
        try:
            self._put(pack)
        except (PackDamaged, ReplicaMissing):
            if not self._is_spooled(pack):
                return  # another process has delivered it meanwhile
            replica = Replica(self._spool.no, pack.locator)
            self._workshop.db.write(lambda connection: index.suspect(connection, replica))
            raise
        self._drop(pack)

    def _put(self, pack: Spooled) -> None:
        pool = self._workshop.pool
        with self._workshop.db.read() as connection:
            held = holdings.held(connection, pack.no)
        promised = [each for each in held if each.is_promise]
        present = [each.store for each in promised if each.is_sound]
        if len(present) >= pool.copies:
            return  # the process that put it died before it could drop it here
        self._require_sound(pack)
        for bad in promised:
            # A store that has it would keep it, and be believed.
            if not bad.is_sound and pool.is_writable(bad.store):
                pool.delete(bad.store, [bad.locator])
        # With less than all copies it could not leave that store, and would come here again.
        is_leaving = any(each.store_state == "draining" for each in held)
        enough = pool.copies if is_leaving else pool.quorum
        data = self._spool.content(pack.locator)
        for replica in pool.put(pack.pack_id, data, pack.caption, present=present, enough=enough):
            self._workshop.db.write(partial(_record, pack.no, replica))

    def _is_spooled(self, pack: Spooled) -> bool:
        told = {"of_pack": pack.no, "of_store": self._spool.no}
        with self._workshop.db.read() as connection:
            return connection.scalars(_IS_SPOOLED, told).one_or_none() is not None

    def _require_sound(self, pack: Spooled) -> None:
        # Read, not mapped: mapped pages count as this process's memory.
        digest = blake3()
        space = memoryview(bytearray(min(READ, pack.size)))
        for start in range(0, pack.size, READ):
            part = space[: pack.size - start]
            self._spool.store.read_into(pack.locator, start, part)
            digest.update(part)
        if digest.digest() != pack.digest:
            raise PackDamaged(f"pack {pack.pack_id.hex()}: damaged in the spool")

    def _drop(self, pack: Spooled) -> None:
        told = {"of_pack": pack.no, "of_store": self._spool.no}
        self._workshop.db.write(lambda connection: connection.execute(_DROP, told))
        self._spool.discard(pack.locator)
        self._workshop.backlog.add(spooled=-pack.size)

    def _settle(self, listed: Listed, pack_id: bytes) -> None:
        if self._spool.is_at_work_on(pack_id):
            return
        with self._workshop.db.read() as connection:
            no = connection.scalars(_RECORDED, {"of_pack_id": pack_id}).one_or_none()
            keepers = connection.scalars(_KEEPERS, {"of_pack": no}).all()
        if no is None:
            self._adopt(listed)
        elif not keepers:
            replica = Replica(self._spool.no, listed.locator)
            self._workshop.db.write(partial(_record, no, replica))
        elif self._spool.no not in keepers:
            self._spool.discard(listed.locator)

    def _adopt(self, listed: Listed) -> None:
        try:
            adopt(self._workshop, self._spool.no, self._spool.store, listed)
        except PackDamaged as error:
            LOG.warning("spool: left alone, as nothing is known of it: %s", error)


def _record(pack: int, replica: Replica, connection: Connection) -> None:
    index.record_replica(connection, pack, replica)
