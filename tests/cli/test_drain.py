"""`tgdav store drain` and `flush`, beside a server and without one."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_commands import refused
from tests.serving import ENVIRONMENT, Serving, command, serving


def stores(data: Path) -> dict[int, dict[str, object]]:
    """The directories by number, as `tgdav store list` tells of them."""
    listed = json.loads(command("store", "list", "--json", data=data))
    return {store["no"]: store for store in listed if store["kind"] == "directory"}


def first_store(data: Path) -> int:
    return min(stores(data))


def packs(folder: Path) -> int:
    return len(list(folder.glob("??/*.pack")))


def filled(server: Serving, mib: int = 12) -> bytes:
    """A file in the first store; a second store is there afterwards."""
    content = os.urandom(mib << 20)
    assert server.request("PUT", "/large", content)[0] == 201
    assert server.request("PUT", "/small", b"small")[0] == 201
    command("flush", data=server.data)
    command("store", "add", "directory", str(server.data.with_name("other")), data=server.data)
    return content


SMALL_PACKS = {"TGDAV_STORE_PACK_SIZE": "1 MiB"}


@pytest.mark.parametrize("is_served", [True, False])
def test_a_drained_folder_is_empty_and_all_is_elsewhere(tmp_path: Path, is_served: bool):
    data, other = tmp_path / "drive", tmp_path / "other"
    with serving(data, **SMALL_PACKS) as server:
        content = filled(server)
        no = first_store(data)
        held = stores(data)[no]
        if not is_served:
            server.stop()
        told = json.loads(command("store", "drain", str(no), "--json", data=data))
        assert told == {"no": no, "state": "gone"} | {n: held[n] for n in ("packs", "bytes")}
        assert held["packs"] > 2
        assert stores(data)[no]["state"] == "gone"
        assert packs(data / "store") == packs(data / "spool") == 0
        assert packs(other) == held["packs"]
        if not is_served:
            server.start()
        assert server.request("GET", "/large")[2] == content
        assert server.request("PUT", "/new", b"new" * 1000)[0] == 201
        command("flush", data=data)
        assert packs(other) > held["packs"]
        assert refused("store", "drain", str(no), data=data) == (
            65,
            f"tgdav: there is no store {no}",
        )


def test_a_drain_that_is_killed_goes_on(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data, **SMALL_PACKS) as server:
        content = filled(server, mib=40)
        no = first_store(data)
        server.stop()
        program = [sys.executable, "-m", "tgdav", "store", "drain", str(no), "--data", str(data)]
        before = packs(data / "store")
        for _ in range(20):
            draining = subprocess.Popen(program, env=ENVIRONMENT, stdout=subprocess.PIPE)
            left = packs(data / "store")
            while draining.poll() is None and packs(data / "store") == left:
                time.sleep(0.01)
            draining.kill()
            draining.communicate(timeout=30)
            if draining.returncode == 0:
                break
            assert draining.returncode == -signal.SIGKILL
        assert packs(data / "store") < before
        server.start()  # what is left, the server moves
        deadline = time.monotonic() + 60
        while stores(data)[no]["state"] != "gone":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        command("flush", data=data)
        assert packs(data / "spool") == 0
        assert server.request("GET", "/large")[2] == content


def test_a_drain_is_stopped(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        filled(server, mib=1)
        no = first_store(data)
        assert "used again" in command("store", "drain", str(no), "--stop", data=data)
        assert stores(data)[no]["state"] == "active"
        server.stop()


def test_a_store_that_is_needed_or_full_stays(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        no = first_store(data)
        for verb in ("drain", "remove"):
            code, said = refused("store", verb, str(no), data=data)
            assert (code, f"store {no} is needed" in said) == (65, True)
            assert refused("store", verb, "99", data=data) == (65, "tgdav: there is no store 99")
        filled(server, mib=1)
        code, said = refused("store", "remove", str(no), data=data)
        assert (code, "drain it first" in said) == (65, True)
        other = max(stores(data))
        assert "removed" in command("store", "remove", str(other), data=data)
        assert stores(data)[other]["state"] == "gone"


def test_a_flush_without_a_server_says_what_is_wrong(tmp_path: Path):
    data = tmp_path / "drive"
    with serving(data) as server:
        server.request("PUT", "/a", os.urandom(1000))
        server.kill()
    (data / "store" / "tgdav-store").unlink(missing_ok=True)
    for marker in (data / "store").iterdir():
        if marker.is_file():
            marker.unlink()
    code, said = refused("flush", data=data)
    assert (code, "is its disk mounted?" in said) == (1, True)
    assert packs(data / "spool") == 1
    assert not (data / "serving").exists()


def test_no_server_is_started_while_a_command_has_the_stores(tmp_path: Path):
    from tgdav.app import alone

    data = tmp_path / "drive"
    with serving(data) as server:
        server.stop()
        with alone(data):
            assert refused("serve", data=data)[0] == 75
        server.start()


def said_on_a_terminal(*arguments: str, data: Path) -> str:
    """What a command writes to standard error where that is a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tgdav", *arguments, "--data", str(data)],
        stderr=theirs,
        stdout=subprocess.PIPE,
        timeout=60,
        env=ENVIRONMENT | {"TERM": "xterm"},
        check=True,
    )
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.stdout == b""
    return said


@pytest.mark.parametrize("is_served", [True, False])
def test_on_a_terminal_there_is_a_bar(tmp_path: Path, is_served: bool):
    data = tmp_path / "drive"
    with serving(data, TGDAV_STORE_FLUSH_AGE_S="3600") as server:
        server.request("PUT", "/a", os.urandom(100_000))
        if not is_served:
            server.kill()
        for _ in ("something to flush", "nothing"):
            said = said_on_a_terminal("flush", data=data)
            assert "Flushing" in said
            assert "100%" in said
