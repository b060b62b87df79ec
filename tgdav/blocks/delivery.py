"""Packs out of the spool into the stores, and the spool's own tidying.

Put, record the replica, drop the spool's row, delete the file: in this order, so that
a crash between any two leaves at worst a file too many, which `sweep` finds.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from blake3 import blake3
from sqlalchemy import Connection, bindparam, delete, select

from tgdav.blocks import index
from tgdav.blocks.index import NewBlock, NewPack
from tgdav.blocks.pack import Caption, parse_caption, read_pack
from tgdav.blocks.tables import packs, replicas, stores
from tgdav.blocks.workshop import Workshop
from tgdav.errors import PackDamaged, ReplicaMissing
from tgdav.stores.base import Listed, Locator
from tgdav.stores.pool import Replica

LOG = logging.getLogger(__name__)

READ = 1 << 20
"""Bytes of a pack in memory while it is looked at."""

_SPOOLED = (
    select(
        packs.c.no,
        packs.c.pack_id,
        packs.c.size,
        packs.c.digest,
        packs.c.caption,
        replicas.c.locator,
        replicas.c.state,
    )
    .join(replicas, replicas.c.pack == packs.c.no)
    .where(replicas.c.store == bindparam("of_store"))
    .order_by(packs.c.no)
)
_OTHERS = (
    select(replicas.c.store)
    .join(stores, stores.c.no == replicas.c.store)
    .where(
        replicas.c.pack == bindparam("of_pack"),
        replicas.c.store != bindparam("of_store"),
        replicas.c.state == index.SOUND,
        stores.c.state == "active",
        stores.c.kind != "spool",
    )
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


class Spooled(NamedTuple):
    """A recorded pack that the spool has."""

    no: int
    pack_id: bytes
    size: int
    digest: bytes
    caption: str
    locator: Locator
    state: str

    @property
    def is_sound(self) -> bool:
        """True unless a read or a delivery of it went wrong."""
        return self.state == index.SOUND


class Delivery:
    """Empties one spool; under a lease."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._spool = workshop.spool
        self._threads = ThreadPoolExecutor(workshop.sizes.deliveries, thread_name_prefix="delivery")

    def close(self) -> None:
        """Begin nothing more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def waiting(self) -> list[Spooled]:
        """The packs in the spool, oldest first."""
        with self._workshop.db.read() as connection:
            rows = connection.execute(_SPOOLED, {"of_store": self._spool.no})
            return [Spooled(*row) for row in rows]

    def deliver(self, waiting: Iterable[Spooled]) -> None:
        """Put these packs into the stores, all at the same time.

        What could not be put waits on in the spool. When all were tried, raises
        `StoreBusy`, `StoreError`, `DiskFull`, `DatabaseBusy`; else `PackDamaged`.
        """
        under_way = [self._threads.submit(self._deliver, pack) for pack in waiting]
        errors = [error for future in under_way if (error := future.exception())]
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
                self._settle(listed, said)

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
        with self._workshop.db.read() as connection:
            told = {"of_pack": pack.no, "of_store": self._spool.no}
            present = connection.scalars(_OTHERS, told).all()
        pool = self._workshop.pool
        if len(present) >= pool.copies:
            return  # the process that put it died before it could drop it here
        self._require_sound(pack)
        data = self._spool.content(pack.locator)
        for replica in pool.put(pack.pack_id, data, pack.caption, present=present):
            self._workshop.db.write(partial(_record, pack.no, replica))

    def _is_spooled(self, pack: Spooled) -> bool:
        told = {"of_pack": pack.no, "of_store": self._spool.no}
        with self._workshop.db.read() as connection:
            return connection.scalars(_IS_SPOOLED, told).one_or_none() is not None

    def _require_sound(self, pack: Spooled) -> None:
        # Read, not mapped: mapped pages count as this process's memory.
        digest = blake3()
        for start in range(0, pack.size, READ):
            size = min(READ, pack.size - start)
            digest.update(self._spool.store.read(pack.locator, start, size))
        if digest.digest() != pack.digest:
            raise PackDamaged(f"pack {pack.pack_id.hex()}: damaged in the spool")

    def _drop(self, pack: Spooled) -> None:
        told = {"of_pack": pack.no, "of_store": self._spool.no}
        self._workshop.db.write(lambda connection: connection.execute(_DROP, told))
        self._spool.discard(pack.locator)
        self._workshop.backlog.add(spooled=-pack.size)

    def _settle(self, listed: Listed, said: Caption) -> None:
        pack_id = said.pack_id
        if self._spool.is_at_work_on(pack_id):
            return
        with self._workshop.db.read() as connection:
            no = connection.scalars(_RECORDED, {"of_pack_id": pack_id}).one_or_none()
            keepers = connection.scalars(_KEEPERS, {"of_pack": no}).all()
        if no is None:
            self._adopt(listed, said)
        elif not keepers:
            replica = Replica(self._spool.no, listed.locator)
            self._workshop.db.write(partial(_record, no, replica))
        elif self._spool.no not in keepers:
            self._spool.discard(listed.locator)

    def _adopt(self, listed: Listed, said: Caption) -> None:
        """Record a pack, and those of its blocks that are recorded nowhere."""
        data = self._spool.content(listed.locator)
        try:
            contents = read_pack(
                lambda offset, size: bytes(data[offset : offset + size]),
                listed.size,
                self._workshop.keys,
            )
        except PackDamaged as error:
            LOG.warning("spool: left alone, as nothing is known of it: %s", error)
            return
        no = self._spool.numbers.take()[0]
        numbers = self._workshop.numbers.take(len(contents.entries))
        pack = NewPack(no, contents.pack_id, listed.size, blake3(data).digest(), listed.caption)
        # A head or a part of a snapshot has no blocks; who made it asks for it, or drops it.
        blocks = (
            []
            if said.kind != "pack"
            else [
                NewBlock(number, entry.block_id, entry.size, entry.sealed_size, no, entry.offset)
                for number, entry in zip(numbers, contents.entries, strict=True)
            ]
        )

        def work(connection: Connection) -> None:
            known = index.find(connection, [block.block_id for block in blocks])
            index.record_pack(connection, pack, [Replica(self._spool.no, listed.locator)])
            index.record_blocks(connection, blocks, known)

        self._workshop.db.write(work)
        LOG.info("pack %s: found in the spool and recorded", contents.pack_id.hex())


def _record(pack: int, replica: Replica, connection: Connection) -> None:
    index.record_replica(connection, pack, replica)
