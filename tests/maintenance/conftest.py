"""A drive with two stores and two copies of all; and one whose time a test turns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import invariants
from tests.blocks.room import Room
from tests.maintenance.ward import Ward
from tests.tree import replay
from tests.tree.drive import Drive
from tgdav.blocks.rows import uptime
from tgdav.db import Database
from tgdav.maintenance.expire import Expired, expire
from tgdav.maintenance.gc import Collected, Graces, gc

DAY_S = 86400
GRACES = Graces()


def ignore(*_: object) -> None:
    pass


class Kept(Drive):
    """A drive with the jobs that drop what is not needed."""

    def gc(self, **options: Any) -> Collected:
        wanted: dict[str, Any] = {"graces": GRACES, "dry": False, "now_ns": self.now_ns(days=2)}
        return gc(self.room.vault.workshop, ignore, **wanted | options)

    def expire(self, days: float = 40, **options: Any) -> Expired:
        """Expire as if this many days had passed."""
        wanted: dict[str, Any] = {"keep_s": 30 * DAY_S, "now_ns": self.now_ns(days)}
        return expire(self.db, self.tree.trash, ignore, **wanted | options)

    def now_ns(self, days: float = 0) -> int:
        import time

        return time.time_ns() + int(days * DAY_S * 1e9)

    def serve(self, days: float = 1.1) -> None:
        """Let the drive have been served for that long."""
        uptime.add(self.db, int(days * DAY_S * 1e9))

    def empty(self) -> None:
        """Give up the whole trash, and drop it with all old versions."""
        self.tree.trash.forget([entry.no for entry in self.tree.trash.entries()])
        self.expire()


@pytest.fixture
def drive(db: Database, tmp_path: Path) -> Iterator[Kept]:
    from tgdav.tree import journal

    room = Room(db, tmp_path)
    room.open(journal=journal.unpacked)
    yield Kept(room)
    room.vault.close(grace_s=5)
    assert room.budget.used == 0, "a job kept memory"
    room.spool.close()
    invariants.check(db)
    replay.check(db)


@pytest.fixture
def ward(db: Database, tmp_path: Path) -> Iterator[Ward]:
    room = Room(db, tmp_path)
    made = Ward(room, tmp_path)
    yield made
    room.close()
    assert room.budget.used == 0, "a save or a read kept memory"
    room.spool.close()
