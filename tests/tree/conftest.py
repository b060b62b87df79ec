"""A drive for each test, on each kind of database; whatever was done, it must be sound."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import invariants
from tests.blocks.room import Room
from tests.tree import replay
from tests.tree.drive import Drive
from tgdav.db import Database


@pytest.fixture
def drive(db: Database, tmp_path: Path) -> Iterator[Drive]:
    room = Room(db, tmp_path)
    room.open()
    yield Drive(room)
    room.vault.close(grace_s=5)
    assert room.budget.used == 0, "a save or a read kept memory"
    room.spool.close()
    invariants.check(db)
    replay.check(db)
