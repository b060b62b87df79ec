"""fsck, scrub, repair and the pause, as a person types them, beside a running server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.serving import ENVIRONMENT, Serving, command, serving


def run(*arguments: str, data: Path, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tgdav", *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT | TWO | variables,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def facts(*arguments: str, data: Path) -> tuple[int, dict[str, Any]]:
    code, said, _ = run(*arguments, "--json", data=data)
    return code, json.loads(said)


TWO = {"TGDAV_STORE_COPIES": "2", "TGDAV_MAINTENANCE_ENABLED": "false"}


def filled(server: Serving, second: Path) -> None:
    command("store", "add", "directory", str(second), data=server.data)
    for name, size in (("a", 3000), ("b", 3_000_000)):
        assert server.request("PUT", f"/{name}", os.urandom(size))[0] == 201
    assert run("flush", data=server.data)[0] == 0


def test_damage_is_found_told_of_and_repaired_beside_a_server(tmp_path: Path):
    data, second = tmp_path / "drive", tmp_path / "second"
    with serving(data, **TWO) as server:
        filled(server, second)
        before = server.request("GET", "/b")[2]
        assert run("fsck", data=data)[:2] == (0, "nothing found\n")
        code, scrubbed = facts("scrub", data=data)
        assert (code, scrubbed["replicas"], scrubbed["bad_count"]) == (0, 2, 0)

        (pack,) = second.glob("??/*.pack")
        harmed = bytearray(pack.read_bytes())
        harmed[1000] ^= 1
        pack.write_bytes(harmed)
        assert facts("scrub", "--older-than", "1", data=data)[1]["replicas"] == 0
        code, scrubbed = facts("scrub", data=data)
        assert (code, scrubbed["bad_count"]) == (3, 1)
        code, found = facts("fsck", "--no-scan", data=data)
        assert (code, found["found"]) == (3, {"replica_suspect": 1, "pack_short": 1})
        assert {"kind", "what", "number"} == set(found["named"][0])

        assert facts("repair", "--dry-run", data=data)[0] == 3
        code, repaired = facts("repair", data=data)
        assert (code, repaired["replaced"], repaired["lost"]) == (0, 1, [])
        assert server.request("GET", "/b")[2] == before

        pack.unlink()
        code, said, _ = run("fsck", data=data)
        assert (code, "replica_missing: pack 1" in said) == (3, True)
        code, said, _ = run("repair", data=data)
        assert (code, "1 replicas marked" in said) == (0, True)
        assert run("fsck", data=data)[0] == run("scrub", data=data)[0] == 0


def test_what_is_lost_is_named_and_is_an_exit_code(tmp_path: Path):
    data, second = tmp_path / "drive", tmp_path / "second"
    with serving(data, **TWO) as server:
        filled(server, second)
        for pack in [*second.glob("??/*.pack"), *(data / "store").glob("??/*.pack")]:
            pack.unlink()
        code, said, _ = run("repair", data=data)
        assert (code, "1 packs are lost" in said) == (3, True)
        code, said, _ = run("fsck", data=data)
        assert code == 3
        assert "file_lost: /a" in said
        assert "file_lost: /b" in said


def test_a_store_that_is_not_mounted_is_said_and_nothing_is_marked(tmp_path: Path):
    data, second = tmp_path / "drive", tmp_path / "second"
    with serving(data, **TWO) as server:
        filled(server, second)
        second.rename(tmp_path / "elsewhere")
        code, found = facts("fsck", data=data)
        assert (code, found["found"]) == (3, {"store_unreachable": 1})
        code, scrubbed = facts("scrub", data=data)
        assert (code, scrubbed["out_of_reach"], scrubbed["bad_count"]) == (1, 1, 0)
        assert facts("repair", data=data)[1]["suspected"] == 0
        (tmp_path / "elsewhere").rename(second)
        assert run("fsck", data=data)[0] == 0


def test_the_jobs_are_listed_paused_and_resumed(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        server.stop()
    assert json.loads(command("maintenance", "list", "--json", data=data)) == {
        "paused_s": 0,
        "jobs": [],
    }
    command("maintenance", "pause", "--hours", "2", data=data)
    paused = json.loads(command("maintenance", "list", "--json", data=data))["paused_s"]
    assert 7000 < paused <= 7200
    assert "paused for 7," in command("maintenance", "list", data=data)
    command("maintenance", "resume", data=data)
    assert command("maintenance", "list", data=data) == ""


def test_a_server_runs_a_job_for_who_asks(tmp_path: Path):
    data = tmp_path / "drive"
    enabled = {"TGDAV_MAINTENANCE_ENABLED": "true", "TGDAV_STORE_COPIES": "1"}
    with serving(data, **enabled) as server:
        assert server.request("PUT", "/a", os.urandom(3_000_000))[0] == 201
        assert run("flush", data=data)[0] == 0
        assert run("maintenance", "run", "scrub", data=data)[0] == 0
        (pack,) = (data / "store").glob("??/*.pack")
        pack.unlink()
        code, said = facts("maintenance", "run", "fsck", data=data)
        assert (code, said["found"]["replica_missing"]) == (3, 1)
        assert said["repaired"]["lost"] == [1]
        code, _, said = run("maintenance", "run", "gc", "--wait", "0.01", data=data)
        assert (code, "the server has not done it" in said) == (75, True)
    code, _, said = run("maintenance", "run", "fsck", data=data)
    assert (code, "no server serves this drive" in said) == (65, True)


@pytest.mark.parametrize("name", ["fsck", "scrub", "repair", "maintenance"])
def test_each_command_explains_itself(name: str):
    done = subprocess.run(
        [sys.executable, "-m", "tgdav", name, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=True,
    )
    assert "Usage" in done.stdout
