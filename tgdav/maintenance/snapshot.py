"""Snapshots: the whole tree at one position of the journal, as packs of their own.

Recovery loads the newest and replays what the journal has after it. None is complete
before the stores have the content that it names. Taking one lets the journal's older rows
go from the database; packs keep what recovery may need. A crash leaves parts that the next
one clears away.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from secrets import token_bytes
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, select

from tgdav.blocks.flushing.horizon import packed_to
from tgdav.blocks.flushing.shedding import shed
from tgdav.blocks.form import payload
from tgdav.blocks.keeping import keep
from tgdav.blocks.local.spool import KeptPack, OpenPack
from tgdav.blocks.recovery.heads import Heads, Wrapped
from tgdav.blocks.rows import holdings, snapshots
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.vault import Vault
from tgdav.blocks.workshop import Workshop
from tgdav.db import Database
from tgdav.errors import Busy, PackDamaged
from tgdav.tree import image
from tgdav.tree.tables import journal

CHUNK = 1 << 20
"""Bytes of lines that are sealed as one; as much is in memory at once."""
LEASE_S = 120.0
TRIMMED = 5000
"""Journal rows that one transaction deletes; more would keep saves waiting."""
CHANGES = 50_000
"""Changes since the last snapshot that make the next one due."""

Progress = Callable[[int], None]
"""Told of the bytes of lines so far."""
Flush = Callable[[], None]
"""Has everything kept before now in the stores, or raises."""

_OLDEST = select(func.min(journal.c.no))
_SINCE = select(func.count()).where(journal.c.no > bindparam("after", type_=BigInteger))
_TRIM = delete(journal).where(journal.c.no <= bindparam("up_to", type_=BigInteger))
_UNPACKED_NS = (
    select(journal.c.at_ns)
    .where(journal.c.no > bindparam("after", type_=BigInteger))
    .order_by(journal.c.no)
    .limit(1)
)


class Taken(NamedTuple):
    """A snapshot that was taken."""

    position: int
    parts: int
    bytes: int
    """Of its packs."""
    trimmed: int
    """Journal rows that went from the database."""


class SnapshotAge(NamedTuple):
    """How old what recovery would bring back is, in seconds; None: there is none."""

    newest_s: float | None
    unpacked_s: float
    """Since the oldest change that is in no pack."""


class Snapshots:
    """Takes snapshots of one drive and keeps its heads. One process at a time does.

    `wrapped` is the key behind its passphrase, for the heads.
    """

    def __init__(self, vault: Vault, db: Database, wrapped: Wrapped) -> None:
        self._vault = vault
        self._workshop = vault.workshop
        self._db = db
        self._leases = Leases(db)
        self._heads = Heads(self._workshop, wrapped)

    def run_if_due(self, changes: int = CHANGES) -> None:
        """What the clock calls: keep the heads true; take a snapshot if it is time.

        It is when there is none and something to keep, or `changes` came since the last.
        Does nothing while another process is at it. Raises as `take`, and `StoresAhead`; the
        heads are true all the same if only the snapshot could not be taken.
        """
        if not self._leases.acquire("snapshot", LEASE_S):
            return
        try:
            self._vault.require_current()
            try:
                if self._is_due(changes):
                    self._take(self._flush_sound, lambda _: None)
            finally:
                self._heads.renew()
        finally:
            self._leases.release("snapshot")

    def take(self, progress: Progress = lambda _: None, *, beside: bool = False) -> Taken:
        """Take one now; it is in the stores on return, and so is the head that names it.

        `beside` a process that has the stores, that one delivers, and tells of it within a
        minute. A crash leaves parts that the next one clears away. Raises `Busy` while
        another process takes one, and what a flush raises.
        """
        whole = self._vault.flush_beside if beside else self._vault.flush
        flush = partial(whole, self._renew)
        if not self._leases.acquire("snapshot", LEASE_S):
            raise Busy("another process is taking a snapshot", 30.0)
        try:
            taken = self._take(flush, progress)
            if not beside:
                self._heads.renew()
            flush()
            return taken
        finally:
            self._leases.release("snapshot")

    def tell(self) -> None:
        """Have a true head in every store. Raises what a flush raises."""
        self._heads.renew()
        self._vault.flush()

    def _is_due(self, changes: int) -> bool:
        with self._db.read() as connection:
            newest = snapshots.newest(connection)
            after = newest.position if newest else 0
            since = int(connection.scalars(_SINCE, {"after": after}).one())
        return since >= (changes if newest else 1)

    def _take(self, flush: Flush, progress: Progress) -> Taken:
        flush()  # stores that take nothing are not worth an image
        self._clear_away()
        with self._db.read() as connection:
            position = max(image.position(connection), packed_to(connection))
            snapshot = _Writing(self._workshop, position, progress, self._renew)
            snapshot.write(_lines(connection))
            waiting = holdings.only_spooled(connection)

        def settle() -> None:
            flush()
            self._require_stored(waiting)

        parts, size = snapshot.finish(settle)
        self._clear_away()
        return Taken(position, parts, size, self._trim(position))

    def _require_stored(self, packs: set[int]) -> None:
        """Raise `Busy` while no store has one of them: the flush was of one gateway's spool."""
        with self._db.read() as connection:
            left = packs & holdings.only_spooled(connection)
        if left:
            raise Busy(f"{len(left)} packs wait in the spool of another gateway", 30.0)

    def _flush_sound(self) -> None:
        with contextlib.suppress(PackDamaged):  # that comes no more; all else is in the stores
            self._vault.flush(self._renew)

    def _renew(self, *_: int) -> None:
        self._leases.acquire("snapshot", LEASE_S)

    def _clear_away(self) -> None:
        """Drop the packs of torn snapshots, and of all but the last few."""
        self._db.write(snapshots.forget_old)
        with self._db.read() as connection:
            superseded = snapshots.superseded(connection)
        shed(self._workshop, superseded)

    def _trim(self, position: int) -> int:
        """Delete the journal rows that both a snapshot and packs have."""
        with self._db.read() as connection:
            up_to = min(position, packed_to(connection))
            oldest = connection.scalars(_OLDEST).one()
        trimmed = 0
        while oldest is not None and oldest <= up_to:
            oldest = min(up_to, oldest + TRIMMED - 1)
            trimmed += self._db.write(partial(_delete, oldest))
            oldest += 1
        return trimmed


