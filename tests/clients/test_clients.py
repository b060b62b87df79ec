"""Real clients and recorded ones, by the scripts of the bench: no failure, no warning."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.benchmarks.peers import rclone
from tests.clients.conftest import OTHERS, lack

SCRIPTS = {
    "run_litmus.sh": "litmus",
    "replay_windows.py": "python3",
    "replay_finder.py": "python3",
    "replay_linux.py": "python3",
    "run_curl_ranges.py": "curl",
    "run_cadaver.sh": "cadaver",
    "run_gvfs.sh": "gio",
    "run_davfs2.sh": "mount.davfs",
    "run_rclone.sh": rclone(),
    "run_media.sh": "ffmpeg",
    "run_kio.sh": "kioclient5",
    "run_npm_webdav.sh": "npm",
}
LIMITS = {
    # davfs2 has no links and sends no times; SQLite's log of writes needs shared memory.
    "run_davfs2.sh": {"symlink", "hardlink", "touch-mtime-persisted", "sqlite-wal"},
    # With this vendor rclone neither sends a time nor sets one.
    "run_rclone.sh": {"other-mtime-preserved", "other-touch-settime"},
    # gio copies files only, and says so.
    "run_gvfs.sh": {"copy-folder"},
}
"""Warnings that are the client's own, whatever a server does."""
SUMMARY = re.compile(r"(\d+) pass, (\d+) fail, (\d+) warn, (\d+) skip")


def run(command: list[str], environment: Mapping[str, str], timeout_s: float) -> str:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_client_finds_nothing_to_complain_of(
    bench: Path, environment: dict[str, str], script: str
) -> None:
    if shutil.which(SCRIPTS[script]) is None:
        lack(f"{SCRIPTS[script]} is not installed")
    environment |= {"RCLONE": rclone(), "RCLONE_VENDORS": "other owncloud"}
    said = run([str(bench / "clients" / script)], environment, 1100)
    summaries = SUMMARY.findall(said)
    assert summaries, said
    passed, failed, _, _ = map(int, summaries[-1])
    warnings = set(re.findall(r"^WARN ([^:\s]+)", said, re.MULTILINE))
    assert passed > 0, said
    assert failed == 0, said
    assert warnings <= LIMITS.get(script, set()), said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_and_three_bad_inputs_get_their_answers(
    bench: Path, environment: dict[str, str]
) -> None:
    (alice, alices), (bob, bobs) = OTHERS.items()
    environment |= {"DAV_USER": alice, "DAV_PASS": alices, "DAV_USER2": bob, "DAV_PASS2": bobs}
    said = run([sys.executable, str(bench / "attacks/attack_inputs.py")], environment, 800)
    assert "103 of 103 as wanted" in said, said
