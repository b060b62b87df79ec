"""A machine is lost and its drive recovered, as a person does it."""

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import invariants
from tests.cli.test_commands import refused
from tests.serving import ENVIRONMENT, Serving, command, serving
from tgdav.db import Database


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    """A drive with some files, in a store that outlives it."""
    data, store = tmp_path / "drive", tmp_path / "store"
    with serving(data, TGDAV_STORE_COPIES="2") as server:
        command("store", "add", "directory", str(store), data=data)
        time.sleep(1.5)
        for number in range(5):
            assert server.request("PUT", f"/{number}", content(number))[0] == 201
        assert server.request("MKCOL", "/d%C3%BC/")[0] == 201
        server.stop()
    command("flush", data=data)
    (tmp_path / "words").write_text(command("key", "show", "--yes", data=data))
    return data


def shown(data: Path) -> str:
    return command("key", "show", "--yes", "--json", data=data)


def content(number: int) -> bytes:
    return random.Random(number).randbytes(1000 * number)


def recover(data: Path, tmp_path: Path, *more: str, **options: str) -> dict[str, object]:
    told = command(
        *("recover", "--store", "directory", str(tmp_path / "store"), "--json", *more),
        data=data,
        **options,
    )
    facts: dict[str, object] = json.loads(told)
    return facts


def test_a_lost_machine_is_recovered_served_and_the_old_one_is_read_only(
    lost: Path, tmp_path: Path
):
    old, again = tmp_path / "old", tmp_path / "again"
    shutil.copytree(lost, old)
    shutil.rmtree(lost)
    facts = recover(again, tmp_path, "--key-file", str(tmp_path / "words"))
    assert (facts["epoch"], facts["unsaved"], facts["lost_blocks"]) == (2, 0, 0)
    require_sound(again)
    status = json.loads(command("status", "--json", data=again))
    assert (status["files"], status["directories"], status["read_only"]) == (5, 1, "")
    assert status["recoverable_age_s"] == 0
    server = Serving(again).start()
    for number in range(5):
        assert server.request("GET", f"/{number}")[2] == content(number)
    assert server.request("PUT", "/new", b"new")[0] == 201
    assert server.stop() == 0
    server = Serving(old).start()
    assert server.request("GET", "/3")[2] == content(3)
    status_code, _, said = server.request("PUT", "/3", b"of another history")
    assert (status_code, b"read-only" in said) == (503, True)
    assert "READ-ONLY" in command("status", data=old)
    code, sentence = refused("flush", data=old)
    assert (code, "epoch 2" in sentence) == (71, True)
    server.stop()
    assert refused("repair", data=old)[0] == 71
    assert refused("gc", "--run", data=old)[0] == 71


def test_the_passphrase_and_a_store_are_enough(lost: Path, tmp_path: Path):
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse\n")
    command("key", "passphrase", "--passphrase-stdin", data=lost, stdin="correct horse\n")
    with_phrase = {"TGDAV_KEY_PASSPHRASE_FILE": str(phrase)}
    subprocess.run(
        [sys.executable, "-m", "tgdav", "snapshot", "--data", str(lost)],
        env=ENVIRONMENT | with_phrase,
        check=True,
        timeout=60,
        capture_output=True,
    )
    shutil.rmtree(lost)
    arguments = ("recover", "--store", "directory", str(tmp_path / "store"))
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple\n")
    code, said = refused(*arguments, "--passphrase-file", str(wrong), data=tmp_path / "again")
    assert (code, "opens none of 1 keys" in said) == (77, True)
    facts = recover(tmp_path / "again", tmp_path, "--passphrase-file", str(phrase))
    assert facts["lost_blocks"] == 0
    assert "master" not in (tmp_path / "again" / "key").read_text()
    server = Serving(tmp_path / "again", **with_phrase).start()
    assert server.request("GET", "/4")[2] == content(4)
    server.stop()