def age(connection: Connection) -> SnapshotAge:
    """How old the newest snapshot is, and what no pack has."""
    now_ns = time.time_ns()
    newest = snapshots.newest(connection)
    oldest_ns = connection.scalars(_UNPACKED_NS, {"after": packed_to(connection)}).one_or_none()
    return SnapshotAge(
        newest_s=None if newest is None else (now_ns - newest.made_ns) / 1e9,
        unpacked_s=0.0 if oldest_ns is None else max(0.0, (now_ns - oldest_ns) / 1e9),
    )


def _delete(up_to: int, connection: Connection) -> int:
    return connection.execute(_TRIM, {"up_to": up_to}).rowcount


def _lines(connection: Connection) -> Iterator[bytes]:
    """The tree's lines, and behind them the packs' digests, which packs do not say."""
    yield from image.lines(connection)
    after = 0
    while page := snapshots.digests(connection, after):
        for _, pack_id, digest in page:
            yield b'["packs","%s","%s"]\n' % (pack_id.hex().encode(), digest.hex().encode())
        after = page[-1][0]


class _Writing:
    """One snapshot being written, part by part."""

    def __init__(
        self, workshop: Workshop, position: int, progress: Progress, renew: Callable[[], None]
    ) -> None:
        self._workshop = workshop
        self._progress = progress
        self._renew = renew
        self._id = token_bytes(16)
        self._position = position
        self._parts = 0
        self._bytes = 0
        self._pack: OpenPack | None = None

    def write(self, lines: Iterable[bytes]) -> None:
        """Seal the lines in chunks. If it raises, what was not kept is gone."""
        told = 0
        with self._abandoning():
            for chunk in _chunks(lines):
                self._add(chunk)
                told += len(chunk)
                self._progress(told)

    def finish(self, flush: Flush) -> tuple[int, int]:
        """Flush what the lines name, then keep the last part: the snapshot is complete.

        Returns parts and bytes. If it raises, there is no last part.
        """
        with self._abandoning():
            flush()
        self._keep(is_last=True)
        return self._parts, self._bytes

    @contextlib.contextmanager
    def _abandoning(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._pack:
                self._pack.abandon()
            raise

    def _add(self, chunk: bytes) -> None:
        # Only a chunk that comes next shows that a full part is not the last.
        if self._pack and self._pack.size >= self._workshop.sizes.pack_size:
            self._keep(is_last=False)
        if self._pack is None:
            self._pack = self._workshop.spool.open_pack(self._position, "snapshot")
        block_id = self._workshop.keys.block_id(chunk)
        sealed = self._workshop.sealer.seal(block_id, chunk)
        self._pack.add(0, block_id, sealed, len(chunk))

    def _keep(self, *, is_last: bool) -> None:
        pack, self._pack = self._pack, None
        assert pack is not None  # noqa: S101 - an image has a first line at least
        told = {"id": self._id.hex(), "part": self._parts, "is_last": is_last}
        told |= {"epoch": self._workshop.drive.epoch, "position": self._position}
        try:
            self._renew()
            pack.journal(payload.facts(told))
        except BaseException:
            pack.abandon()
            raise

        def record(connection: Connection, kept: KeptPack) -> None:
            snapshots.record(connection, kept.pack.no, self._id, self._parts, is_last=is_last)

        kept, _ = keep(self._workshop, pack, record)
        self._parts += 1
        self._bytes += kept.pack.size


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, about `CHUNK` bytes at a time."""
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= CHUNK:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
