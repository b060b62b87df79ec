"""A drive to be damaged, and the jobs that find and heal it."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from tests.blocks.room import FIRST_STORE, SECOND_STORE, Room, content
from tests.tree.drive import Drive
from tgdav.blocks.rows.tables import packs
from tgdav.db import Database
from tgdav.maintenance import fsck, repair, scrub
from tgdav.maintenance.course import Course
from tgdav.maintenance.repair import Repaired
from tgdav.maintenance.scrub import Scrubbed
from tgdav.stores.base import Locator
from tgdav.stores.memory import MemoryStore

KIB = 1 << 10
FILES = {
    "/small": content(3 * KIB, 1),
    "/folder/middle": content(40 * KIB, 2),
    "/folder/large": content(300 * KIB, 3),
}


class Ward:
    """Two memory stores hold everything twice; `fsck` finds nothing at first."""

    def __init__(self, room: Room, folder: Path) -> None:
        self.room = room
        self.db = room.db
        self.folder = folder
        self.kept: list[MemoryStore] = [room.store._inner, room.add_store()._inner]
        self.open()

    def open(self, copies: int = 2, **options: Any) -> None:
        self.room.open(copies=copies, **options)
        self.drive = Drive(self.room)

    def fill(self) -> None:
        self.drive.mkdir("/folder")
        for path, data in FILES.items():
            self.drive.save(path, data)
        self.room.vault.flush()
        assert self.found() == set()

    def add_store(self, no: int) -> MemoryStore:
        """A further store, at hand at once."""
        made = MemoryStore()
        self.kept.append(made)
        self.room.stores[no] = made
        self.room.record_store(no, "memory")
        self.room.pool.set(no, made, writable=True)
        return made

    def found(self, **options: Any) -> set[str]:
        """The kinds of what fsck finds."""
        return {finding.kind for finding in self.findings(**options)}

    def findings(self, **options: Any) -> list[fsck.Finding]:
        return list(fsck.fsck(self.room.vault.workshop, **options))

    def scrub(self, **options: Any) -> Scrubbed:
        return scrub.scrub(self.room.vault.workshop, Course(), **options)

    def repair(self, **options: Any) -> Repaired:
        return repair.repair(self.room.vault.workshop, self.folder / "spool", **options)

    def contents_are_there(self) -> bool:
        """True if every file reads as it was saved, past any cache."""
        self.room.vault.workshop.cache._memory._chunks.clear()
        return all(self.drive.read(path) == data for path, data in FILES.items())

    def locators(self, store: MemoryStore | None = None) -> list[Locator]:
        return sorted((store or self.kept[0])._packs)

    def by_pack(self) -> list[Locator]:
        """The locators that memory stores give, in the order of the packs."""
        with self.db.read() as connection:
            ids = connection.scalars(select(packs.c.pack_id).order_by(packs.c.no)).all()
        return [Locator(pack_id.hex()) for pack_id in ids]

    def pack_numbers(self) -> list[int]:
        return self.room.column(packs.c.no)

    def change(self, locator: Locator, data: bytes, store: MemoryStore | None = None) -> None:
        """Have the store hold other bytes."""
        store = store or self.kept[0]
        store._packs[locator] = (data, store._packs[locator][1])

    def flip(self, locator: Locator, bit: int, store: MemoryStore | None = None) -> None:
        data = bytearray((store or self.kept[0])._packs[locator][0])
        data[bit // 8] ^= 1 << bit % 8
        self.change(locator, bytes(data), store)

    def harm(self, *statements: str) -> None:
        """Change rows as no transaction of ours could: no key is looked at."""
        harm(self.db, *statements)


def harm(db: Database, *statements: str) -> None:
    if db.dialect == "sqlite":
        raw = sqlite3.connect(str(db._engine.url.database))
        for statement in statements:
            raw.execute(statement)
        raw.commit()
        raw.close()
        return

    def work(connection: Any) -> None:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))

    db.write(work)


__all__ = ["FILES", "FIRST_STORE", "SECOND_STORE", "Ward", "harm"]