def test_what_cannot_be_recovered_is_refused_and_nothing_written(lost: Path, tmp_path: Path):
    words = ("--key-file", str(tmp_path / "words"))
    store = ("recover", "--store", "directory", str(tmp_path / "store"))
    code, said = refused(*store, *words, data=lost)
    assert (code, "a drive here already" in said) == (66, True)
    other = tmp_path / "other"
    with serving(other) as server:
        server.stop()
    (tmp_path / "strange").write_text(json.loads(shown(other))["key"])
    again = tmp_path / "again"
    code, said = refused(*store, "--key-file", str(tmp_path / "strange"), data=again)
    assert (code, "opens none of 1 drives" in said) == (77, True)
    assert not (again / "key").exists()
    assert not (again / "drive.db").exists()
    missing = ("recover", "--store", "directory", str(tmp_path / "not-mounted"))
    code, said = refused(*missing, *words, data=again)
    assert (code, "is its disk mounted" in said) == (1, True)
    assert not (tmp_path / "not-mounted").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "holiday.jpg").touch()
    code, said = refused(*store, *words, data=tmp_path / "full")
    assert (code, "not empty" in said) == (66, True)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "tgdav-store").touch()
    empty = ("recover", "--store", "directory", str(tmp_path / "nothing"))
    code, said = refused(*empty, *words, data=again)
    assert (code, "no drive in these stores" in said) == (66, True)
    assert refused(*store, "--store", "tape", "x", *words, data=again)[0] == 1
    assert refused(*store, "--drive", "zz", *words, data=again)[0] == 78


def test_two_drives_in_one_store_are_told_apart(lost: Path, tmp_path: Path):
    other = tmp_path / "other"
    with serving(other) as server:
        command("store", "add", "directory", str(tmp_path / "store"), data=other)
        server.request("PUT", "/of-the-other", b"x")
        server.stop()
    for pack in (other / "store").glob("??/*.pack"):
        shelf = tmp_path / "store" / pack.parent.name
        shelf.mkdir(exist_ok=True)
        shutil.copy(pack, shelf / pack.name)
    shutil.rmtree(lost)
    recover(tmp_path / "again", tmp_path, "--key-file", str(tmp_path / "words"))
    assert json.loads(command("status", "--json", data=tmp_path / "again"))["files"] == 5
    absent = ("--drive", "00" * 16, "--key-file", str(tmp_path / "words"))
    code, said = refused(
        *("recover", "--store", "directory", str(tmp_path / "store")), *absent, data=tmp_path / "x"
    )
    assert (code, "is not in these stores" in said) == (66, True)


def test_a_recovery_that_is_killed_goes_on_and_no_drive_is_made_over_it(lost: Path, tmp_path: Path):
    shutil.rmtree(lost)
    again = tmp_path / "again"
    program = [sys.executable, "-m", "tgdav", "recover", "--data", str(again), "--store"]
    program += ["directory", str(tmp_path / "store"), "--key-file", str(tmp_path / "words")]
    running = subprocess.Popen(program, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not is_under_way(again):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    assert is_under_way(again)
    code, said = refused("serve", data=again)
    assert (code, "recovery has begun" in said) == (66, True)
    recover(again, tmp_path, "--key-file", str(tmp_path / "words"))
    require_sound(again)
    server = Serving(again).start()
    assert server.request("GET", "/4")[2] == content(4)
    server.stop()


def require_sound(folder: Path) -> None:
    with contextlib.closing(Database.open(f"sqlite:///{folder / 'drive.db'}")) as db:
        invariants.check(db)


def is_under_way(folder: Path) -> bool:
    """True from the recovery's first row in the database until the drive's own is there."""
    try:
        with sqlite3.connect(f"file:{folder / 'drive.db'}?mode=ro", uri=True) as connection:
            return bool(connection.execute("SELECT no FROM recovery").fetchall())
    except sqlite3.Error:
        return False


def test_users_come_back_with_their_passwords(lost: Path, tmp_path: Path):
    """By the words on standard input; the kit names the stores, too."""
    kit = json.loads(shown(lost))
    assert kit["stores"] == [
        ["directory", str(lost / "store")],
        ["directory", str(tmp_path / "store")],
    ]
    (tmp_path / "words").write_text(kit["key"])
    shutil.rmtree(lost)
    recover(tmp_path / "again", tmp_path, "--key-file", "-", stdin=(tmp_path / "words").read_text())
    server = Serving(tmp_path / "again").start()
    assert server.request("GET", "/")[0] == 200
    server.stop()
