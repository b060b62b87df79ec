"""A room of blocks for each test, on each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocks.room import Room
from tgdav.db import Database


@pytest.fixture
def room(db: Database, tmp_path: Path) -> Iterator[Room]:
    made = Room(db, tmp_path)
    made.open()
    yield made
    made.close()
    assert made.budget.used == 0, "a save or a read kept memory"
    made.spool.close()
