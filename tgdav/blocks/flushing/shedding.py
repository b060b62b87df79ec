"""Packs that are superseded as a whole, heads and parts of snapshots: dropped for good.

They hold no block. Whoever calls has first taken out what names the pack, so that a
crash on the way leaves it to the next call.
"""

from collections.abc import Iterable
from functools import partial

from sqlalchemy import BigInteger, Connection, bindparam, delete, select

from tgdav.blocks.rows.tables import packs, replicas, stores
from tgdav.blocks.workshop import Workshop
from tgdav.errors import StoreBusy, StoreError
from tgdav.stores.base import Locator

_OF_PACK = replicas.c.pack == bindparam("of_pack", type_=BigInteger)
_REPLICAS = (
    select(replicas.c.store, replicas.c.locator, stores.c.kind, stores.c.state)
    .join(stores, stores.c.no == replicas.c.store)
    .where(_OF_PACK)
)
_DROP_REPLICAS = delete(replicas).where(_OF_PACK)
_DROP_PACK = delete(packs).where(packs.c.no == bindparam("of_pack", type_=BigInteger))


def shed(workshop: Workshop, superseded: Iterable[int]) -> int:
    """Drop these packs where every store that has one is at hand; how many it dropped.

    One that is still on its way out of a spool, or that a store does not delete now, is
    left for later: only its rows tell where replicas may be.
    """
    return sum(_shed(workshop, pack) for pack in superseded)


def _shed(workshop: Workshop, pack: int) -> bool:
    with workshop.db.read() as connection:
        kept = connection.execute(_REPLICAS, {"of_pack": pack}).all()
    if any(replica.kind == "spool" for replica in kept):
        return False
    there = [replica for replica in kept if replica.state != "gone"]
    try:
        opened = [(workshop.pool.store(each.store), each.locator) for each in there]
        for store, locator in opened:
            store.delete([Locator(locator)])
    except (StoreError, StoreBusy):
        return False
    workshop.db.write(partial(_drop, pack))
    return True


def _drop(pack: int, connection: Connection) -> None:
    connection.execute(_DROP_REPLICAS, {"of_pack": pack})
    connection.execute(_DROP_PACK, {"of_pack": pack})
