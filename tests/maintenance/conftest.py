"""A drive with two stores and two copies of all, on each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocks.room import Room
from tests.maintenance.ward import Ward
from tgdav.db import Database


@pytest.fixture
def ward(db: Database, tmp_path: Path) -> Iterator[Ward]:
    room = Room(db, tmp_path)
    made = Ward(room, tmp_path)
    yield made
    room.close()
    assert room.budget.used == 0, "a save or a read kept memory"
    room.spool.close()
