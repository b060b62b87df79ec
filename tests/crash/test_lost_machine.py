"""After ten thousand operations and a flush the data folder is deleted; the drive comes back."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import invariants
from tests.maintenance import disaster
from tests.maintenance.disaster import Mischief
from tests.serving import command
from tests.tree.drive import Drive
from tgdav import app
from tgdav.settings import load


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_operations_survive_the_machine(tmp_path: Path):
    data, store, words = tmp_path / "drive", tmp_path / "store", tmp_path / "words"
    with app.alone(data):
        app.make_unless_made(data, load(data))
    command("store", "add", "directory", str(store), data=data)
    words.write_text(json.loads(command("key", "show", "--yes", "--json", data=data))["key"])
    (data / "tgdav.toml").write_text("[store]\ncopies = 2\nsnapshot_changes = 3000\n")
    with app.alone(data), app.opened(data, serving=True) as drive:
        mischief = Mischief(Drive(SimpleNamespace(db=drive.db, vault=drive.vault)))
        for _ in range(10):
            mischief.run(1000)
            drive.snapshots.run_if_due(3000)
        drive.vault.flush()
        before, content = disaster.state(drive.db), mischief.drive.found()
    assert len(content) > 200
    shutil.rmtree(data)
    again = tmp_path / "again"
    facts = json.loads(
        command(
            *("recover", "--store", "directory", str(store)),
            *("--key-file", str(words), "--json"),
            data=again,
        )
    )
    assert (facts["unsaved"], facts["lost_blocks"], facts["notes"]) == (0, 0, [])
    assert facts["snapshot_position"] > 3000
    with app.opened(again) as drive:
        invariants.check(drive.db)
        assert disaster.state(drive.db) == before
        assert Drive(SimpleNamespace(db=drive.db, vault=drive.vault)).found() == content
