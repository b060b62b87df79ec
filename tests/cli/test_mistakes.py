"""What a person may type by mistake: a sentence and an exit code, never a traceback."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving import ENVIRONMENT
from tgdav import app
from tgdav.app.reach import channel_id
from tgdav.cli import main
from tgdav.errors import StoreError
from tgdav.settings import load

LONG = "9" * 20
"""More than a database keeps; more yet than Python reads as a number."""
BAD_NUMBERS = (LONG, str(2**63), "9" * 5000, "1.5")
BAD_SPANS = ("nan", "inf", "1e30", "1e400", "-1")

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drive") / "data"
    with app.alone(folder):
        app.make_unless_made(folder, load(folder, {}))
    return folder


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in this process: its exit code, and the last line that it said."""

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tgdav", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        monkeypatch.setenv("TGDAV_DATA", str(data))
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err.splitlines()[-1]

    return run


@pytest.mark.parametrize("number", BAD_NUMBERS, ids=["20", "2^63", "5000", "1.5"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "add", "bob", "--password-stdin", "--quota"),
        ("trash", "restore"),
        ("trash", "empty", "--yes"),
        ("store", "remove"),
        ("store", "drain"),
        ("store", "drain", "--stop"),
        ("store", "add", "telegram", "--channel"),
        ("account", "check"),
        ("account", "remove", "--yes"),
        ("versions", "/a", "--restore"),
        ("scrub", "--rate"),
    ],
)
def test_numbers_that_no_database_keeps(run: Run, arguments: tuple[str, ...], number: str):
    code, said = run(*arguments, number, stdin=b"password\n")
    assert (code, said.startswith("Error: Invalid value for ")) == (2, True)


@pytest.mark.parametrize("span", BAD_SPANS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("trash", "empty", "--yes", "--days"),
        ("scrub", "--older-than"),
        ("maintenance", "pause", "--hours"),
        ("maintenance", "run", "gc", "--wait"),
    ],
)
def test_times_that_no_clock_shows(run: Run, arguments: tuple[str, ...], span: str):
    code, said = run(*arguments, span)
    assert (code, said.startswith("Error: Invalid value for ")) == (2, True)


@pytest.mark.parametrize("channel", ["-100", "-", "", "-100-5", "x", "٣", LONG])
def test_channels_that_are_none(run: Run, channel: str):
    code, said = run("store", "add", "telegram", "--channel", channel)
    told = f"Error: Invalid value for '--channel': {channel!r} is no channel's id"
    assert (code, said) == (2, told)


@pytest.mark.parametrize("channel", ["-100", "-100-5", "", "x", LONG, "9" * 5000, str(2**63)])
def test_channels_of_a_lost_drive_that_are_none(channel: str):
    with pytest.raises(StoreError, match="is no channel's id"):
        channel_id(channel)


@pytest.mark.parametrize("channel", ["-100123", "-123", "123"])
def test_a_channel_is_known_however_it_is_shown(channel: str):
    assert channel_id(channel) == 123


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@127.0.0.1:bad/x",
        "postgresql://u:p@[::1/x",
        "postgresql://u:p@127.0.0.1:1/x?bogus=1",
        "sqlite:////tmp/x?timeout=abc",
        "sqlite://",
        "nonsense",
    ],
)
def test_addresses_that_are_no_database(run: Run, monkeypatch: pytest.MonkeyPatch, url: str):
    monkeypatch.setenv("TGDAV_DATABASE_URL", url)
    code, said = run("status")
    assert (code, said.startswith("tgdav: ")) == (74, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("user", "add", "bob", "--password-stdin"), 65),
        (("user", "passwd", "tgdav", "--password-stdin"), 65),
        (("key", "passphrase", "--passphrase-stdin"), 65),
        (("account", "add", "--session-stdin"), 65),
        (("account", "add", "--bot-token-stdin"), 65),
        (("recover", "--store", "telegram", "all", "--session-stdin"), 65),
        (("recover", "--store", "directory", "x", "--key-file", "-"), 77),
        (("recover", "--store", "directory", "x", "--passphrase-file", "-"), 77),
    ],
)
def test_an_input_that_is_no_text(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], expected: int
):
    monkeypatch.setenv("TGDAV_TELEGRAM_API_ID", "1")
    monkeypatch.setenv("TGDAV_TELEGRAM_API_HASH", "unused")
    code, said = run(*arguments, stdin=b"\xff\n")
    assert (code, said.startswith("tgdav: ")) == (expected, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [("status",), ("key", "show", "--yes"), ("--help",)])
def test_a_full_disk_takes_no_output(data: Path, arguments: tuple[str, ...]):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tgdav", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=ENVIRONMENT | {"TGDAV_DATA": str(data)},
            check=False,
        )
    assert (done.returncode, done.stderr) == (73, "tgdav: No space left on device\n")


def test_a_folder_that_is_gone_under_a_command(data: Path, tmp_path: Path):
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir ../here && exec "$@"', "sh", sys.executable, "-m", "tgdav", "status"],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | {"TGDAV_DATA": "relative"},
        check=False,
    )
    assert done.returncode in (1, 66), done.stderr
    assert "Traceback" not in done.stderr
