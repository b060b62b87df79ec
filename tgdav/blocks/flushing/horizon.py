"""Do the stores know more than the database? Then it is an old one, or no longer the drive.

Looks at what each store kept last and the database has no row of. A caption only raises
a suspicion: what the pack itself says, sealed, decides. A store out of reach tells
nothing, for or against.
"""

import logging
import threading
import time
from collections.abc import Iterator
from itertools import islice

from sqlalchemy import Connection, bindparam, func, select

from tgdav.blocks.flushing.packing import JournalSource
from tgdav.blocks.form import payload
from tgdav.blocks.form.pack import Caption, PackContents, parse_caption, read_pack
from tgdav.blocks.form.payload import Journal, Standing
from tgdav.blocks.rows import drive as drives
from tgdav.blocks.rows.index import batches
from tgdav.blocks.rows.tables import packed, packs
from tgdav.blocks.workshop import Workshop
from tgdav.errors import PackDamaged, ReplicaMissing, StoresAhead, TgdavError
from tgdav.stores.base import Listed, Store

LOG = logging.getLogger(__name__)

DEPTH = 256
"""Newest replicas of a store that are looked at: more than come between two looks."""
LOOK_EVERY_S, FRESH_S = 60.0, 90.0
"""How often a server looks, and how long a good look is relied upon."""

_POSITION = select(func.coalesce(func.max(packed.c.journal), 0))
_RECORDED = select(packs.c.pack_id).where(packs.c.pack_id.in_(bindparam("ids", expanding=True)))


class Horizon:
    """Compares one drive's database with its stores. Any thread."""

    def __init__(self, workshop: Workshop, journal: JournalSource) -> None:
        self._journal = journal
        self._db = workshop.db
        self._drive = workshop.drive
        self._keys = workshop.keys
        self._pool = workshop.pool
        self._spool_no = workshop.spool.no
        self._looking = threading.Lock()
        self._good_until = float("-inf")
        self._why = ""
        self._settled: dict[int, set[bytes]] = {}
        """Of each store, packs that no row mentions, and that are no newer state either."""

    def require(self) -> None:
        """Raise `StoresAhead` if a store knows more, or did at the last look."""
        if time.monotonic() < self._good_until:
            return
        with self._looking:
            if time.monotonic() >= self._good_until:
                self._look(DEPTH)

    def require_good(self) -> None:
        """Raise `StoresAhead` if the last look of this process found a store ahead."""
        if self._why:
            raise StoresAhead(self._why)

    def look(self, depth: int | None = DEPTH) -> None:
        """Look at every store now; with no `depth` at all that it has.

        Raises `StoresAhead`, `DatabaseBusy`. What it finds is noted in the database: in all
        processes nothing is changed any more until a look finds every store at hand and
        none ahead.
        """
        with self._looking:
            self._look(depth)

    def _look(self, depth: int | None) -> None:
        why, unseen = self._look_at_all(depth)
        with self._db.read() as connection:
            noted = drives.why_behind(connection)
        if why != noted and (why or not unseen):
            self._db.write(lambda connection: drives.note_behind(connection, why))
            noted = why
        self._why = noted
        if noted:
            self._good_until = float("-inf")
            raise StoresAhead(noted)
        self._good_until = time.monotonic() + FRESH_S

    def _look_at_all(self, depth: int | None) -> tuple[str, bool]:
        """Why a store is ahead, or ""; and whether one could not be looked at."""
        unseen = False
        for no in self._pool.numbers():
            if no == self._spool_no:
                continue
            try:
                if why := self._look_at(no, self._pool.store(no), depth):
                    return why, unseen
            except TgdavError as error:
                LOG.info("store %d: not compared with the database: %s", no, error)
                unseen = True
        return "", unseen

    def _look_at(self, no: int, store: Store, depth: int | None) -> str:
        """Why the store is ahead, or ""."""
        settled: set[bytes] = set()
        for listed, said in self._strange(store, depth):
            if said.pack_id not in self._settled.get(no, ()):
                try:
                    contents = self._opened(store, listed, said)
                    why = self._news(said.kind, contents.journal)
                except (PackDamaged, ReplicaMissing) as error:
                    LOG.warning("store %d: %s: not believed: %s", no, listed.locator, error)
                    why = ""
                if why:
                    return f"store {no} {why}: recover the drive into an empty data folder"
            settled.add(said.pack_id)
        self._settled[no] = settled
        return ""

    def _strange(self, store: Store, depth: int | None) -> Iterator[tuple[Listed, Caption]]:
        """The newest packs of this drive, those that the database has no row of."""
        for page in batches(islice(store.scan(), depth), DEPTH):
            ours = [
                (listed, said)
                for listed in page
                if (said := parse_caption(listed.caption)) and said.drive_id == self._drive.drive_id
            ]
            with self._db.read() as connection:
                ids = [said.pack_id for _, said in ours]
                recorded = set(map(bytes, connection.scalars(_RECORDED, {"ids": ids})))
            yield from (at for at in ours if at[1].pack_id not in recorded)

    def _opened(self, store: Store, listed: Listed, said: Caption) -> PackContents:
        contents = read_pack(
            lambda offset, size: store.read(listed.locator, offset, size), listed.size, self._keys
        )
        if (contents.drive_id, contents.pack_id) != (said.drive_id, said.pack_id):
            raise PackDamaged("the caption is another pack's")
        return contents

    def _news(self, kind: str, carried: bytes) -> str:
        """What a pack says that the database does not know, or ""; asked after the store was.

        A pack may be in a store before it is recorded: its changes are known all the same.
        """
        told = payload.standing(kind, carried)
        if told is None or told.epoch < self._drive.epoch:
            return ""
        rows = payload.read_journal(carried) if kind == "pack" else None
        with self._db.read() as connection:
            is_known = self._knows(connection, told) and not (
                (rows and self._differs(connection, rows))
                or (kind == "head" and _is_anothers(connection, carried))
            )
        if is_known:
            return ""
        return (
            f"has change {told.position} of epoch {told.epoch} of this drive, "
            f"which the database (epoch {self._drive.epoch}) does not know"
        )

    def _knows(self, connection: Connection, told: Standing) -> bool:
        """True if the database has come as far."""
        if told.epoch != self._drive.epoch:
            return False
        if told.position <= packed_to(connection):
            return True
        return self._journal(connection, told.position - 1)[1] != b""

    def _differs(self, connection: Connection, rows: Journal) -> bool:
        """True if the database's journal, where it still has it, tells other changes.

        So it is with an old one that was put back and has gone on by itself.
        """
        _, ours = self._journal(connection, rows.after)
        if _first_number(ours) != _first_number(rows.rows):
            return False
        return not (ours.startswith(rows.rows) or rows.rows.startswith(ours))


def packed_to(connection: Connection) -> int:
    """The last journal number that a pack has."""
    return int(connection.scalars(_POSITION).one())


def _is_anothers(connection: Connection, carried: bytes) -> bool:
    """True if the head is of another machine that recovered the drive at the same time."""
    facts = payload.read_facts(carried)
    told, ours = drives.read_epochs(facts.get("epochs")), drives.epochs(connection)
    return told.get(facts["epoch"]) != ours.get(facts["epoch"])


def _first_number(rows: bytes) -> bytes:
    return rows.partition(b",")[0]
