"""Which of the snapshots and journals found in stores make up the drive's history.

A drive that was recovered went on in a new epoch, after some change. What an earlier
epoch wrote beyond that change is another history: its blocks are kept, its changes not.
"""

from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, func, select

from tgdav.blocks.rows import snapshots
from tgdav.blocks.rows.drive import Beginning
from tgdav.blocks.rows.snapshots import Snapshot
from tgdav.blocks.rows.tables import found, packs

FOREVER = 2**63 - 1

_BEGINNINGS = (
    select(found.c.epoch, func.min(found.c.after))
    .where(found.c.after.is_not(None))
    .group_by(found.c.epoch)
)
_NEXT = (
    select(found.c.pack, found.c.epoch, found.c.after, found.c.last)
    .where(
        found.c.after <= bindparam("at", type_=BigInteger),
        found.c.last > bindparam("at", type_=BigInteger),
    )
    .order_by(found.c.epoch.desc(), found.c.last.desc())
)
_LATER = (
    select(found.c.epoch, found.c.after, found.c.last)
    .where(found.c.after > bindparam("at", type_=BigInteger))
    .order_by(found.c.after)
)
_HEADS = (
    select(packs.c.no)
    .join(found, found.c.pack == packs.c.no)
    .where(packs.c.kind == "head", found.c.trouble == "")
    .order_by(packs.c.epoch.desc(), packs.c.position.desc(), packs.c.no)
    .limit(1)
)
_TROUBLE = (
    select(found.c.trouble, packs.c.kind)
    .join(packs, packs.c.no == found.c.pack)
    .where(found.c.trouble != "")
    .order_by(found.c.pack)
    .limit(bindparam("most"))
)
_NEWEST_EPOCH = select(func.coalesce(func.max(packs.c.epoch), 1))


class Step(NamedTuple):
    """Journal to replay next: of this pack, after `at`, no further than `up_to`."""

    pack: int
    up_to: int


class Gap(NamedTuple):
    """Changes that no pack at hand has, though later ones were found."""

    after: int
    before: int


class Trouble(NamedTuple):
    """A pack that could not be read."""

    why: str
    kind: str


class Lineage:
    """The epochs of a drive, and what counts of each. Immutable."""

    def __init__(self, connection: Connection, told: dict[int, Beginning]) -> None:
        found = connection.execute(_BEGINNINGS)
        begun = {epoch: Beginning(int(after)) for epoch, after in found if epoch > 1}
        self.epochs = begun | told
        """Where each epoch but the first began; a head tells it best."""
        self.newest_epoch = max(1, connection.scalars(_NEWEST_EPOCH).one(), *self.epochs)

    def snapshot(self, connection: Connection) -> Snapshot | None:
        """The newest complete one that is this drive's history."""
        ours = (each for each in snapshots.complete(connection) if self._counts(each))
        return next(ours, None)

    def other_snapshots(self, connection: Connection) -> list[Snapshot]:
        """The complete ones that are of another history."""
        return [each for each in snapshots.complete(connection) if not self._counts(each)]

    def next(self, connection: Connection, at: int) -> Step | Gap | None:
        """What comes after change `at`; None if nothing does."""
        for pack, epoch, _, last in connection.execute(_NEXT, {"at": at}):
            up_to = min(last, self._end(epoch))
            if up_to > at:
                return Step(pack, up_to)
        for epoch, after, last in connection.execute(_LATER, {"at": at}):
            if min(last, self._end(epoch)) > after:
                return Gap(at, after + 1)
        return None

    def _counts(self, snapshot: Snapshot) -> bool:
        return snapshot.position <= self._end(snapshot.epoch)

    def _end(self, epoch: int) -> int:
        """The last change of the epoch that counts."""
        later = (began.after for no, began in self.epochs.items() if no > epoch)
        return min(later, default=FOREVER)


def head(connection: Connection) -> int | None:
    """The pack that is the newest head."""
    return connection.scalars(_HEADS).one_or_none()


def trouble(connection: Connection, most: int = 10) -> list[Trouble]:
    """Packs that could not be read, and why; the first `most`."""
    return [Trouble(*row) for row in connection.execute(_TROUBLE, {"most": most})]
