"""Figures of the room, as the database knows them. Nothing here is on a hot path."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from tgdav.blocks.rows import staging
from tgdav.blocks.rows.tables import accounts, blocks, packs, replicas, stores

_BLOCKS = select(
    func.count(),
    func.coalesce(func.sum(blocks.c.size), 0),
    func.coalesce(func.sum(blocks.c.sealed_size), 0),
)
_PACKS = select(func.count()).select_from(packs).where(packs.c.kind == "pack")
_in_spool = (
    select(replicas.c.pack)
    .join(stores, stores.c.no == replicas.c.store)
    .where(stores.c.kind == "spool")
)
_SPOOLED = select(func.coalesce(func.sum(packs.c.size), 0)).where(packs.c.no.in_(_in_spool))
_elsewhere = (
    select(func.count())
    .select_from(replicas.join(stores, stores.c.no == replicas.c.store))
    .where(replicas.c.pack == packs.c.no, stores.c.kind != "spool", stores.c.state != "gone")
    .correlate(packs)
    .scalar_subquery()
)
_OLDEST_SPOOLED = select(func.min(packs.c.created_ns)).where(
    packs.c.no.in_(_in_spool), _elsewhere < bindparam("copies")
)
_ACTIVITY = select(func.coalesce(func.sum(accounts.c.sent_bytes + accounts.c.received_bytes), 0))
_STORES = (
    select(
        stores.c.no,
        stores.c.kind,
        stores.c.settings,
        stores.c.state,
        func.count(packs.c.no),
        func.coalesce(func.sum(packs.c.size), 0),
    )
    .select_from(stores.outerjoin(replicas).outerjoin(packs))
    .group_by(stores.c.no, stores.c.kind, stores.c.settings, stores.c.state)
    .order_by(stores.c.no)
)


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """What is kept, and what is on this machine only."""

    blocks: int
    block_bytes: int
    """Bytes of all chunks, each counted once."""
    sealed_bytes: int
    """Bytes of the same, sealed."""
    packs: int
    staged_bytes: int
    spool_bytes: int
    oldest_unflushed_ns: int | None
    """When the oldest block or pack was kept that the stores do not have as promised."""
    memory_bytes: int
    """In flight in this process."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """One store and what it keeps."""

    no: int
    kind: str
    settings: str
    """JSON, as the row has it."""
    state: str
    packs: int
    bytes: int


def read_status(connection: Connection, copies: int, memory_bytes: int) -> VaultStatus:
    """The whole room in figures; reads every block's row."""
    staged = staging.waiting(connection)
    spooled_ns = connection.scalars(_OLDEST_SPOOLED, {"copies": copies}).one()
    waiting_ns = [ns for ns in (staged.oldest_ns, spooled_ns) if ns is not None]
    block_count, block_bytes, sealed_bytes = connection.execute(_BLOCKS).one()
    return VaultStatus(
        blocks=block_count,
        block_bytes=int(block_bytes),
        sealed_bytes=int(sealed_bytes),
        packs=connection.scalars(_PACKS).one(),
        staged_bytes=int(staged.bytes),
        spool_bytes=int(connection.scalars(_SPOOLED).one()),
        oldest_unflushed_ns=min(waiting_ns, default=None),
        memory_bytes=memory_bytes,
    )


def account_activity(connection: Connection) -> int:
    """Bytes that all accounts moved today, as they were last noted."""
    return int(connection.scalars(_ACTIVITY).one())


def list_stores(connection: Connection) -> list[StoreStatus]:
    """Every store that there was, the spools among them."""
    return [
        StoreStatus(no, kind, settings, state, count, int(size))
        for no, kind, settings, state, count, size in connection.execute(_STORES)
    ]
