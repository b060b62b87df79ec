"""A data folder that cannot be written is refused in one sentence, and nothing is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_commands import refused
from tests.serving import Serving, command, serving

COMMANDS = (
    ("serve", "--port", "0"),
    ("user", "list"),
    ("user", "add", "bob", "--password-stdin"),
    ("user", "passwd", "someone", "--password-stdin"),
    ("user", "remove", "someone"),
    ("account", "list"),
    ("store", "list"),
    ("store", "drain", "1"),
    ("store", "remove", "1"),
    ("flush",),
    ("status",),
    ("fsck",),
    ("scrub",),
    ("repair",),
    ("maintenance", "list"),
    ("maintenance", "pause"),
    ("gc",),
    ("gc", "--run"),
    ("trash", "list"),
    ("trash", "empty", "--all", "--yes"),
    ("versions", "/kept"),
)
CANNOT_BE_WRITTEN, KEY_FILE = 73, 77


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(made, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)  # some thirty starts of a program
def test_every_command_says_so_and_changes_nothing(disk: Path):
    data = disk / "drive"
    with serving(data) as server:
        assert server.request("PUT", "/kept", b"kept")[0] == 201
        assert server.stop() == 0
    remount(disk, "ro")
    for words in COMMANDS:
        code, said = refused(*words, data=data, stdin="secret\n")
        assert (code, str(data) in said) == (CANNOT_BE_WRITTEN, True), (words, code, said)
    assert refused("key", "passphrase", "--remove", data=data)[0] == KEY_FILE
    assert refused("serve", "--port", "0", data=disk / "new")[0] == CANNOT_BE_WRITTEN
    remount(disk, "rw")
    server = Serving(data).start()
    try:
        assert server.request("GET", "/kept")[2] == b"kept"
    finally:
        server.stop()
    assert command("fsck", data=data) == "nothing found\n"
