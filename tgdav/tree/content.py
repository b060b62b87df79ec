"""What a version is made of: its extents, written once, spliced into the next, read.

Knows versions by number, not whose they are. Blocks are the vault's.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import BigInteger, Connection, Integer, bindparam, case, func, insert, select

from tgdav.blocks.reader import BlockReader, Extent
from tgdav.blocks.rows.tables import blocks, replicas, stores
from tgdav.blocks.vault import Vault
from tgdav.db import Database
from tgdav.db.prepared import Prepared
from tgdav.tree.tables import extents

Reading = BlockReader
"""Bytes of one version, piece by piece, each void with the next; `close` it in the end."""

PAGE = 64
"""Extents that are in memory at once: as many as 64 MiB of an ordinary file have."""

_OFFSET, _SIZE = extents.c.offset, extents.c.size
_OF_VERSION = extents.c.version == bindparam("of_version", type_=BigInteger)
_START = bindparam("start", type_=BigInteger)
_STOP = bindparam("stop", type_=BigInteger)
_NEW_VERSION = bindparam("new_version", type_=BigInteger)
_COLUMNS = ["version", "offset", "size", "block", "block_offset"]

_reached = extents.alias("reached")
# The extent that `stop` or `start` lies in begins before it: found by the key, in one step.
_SINCE_START, _SINCE_STOP = (
    select(func.coalesce(func.max(_reached.c.offset), 0))
    .where(_reached.c.version == bindparam("of_version", type_=BigInteger))
    .where(_reached.c.offset <= edge)
    .scalar_subquery()
    for edge in (_START, _STOP)
)
_past_stop = case((_OFFSET < _STOP, _STOP - _OFFSET), else_=0).cast(Integer)

_PAGE = Prepared(
    select(_OFFSET, _SIZE, extents.c.block, extents.c.block_offset)
    .where(_OF_VERSION, _OFFSET >= _SINCE_START, _OFFSET < _STOP)
    .order_by(_OFFSET)
    .limit(PAGE)
)
_elsewhere = (
    select(replicas.c.pack)
    .join(stores, stores.c.no == replicas.c.store)
    .where(replicas.c.pack == blocks.c.pack, replicas.c.state == "sound", stores.c.kind != "spool")
)
_ONLY_HERE = (
    select(extents.c.block)
    .join(blocks, blocks.c.no == extents.c.block)
    .where(_OF_VERSION, ~_elsewhere.exists())
    .limit(1)
)
_WRITE = insert(extents)
_WRITE_ROWS = Prepared(_WRITE)
_KEEP_BEFORE = _WRITE.from_select(
    _COLUMNS,
    select(
        _NEW_VERSION,
        _OFFSET,
        case((_OFFSET + _SIZE > _START, _START - _OFFSET), else_=_SIZE).cast(Integer),
        extents.c.block,
        extents.c.block_offset,
    ).where(_OF_VERSION, _OFFSET < _START),
)
_KEEP_AFTER = _WRITE.from_select(
    _COLUMNS,
    select(
        _NEW_VERSION,
        _OFFSET + _past_stop,
        _SIZE - _past_stop,
        extents.c.block,
        extents.c.block_offset + _past_stop,
    ).where(_OF_VERSION, _OFFSET >= _SINCE_STOP, _OFFSET + _SIZE > _STOP),
)


def write(
    connection: Connection,
    version: int,
    adopted: Iterable[tuple[int, int, int, int]],
    start: int = 0,
) -> None:
    """Write extents (offset, size, block, block offset) of the version, moved by `start`."""
    rows = [
        {
            "version": version,
            "offset": start + offset,
            "size": size,
            "block": block,
            "block_offset": block_offset,
        }
        for offset, size, block, block_offset in adopted
    ]
    if rows:
        _WRITE_ROWS.run_each(connection, rows)


def splice(connection: Connection, base: int, version: int, start: int, stop: int) -> None:
    """Have `version` share with `base` all but the bytes from `start` to `stop`.

    No extent is brought here and no block is read: those at the edges are used in part.
    """
    values = {"of_version": base, "new_version": version, "start": start, "stop": stop}
    connection.execute(_KEEP_BEFORE, values)
    connection.execute(_KEEP_AFTER, values)


def read(db: Database, vault: Vault, version: int, start: int, stop: int) -> Reading:
    """The bytes from `start` to `stop` of the version, whatever becomes of its node.

    Raises what `Vault.reader` does, before there is a reading or between two pieces.
    """
    return vault.reader(_extents(db, version, start, stop), start, stop)


def is_remote(db: Database, version: int) -> bool:
    """True if a store has each of the version's blocks: it outlives this machine."""
    with db.read() as connection:
        return connection.execute(_ONLY_HERE, {"of_version": version}).first() is None


def _extents(db: Database, version: int, start: int, stop: int) -> Iterator[Extent]:
    """The extents that hold `start` to `stop`, looked up a page at a time.

    No snapshot is kept between two pages: a version's extents never change.
    """
    while start < stop:
        values = {"of_version": version, "start": start, "stop": stop}
        with db.read() as connection:
            page = [Extent(*row) for row in _PAGE.rows(connection, values)]
        yield from page
        if len(page) < PAGE:
            return
        start = page[-1].offset + page[-1].size
