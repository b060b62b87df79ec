"""A drive whose machine may be lost: its stores outlive it, and it is recovered from them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select, union

from tests import invariants
from tests.blocks.room import CHUNKS, KEYS, SPOOL, Room, content
from tests.tree.drive import ADA, BOB, Drive
from tgdav.blocks.rows.tables import blocks
from tgdav.db import Database
from tgdav.errors import Refused
from tgdav.maintenance.recover import Recovered, Recovery
from tgdav.maintenance.snapshot import Snapshots
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.pool import StorePool
from tgdav.tree import journal
from tgdav.tree.paths import parse
from tgdav.tree.tables import (
    extents,
    history,
    nodes,
    properties,
    trash,
    trashed,
    trashed_properties,
    users,
    versions,
)

__all__ = [
    "Machine",
    "Mischief",
    "Room",
    "machine",
    "recovered",
    "recovering",
    "state",
]


class Machine:
    """One machine's drive, with what keeps it recoverable."""

    def __init__(self, room: Room, **options: Any) -> None:
        self.room = room
        self.vault = room.open(journal=journal.unpacked, **options)
        self.drive = Drive(room)
        self.snapshots = Snapshots(self.vault, room.db, lambda: None)

    @property
    def db(self) -> Database:
        return self.room.db

    def flush(self) -> None:
        self.vault.flush()

    def close(self) -> None:
        self.room.close()
        self.room.spool.close()


def machine(db: Database, folder: Path, **options: Any) -> Machine:
    folder.mkdir(exist_ok=True)
    return Machine(Room(db, folder), **options)


def recovering(db: Database, room: Room, **options: Any) -> Recovery:
    """A recovery of the room's drive from its stores into `db`."""
    pool = StorePool()
    for no, store in room.stores.items():
        pool.set(no, store, writable=False)
    told = {"chunks": CHUNKS} | options
    return Recovery(db, pool, KEYS, room.drive.drive_id, **told)


def recovered(
    db: Database, lost: Machine, folder: Path, **options: Any
) -> tuple[Machine, Recovered]:
    """The drive on another machine, with the stores of the one that was lost."""
    folder.mkdir(exist_ok=True)
    room = furnish(db, folder, lost.room)
    done = recovering(db, room, **options).run()
    room.drive = done.drive
    invariants.check(db)
    return Machine(room), done


def furnish(db: Database, folder: Path, lost: Room) -> Room:
    """A room for a drive to be recovered in, with the stores of the one that was lost."""
    room = Room.__new__(Room)
    room.db, room.folder, room.stores, room.store = db, folder, lost.stores, lost.store
    room.log_folder = folder / "staging"
    room.spool = DirectoryStore.make(folder / "spool")
    room.vaults = []
    room.drive = lost.drive
    room.record_store(SPOOL, "spool")
    for no in lost.stores:
        room.record_store(no, "memory")
    return room


def state(db: Database) -> dict[str, Any]:
    """All that a drive is, but for the numbers of its blocks: to be compared.

    A version that nothing has any more is no part of it.
    """
    with db.read() as connection:

        def rows(statement: Any) -> list[tuple[Any, ...]]:
            return sorted(map(tuple, connection.execute(statement)), key=repr)

        having = [select(t.c.version).where(t.c.version.is_not(None)) for t in (nodes, trashed)]
        named = union(*having, select(history.c.version))
        return {
            "nodes": rows(select(nodes)),
            "versions": rows(
                select(versions.c.no, versions.c.etag, versions.c.size, versions.c.checksum).where(
                    versions.c.no.in_(named)
                )
            ),
            "extents": rows(
                select(
                    extents.c.version,
                    extents.c.offset,
                    extents.c.size,
                    extents.c.block_offset,
                    blocks.c.block_id,
                    blocks.c.size,
                )
                .join(blocks, blocks.c.no == extents.c.block)
                .where(extents.c.version.in_(named))
            ),
            "properties": rows(select(properties)),
            "users": rows(select(users)),
            "history": rows(select(history.c.node, history.c.version, history.c.modified_ns)),
            "trash": rows(select(trash.c.no, trash.c.node, trash.c.path, trash.c.user)),
            "trashed": rows(select(trashed)),
            "trashed properties": rows(select(trashed_properties)),
        }


class Mischief:
    """Operations of all kinds by chance, the same for the same seed."""

    def __init__(self, drive: Drive, seed: int = 1) -> None:
        self.drive = drive
        self.chance = random.Random(seed)
        self.done = 0

    def run(self, count: int) -> None:
        """Try `count` operations; some are refused, as people's are."""
        kinds: list[tuple[Callable[[], object], int]] = [
            (self._save, 50),
            (self._splice, 8),
            (self._mkdir, 12),
            (self._delete, 6),
            (self._move, 8),
            (self._copy, 6),
            (self._tell, 8),
            (self._touch, 4),
            (self._user, 1),
        ]
        works, weights = zip(*kinds, strict=True)
        for work in self.chance.choices(works, weights, k=count):
            try:
                work()
                self.done += 1
            except Refused:
                pass

    def _path(self) -> str:
        depth = self.chance.randint(1, 3)
        return "/" + "/".join(self.chance.choice("abcdeüfghi") for _ in range(depth))

    def _permit(self) -> Any:
        return self.chance.choice([ADA, BOB])

    def _save(self) -> None:
        size = self.chance.choice([0, 10, 700, 3000, 40_000])
        data = content(size, self.chance.randint(0, 300))
        self.drive.save(self._path() + ".txt", data, self._permit())

    def _splice(self) -> None:
        self.drive.splice(self._path() + ".txt", self.chance.randint(0, 5000), b"spliced" * 200)

    def _mkdir(self) -> None:
        self.drive.mkdir(self._path(), self._permit())

    def _delete(self) -> None:
        ending = "" if self.chance.random() < 0.05 else ".txt"
        self.drive.delete(self._path() + ending)

    def _move(self) -> None:
        ending = "" if self.chance.random() < 0.2 else ".txt"
        self.drive.move(self._path() + ending, self._path() + ending)

    def _copy(self) -> None:
        ending = "" if self.chance.random() < 0.2 else ".txt"
        self.drive.copy(self._path() + ending, self._path() + ending, self._permit())

    def _tell(self) -> None:
        self.drive.set_property(
            self._path(), f"{{x}}{self.chance.randint(0, 3)}", f"<p>{self.chance.random()}é</p>"
        )

    def _touch(self) -> None:
        self.drive.tree.touch(parse(self._path()), ADA, modified_ns=self.chance.randint(0, 10**18))

    def _user(self) -> None:
        name = f"user-{self.chance.randint(0, 5)}"
        users_of = self.drive.tree.users
        users_of.remove(name) if users_of.get(name) else users_of.add(name, "password", quota=7)
