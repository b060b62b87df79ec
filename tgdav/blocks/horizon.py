"""Do the stores know more than the database? Then it is an old one, or no longer the drive.

Looks at what each store kept last. A caption only raises a suspicion: what the pack
itself says, sealed, decides. A store out of reach tells nothing, for or against.
"""

import logging
import time
from itertools import islice

from sqlalchemy import Connection, func, select

from tgdav.blocks import drive as drives
from tgdav.blocks.drive import Drive
from tgdav.blocks.keys import Keys
from tgdav.blocks.pack import Caption, parse_caption, read_pack
from tgdav.blocks.packing import JournalSource
from tgdav.blocks.payload import Standing, standing
from tgdav.blocks.tables import packed
from tgdav.db import Database
from tgdav.errors import PackDamaged, ReplicaMissing, StoresAhead, TgdavError
from tgdav.stores.base import Listed, Store
from tgdav.stores.pool import StorePool

LOG = logging.getLogger(__name__)

DEPTH = 256
"""Newest replicas of a store that are looked at: more than come between two looks."""
FRESH_S = 10.0
"""How long a good look is relied upon."""

_POSITION = select(func.coalesce(func.max(packed.c.journal), 0))


class Horizon:
    """Compares one drive's database with its stores. Any thread."""

    def __init__(
        self, db: Database, drive: Drive, keys: Keys, pool: StorePool, journal: JournalSource
    ) -> None:
        self._journal = journal
        self._db = db
        self._drive = drive
        self._keys = keys
        self._pool = pool
        self._good_until = float("-inf")
        self._why = ""

    def require(self) -> None:
        """Raise `StoresAhead` if a store knows more, or did at the last look."""
        if time.monotonic() >= self._good_until:
            self.look()

    def require_good(self) -> None:
        """Raise `StoresAhead` if the last look of this process found a store ahead."""
        if self._why:
            raise StoresAhead(self._why)

    def look(self) -> None:
        """Look at every store now. Raises `StoresAhead`, `DatabaseBusy`.

        What it finds is noted in the database: in all processes nothing is changed any
        more until a look finds every store at hand and none ahead.
        """
        why, unseen = "", False
        for no in self._pool.writable():
            try:
                why = why or self._look_at(no, self._pool.store(no))
            except TgdavError as error:
                LOG.info("store %d: not compared with the database: %s", no, error)
                unseen = True
        with self._db.read() as connection:
            noted = drives.behind(connection)
        if why != noted and (why or not unseen):
            self._db.write(lambda connection: drives.note_behind(connection, why))
            noted = why
        self._why = noted
        if noted:
            raise StoresAhead(noted)
        self._good_until = time.monotonic() + FRESH_S

    def _look_at(self, no: int, store: Store) -> str:
        """Why the store is ahead, or ""."""
        for listed in islice(store.scan(), DEPTH):
            said = parse_caption(listed.caption)
            if said is None or said.drive_id != self._drive.drive_id:
                continue
            if self._knows(Standing(said.epoch, said.position)):
                continue
            try:
                found = self._said(store, listed, said)
            except (PackDamaged, ReplicaMissing) as error:
                LOG.warning("store %d: %s: not believed: %s", no, listed.locator, error)
                continue
            if found and not self._knows(found):
                return (
                    f"store {no} has change {found.position} of epoch {found.epoch} of this "
                    f"drive, which the database (epoch {self._drive.epoch}) does not know: "
                    "recover the drive into an empty data folder"
                )
        return ""

    def _knows(self, told: Standing) -> bool:
        """True if the database had come as far; asked after the store was.

        A pack may be in a store before it is recorded: its changes are known all the same.
        """
        if told.epoch != self._drive.epoch:
            return told.epoch < self._drive.epoch
        with self._db.read() as connection:
            if told.position <= packed_to(connection):
                return True
            return self._journal(connection, told.position - 1)[1] != b""

    def _said(self, store: Store, listed: Listed, said: Caption) -> Standing | None:
        contents = read_pack(
            lambda offset, size: store.read(listed.locator, offset, size), listed.size, self._keys
        )
        if (contents.drive_id, contents.pack_id) != (said.drive_id, said.pack_id):
            raise PackDamaged("the caption is another pack's")
        return standing(said.kind, contents.journal)


def packed_to(connection: Connection) -> int:
    """The last journal number that a pack has."""
    return int(connection.scalars(_POSITION).one())
