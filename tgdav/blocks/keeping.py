"""A finished pack on its way to be recorded: kept first, said afterwards.

The order is the promise: a crash in between leaves a pack that no row mentions, never
a row that no pack bears out.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from tgdav.blocks.local.spool import KeptPack, OpenPack
from tgdav.blocks.rows import index
from tgdav.blocks.workshop import Workshop
from tgdav.stores.pool import Replica

T = TypeVar("T")


def keep(
    workshop: Workshop, pack: OpenPack, record: Callable[[Connection, KeptPack], T]
) -> tuple[KeptPack, T]:
    """Keep `pack`; record it, and with it what `record` writes; return what it returned.

    In the spool, or in the stores if saves wait for them. Raises what the stores and
    `Database.write` raise. A pack that the database may or may not know stays in the
    spool, for `sweep`.
    """
    kept = pack.keep()
    try:
        replicas = _replicas(workshop, kept)

        def work(connection: Connection) -> tuple[KeptPack, T]:
            numbered = kept.numbered(index.record_pack(connection, kept.pack, replicas))
            return numbered, record(connection, numbered)

        recorded = workshop.db.write(work)
    finally:
        workshop.spool.let_go(kept.pack.pack_id)
    if kept.replica in replicas:
        workshop.backlog.add(spooled=kept.pack.size)
    else:
        workshop.spool.discard(kept.replica.locator)
    return recorded


def _replicas(workshop: Workshop, kept: KeptPack) -> list[Replica]:
    """Who has the pack when it is recorded: the spool, or as many stores as a save waits for.

    While these are fewer than promised the spool has it as well, for the delivery of the rest.
    """
    if not workshop.in_stores:
        return [kept.replica]
    pack, locator, pool = kept.pack, kept.replica.locator, workshop.pool
    try:
        data = workshop.spool.content(locator)
        replicas = list(pool.put(pack.pack_id, data, pack.caption, copies=pool.quorum))
    except BaseException:
        workshop.spool.discard(locator)
        raise
    return replicas if len(replicas) >= pool.copies else [*replicas, kept.replica]
