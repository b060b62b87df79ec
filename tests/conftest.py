"""Fixtures that every room's tests share: databases, and a drive in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tgdav.db import Database

# Before anything imports it: failing assertions of the contract are told in full, too.
pytest.register_assert_rewrite("tests.contracts.store", "tests.contracts.ledger")
pytest_plugins = ["tests.postgres"]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that nobody can read are told by their argument: a clock or a version in them
    (gzip, zstd) would give each worker of one run other names for the same tests."""
    if not isinstance(val, bytes) or (val.isascii() and val.decode().isprintable()):
        return None
    return argname


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'drive.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database.open(database_url)
    yield database
    database.close()
