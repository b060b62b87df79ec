"""Small sealed blocks in the database, durable at once, until a pack takes them.

Each function works on a transaction's connection and does nothing but SQL, so it may
be run again.
"""

import time
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, select, update

from tgdav.blocks.form.draft import Draft, Logged, LoggedBlock, Pending, SealedBlock
from tgdav.blocks.rows import condemned, holds, index
from tgdav.blocks.rows.index import NewBlock
from tgdav.blocks.rows.tables import blocks, mislaid, staged
from tgdav.db.prepared import Prepared
from tgdav.errors import Busy
from tgdav.stores.base import Buffer

_INSERT = Prepared(insert(staged))
_SEALED = Prepared(
    select(staged.c.sealed, staged.c.log, staged.c.log_offset, staged.c.sealed_size).where(
        staged.c.block == bindparam("of_block")
    )
)
_LOGS = select(staged.c.log).where(staged.c.log.is_not(None)).union(select(mislaid.c.log))
_LOGGED = (
    select(staged.c.block, staged.c.log, staged.c.log_offset, staged.c.sealed_size)
    .where(staged.c.log.is_not(None), staged.c.block > bindparam("after", type_=BigInteger))
    .order_by(staged.c.block)
    .limit(index.BATCH)
)
_SUM = select(func.coalesce(func.sum(staged.c.sealed_size), 0), func.min(staged.c.staged_ns))
_OLDEST = (
    select(staged.c.block, staged.c.sealed_size)
    .where(staged.c.staged_ns <= bindparam("until_ns"))
    .order_by(staged.c.staged_ns, staged.c.block)
    .limit(bindparam("most"))
)
_OPENED_UP = (
    select(
        blocks.c.no,
        blocks.c.block_id,
        blocks.c.size,
        staged.c.sealed,
        staged.c.log,
        staged.c.log_offset,
        staged.c.sealed_size,
    )
    .join(staged, staged.c.block == blocks.c.no)
    .where(blocks.c.no.in_(bindparam("numbers", expanding=True)))
)
_MOVE = (
    update(blocks)
    .where(blocks.c.no == bindparam("of_block"), blocks.c.pack.is_(None))
    .values(pack=bindparam("into_pack"), pack_offset=bindparam("at_offset"))
)
_DROP = delete(staged).where(staged.c.block == bindparam("of_block"))


class Waiting(NamedTuple):
    """How much is staged, and since when the oldest of it."""

    bytes: int
    oldest_ns: int | None


def stage(connection: Connection, pending: Collection[Pending]) -> dict[int, int]:
    """Stage what is not kept already; return known blocks' numbers by those meant for them."""
    known = index.find(connection, [block.block_id for block in pending])
    renumbered = index.renumbered(pending, known)
    if doomed := [each.no for each in known.values() if each.is_condemned]:
        condemned.revive(connection, doomed)
    absent = [block for block in pending if not index.is_alive(known.get(block.block_id))]
    if absent:
        index.record_blocks(connection, [_recorded(block) for block in absent], known)
        now = time.time_ns()
        rows = [_row(renumbered.get(block.no, block.no), block, now) for block in absent]
        _INSERT.run_each(connection, rows)
    return renumbered


def _recorded(block: Pending) -> NewBlock:
    return NewBlock(block.no, block.block_id, block.size, block.sealed_size, None, None)


def _row(no: int, block: Pending, now: int) -> dict[str, int | Buffer | None]:
    row: dict[str, int | Buffer | None] = {"block": no, "sealed_size": block.sealed_size}
    if isinstance(block, LoggedBlock):
        row |= {"sealed": b"", "log": block.logged.log, "log_offset": block.logged.offset}
    else:
        row |= {"sealed": block.sealed, "log": None, "log_offset": None}
    return row | {"staged_ns": now}


def adopt(connection: Connection, draft: Draft) -> list[tuple[int, int, int, int]]:
    """Make the draft's blocks part of this transaction; return its extents.

    Each is (offset in the draft, size, block number, offset in the block). Raises `Busy`
    if a block that the save relied on is gone: saving again brings it anew. Changes
    nothing in the draft, so the transaction may be run again.
    """
    renumbered = stage(connection, draft.pending) if draft.pending else {}
    _require_recorded(connection, draft)
    if draft.hold_id is not None:
        holds.drop(connection, draft.hold_id)
    extents = []
    offset = 0
    for no, size in zip(draft.pieces.numbers, draft.pieces.sizes, strict=True):
        extents.append((offset, size, renumbered.get(no, no), 0))
        offset += size
    return extents


def _require_recorded(connection: Connection, draft: Draft) -> None:
    pending = {block.no for block in draft.pending}
    relied_on = {no for no in draft.pieces.numbers if no not in pending}
    if relied_on and index.count(connection, relied_on) != len(relied_on):
        raise Busy("a block that this save relies on was collected meanwhile", 1.0)
    if relied_on:
        condemned.revive(connection, relied_on)


def sealed(connection: Connection, block: int) -> bytes | Logged | None:
    """The staged block, or where it lies, or None if it is not staged (any more)."""
    rows = _SEALED.rows(connection, {"of_block": block})
    return _where(*rows[0]) if rows else None


def _where(inline: bytes, log: int | None, offset: int, size: int) -> bytes | Logged:
    return inline if log is None else Logged(log, offset, size)


def logs(connection: Connection) -> set[int]:
    """The numbers of the files in which staged blocks lie, or should."""
    return set(connection.scalars(_LOGS))


def logged(connection: Connection, after: int) -> list[tuple[int, Logged]]:
    """The next blocks that lie in the staging log, by number, and where."""
    rows = connection.execute(_LOGGED, {"after": after})
    return [(no, Logged(log, offset, size)) for no, log, offset, size in rows]


def waiting(connection: Connection) -> Waiting:
    """What is staged now."""
    return Waiting(*connection.execute(_SUM).one())


def oldest(
    connection: Connection, until_ns: int, most_bytes: int, most: int = 100_000
) -> list[int]:
    """Numbers of blocks staged until then, oldest first, about `most_bytes` of them."""
    numbers: list[int] = []
    total = 0
    for no, size in connection.execute(_OLDEST, {"until_ns": until_ns, "most": most}):
        if numbers and total + size > most_bytes:
            break
        numbers.append(no)
        total += size
    return numbers


def opened_up(connection: Connection, numbers: Collection[int]) -> list[Pending]:
    """These staged blocks with their bytes, or where they lie; those that are not are left out."""
    rows = connection.execute(_OPENED_UP, {"numbers": list(numbers)})
    return [_pending(*row[:3], _where(*row[3:])) for row in rows]


def _pending(no: int, block_id: bytes, size: int, where: bytes | Logged) -> Pending:
    if isinstance(where, Logged):
        return LoggedBlock(no, block_id, size, where)
    return SealedBlock(no, block_id, size, where)


def move(connection: Connection, blocks: Collection[NewBlock]) -> None:
    """Say that these blocks lie in the packs that they name, and unstage them."""
    rows = [
        {"of_block": block.no, "into_pack": block.pack, "at_offset": block.pack_offset}
        for block in blocks
    ]
    if rows:
        connection.execute(_MOVE, rows)
        connection.execute(_DROP, rows)
