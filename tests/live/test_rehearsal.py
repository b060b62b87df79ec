"""The tests for Telegram itself, on the test server: what ails them is not found out there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.telegram_server.process import TelegramServer

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_run_on_telegram_passes_on_the_test_server():
    with TelegramServer() as server:
        users = [server.control("add_user", phone=f"+99966{n:06d}") for n in range(2)]
        accounts = [*users, server.control("add_bot", name="live_bot")]
        sessions = [server.control("session", account=each["user_id"]) for each in accounts]
        told = {
            "API_ID": "4321",
            "API_HASH": "0" * 32,
            "SESSIONS": " ".join(sessions),
            "SERVER": "{}:{}".format(*server.server),
            "SERVER_KEY": str(server.key_path),
        }
        variables = {f"TGDAV_TEST_TELEGRAM_{name}": value for name, value in told.items()}
        program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*program, "tests/live/test_telegram.py"],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=560,
            check=False,
        )
        made = server.control("channels")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert made
    assert all(channel["is_deleted"] for channel in made)
