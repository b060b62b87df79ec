"""Which packs make up the drive's snapshots: statements on `snapshots` and `packs`.

A snapshot is complete with its last part; how many are kept, and what of the journal
they make unnecessary, is said here.
"""

from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, func, insert, select

from tgdav.blocks.rows.tables import NO_DIGEST, packs, snapshots

KEPT = 3
"""Complete snapshots that are kept; damage to one leaves two."""

_last = snapshots.alias("last")
_is_whole = exists().where(_last.c.snapshot_id == snapshots.c.snapshot_id, _last.c.is_last)
_COMPLETE = (
    select(
        snapshots.c.snapshot_id,
        func.max(packs.c.epoch).label("epoch"),
        func.max(packs.c.position).label("position"),
        func.sum(packs.c.size).label("bytes"),
        func.max(packs.c.created_ns).label("made_ns"),
    )
    .join(packs, packs.c.no == snapshots.c.pack)
    .where(_is_whole)
    .group_by(snapshots.c.snapshot_id)
    .having(func.count() == func.max(snapshots.c.part) + 1)
    .order_by(func.max(packs.c.position).desc(), func.max(packs.c.epoch).desc())
)
_INSERT = insert(snapshots)
_PARTS = (
    select(snapshots.c.pack)
    .where(snapshots.c.snapshot_id == bindparam("of_id"))
    .order_by(snapshots.c.part)
)
_FORGET = delete(snapshots).where(snapshots.c.snapshot_id.not_in(bindparam("kept", expanding=True)))
_FORGET_ONE = delete(snapshots).where(snapshots.c.snapshot_id == bindparam("of_id"))
_SUPERSEDED = select(packs.c.no).where(
    packs.c.kind == "snapshot", ~exists().where(snapshots.c.pack == packs.c.no)
)
_DIGESTS = (
    select(packs.c.no, packs.c.pack_id, packs.c.digest)
    .where(packs.c.no > bindparam("after", type_=BigInteger), packs.c.digest != NO_DIGEST)
    .order_by(packs.c.no)
    .limit(bindparam("most"))
)


class Snapshot(NamedTuple):
    """A complete one."""

    snapshot_id: bytes
    epoch: int
    position: int
    """The last change that is in it."""
    bytes: int
    made_ns: int


def complete(connection: Connection) -> list[Snapshot]:
    """The complete snapshots, the newest first."""
    return [
        Snapshot(bytes(row[0]), row[1], row[2], int(row[3]), row[4])
        for row in connection.execute(_COMPLETE)
    ]


def newest(connection: Connection) -> Snapshot | None:
    """The newest complete snapshot."""
    return next(iter(complete(connection)), None)


def parts(connection: Connection, snapshot_id: bytes) -> list[int]:
    """The packs of a snapshot, in order."""
    return list(connection.scalars(_PARTS, {"of_id": snapshot_id}))


def record(
    connection: Connection, pack: int, snapshot_id: bytes, part: int, *, is_last: bool
) -> None:
    """Note that `pack`, which is recorded, is a part of the snapshot."""
    row = {"pack": pack, "snapshot_id": snapshot_id, "part": part, "is_last": is_last}
    connection.execute(_INSERT, row)


def forget_old(connection: Connection) -> None:
    """Forget all but the newest complete snapshots: none may be being taken."""
    kept = [each.snapshot_id for each in complete(connection)[:KEPT]]
    connection.execute(_FORGET, {"kept": kept})


def forget(connection: Connection, snapshot_id: bytes) -> None:
    """Forget this snapshot."""
    connection.execute(_FORGET_ONE, {"of_id": snapshot_id})


def superseded(connection: Connection) -> list[int]:
    """The packs that were parts of snapshots which are forgotten."""
    return list(connection.scalars(_SUPERSEDED))


def needed_since(connection: Connection) -> int:
    """Packs of kind "pack" beyond this position carry journal that recovery needs.

    It is the oldest kept snapshot's, so that any of those kept can be gone on from; 0
    while there are fewer, as then the journal is needed from its beginning.
    """
    kept = complete(connection)[:KEPT]
    return kept[-1].position if len(kept) == KEPT else 0


def digests(connection: Connection, after: int, most: int = 500) -> list[tuple[int, bytes, bytes]]:
    """A page of (number, id, digest) of the packs whose number is larger than `after`."""
    told = {"after": after, "most": most}
    return [(no, pack_id, digest) for no, pack_id, digest in connection.execute(_DIGESTS, told)]
