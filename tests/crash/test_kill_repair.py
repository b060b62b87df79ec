"""A repair that the machine does not survive is gone on with by the next."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.serving import ENVIRONMENT, command, serving

TWO = {"TGDAV_STORE_COPIES": "2", "TGDAV_MAINTENANCE_ENABLED": "false"}
KILLS = 8


def tgdav(*arguments: str, data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tgdav", *arguments, "--data", str(data)],
        stdout=subprocess.DEVNULL,
        env=ENVIRONMENT | TWO,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_repair_that_is_killed_again_and_again_loses_nothing(tmp_path: Path):
    data, second = tmp_path / "drive", tmp_path / "second"
    chance = random.Random(3)
    contents = {f"/{number}": os.urandom(400_000) for number in range(60)}
    with serving(data, **TWO, TGDAV_STORE_PACK_SIZE="1 MiB") as server:
        command("store", "add", "directory", str(second), data=data)
        for path, content in contents.items():
            assert server.request("PUT", path, content)[0] == 201
        assert tgdav("flush", data=data).wait() == 0
        for _ in range(KILLS):
            damage(second, chance)
            assert tgdav("scrub", data=data).wait() == 3
            repairing = tgdav("repair", data=data)
            time.sleep(chance.uniform(0.5, 3.0))
            repairing.kill()
            repairing.wait()
            end_turn(data)
        for path, content in contents.items():
            assert server.request("GET", path)[2] == content
        for job in ("repair", "fsck", "scrub"):
            assert tgdav(job, data=data).wait() == 0, job


def damage(store: Path, chance: random.Random) -> None:
    """Harm a third of the packs of one store; the other has them all, sound."""
    for pack in sorted(store.glob("??/*.pack")):
        if chance.random() < 0.3:
            harmed = bytearray(pack.read_bytes())
            harmed[chance.randrange(len(harmed) - 300)] ^= 1
            pack.write_bytes(harmed)


def end_turn(data: Path) -> None:
    """As if so much time had passed that the killed process's turn is over."""
    database = sqlite3.connect(data / "drive.db")
    database.execute("DELETE FROM leases WHERE name = 'maintenance'")
    database.commit()
    database.close()
