"""After thousands of operations and a flush the data folder is deleted; the drive comes back."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import invariants
from tests.maintenance import disaster
from tests.maintenance.disaster import Mischief
from tests.serving import command
from tests.telegram_drive import add_account, settings
from tests.telegram_server.process import TelegramServer
from tests.tree.drive import Drive
from tgdav import app
from tgdav.settings import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OPERATIONS = int(os.environ.get("TGDAV_TEST_OPERATIONS", "10000"))


def made(data: Path, written: str = "") -> None:
    """A drive that nobody serves, with these settings."""
    data.mkdir()
    (data / "tgdav.toml").write_text(written)
    with app.alone(data):
        app.make_unless_made(data, load(data))


def drive_in(opened: app.Drive) -> Drive:
    return Drive(SimpleNamespace(db=opened.db, vault=opened.vault))


def troubled(data: Path, operations: int) -> tuple[dict[str, Any], dict[str, bytes | None]]:
    """Serve the drive to mischief, flush, and say all that is in it."""
    with app.alone(data), app.opened(data, serving=True) as opened:
        mischief = Mischief(drive_in(opened))
        for _ in range(10):
            mischief.run(operations // 10)
            opened.snapshots.run_if_due(operations // 3)
        opened.vault.flush()
        return disaster.state(opened.db), mischief.drive.found()


def words_of(data: Path, file: Path) -> tuple[str, str]:
    file.write_text(json.loads(command("key", "show", "--yes", "--json", data=data))["key"])
    return "--key-file", str(file)


def require_same(data: Path, told: str, before: dict[str, Any], content: Any, late: int) -> None:
    facts = json.loads(told)
    assert (facts["unsaved"], facts["lost_blocks"], facts["notes"]) == (0, 0, [])
    assert facts["snapshot_position"] > late
    with app.opened(data) as opened:
        invariants.check(opened.db)
        assert disaster.state(opened.db) == before
        assert drive_in(opened).found() == content


def test_all_operations_survive_the_machine(tmp_path: Path):
    data, store, again = tmp_path / "drive", tmp_path / "store", tmp_path / "again"
    made(data, "[store]\ncopies = 2\n")
    command("store", "add", "directory", str(store), data=data)
    words = words_of(data, tmp_path / "words")
    before, content = troubled(data, OPERATIONS)
    assert len(content) > min(200, OPERATIONS // 50)
    shutil.rmtree(data)
    told = command("recover", "--store", "directory", str(store), *words, "--json", data=again)
    require_same(again, told, before, content, OPERATIONS // 4)


def test_and_at_telegram(tmp_path: Path):
    data, again = tmp_path / "drive", tmp_path / "again"
    with TelegramServer() as server:
        written = settings(server, cached=True)
        made(data, written)
        user = add_account(server, data)
        command("store", "add", "telegram", "--create", "packs", data=data)
        command("store", "drain", "1", data=data)
        words = words_of(data, tmp_path / "words")
        before, content = troubled(data, OPERATIONS)
        shutil.rmtree(data)
        again.mkdir()
        (again / "tgdav.toml").write_text(written)
        told = command(
            *("recover", "--store", "telegram", "all", "--session-stdin", *words, "--json"),
            data=again,
            stdin=server.control("session", account=user),
        )
        require_same(again, told, before, content, OPERATIONS // 4)
