"""`tgdav verify accounts` beside a server, and what `account remove` warns of."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.test_commands import refused
from tests.serving import ENVIRONMENT, command
from tests.telegram_drive import telegram_drive
from tests.telegram_server.process import TelegramServer


def run(*arguments: str, data: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tgdav", *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=300,
        env=ENVIRONMENT,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_server_verifies_tells_and_warns(tmp_path: Path):
    with (
        TelegramServer() as telegram,
        telegram_drive(telegram, tmp_path / "drive", users=2) as drive,
    ):
        data = drive.serving.data
        code, said, _ = run("verify", "accounts", data=data)
        assert (code, said.splitlines()[-1]) == (0, "no trouble found")
        assert "2 accounts in it, 2 may post, 2 read from it" in said
        assert drive.facts()["account_troubles"] == []

        code, _, said = run("account", "remove", "2", "--yes", data=data)
        named = "channel 1 (packs) is left with fewer than two accounts\n"
        assert (code, said) == (0, named)
        code, said, _ = run("verify", "accounts", "--json", data=data)
        (told,) = json.loads(said)["troubles"]
        assert (code, "has 1 accounts that may post, of 2" in told) == (3, True)
        assert drive.facts()["account_troubles"] == [told]
        assert told in command("status", data=data)

        command("maintenance", "pause", data=data)
        code, said = refused("verify", "accounts", data=data)
        assert (code, "the jobs are paused" in said) == (75, True)
