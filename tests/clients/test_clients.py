"""Real clients, and recorded ones: no failure and no warning that is not the client's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.peers import rclone
from tests.clients import bench as benches
from tests.clients.anonymous import anonymous
from tests.serving import Serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NO_LIMITS: dict[str, str] = {}

DAVFS2_LIMITS = {
    "symlink": "WebDAV has no symbolic links",
    "hardlink": "WebDAV has no hard links",
    "touch-mtime-persisted": "davfs2 keeps times to itself: it sends none",
    "sqlite-wal": "SQLite's WAL needs shared memory, which davfs2's files do not give",
}
RCLONE_LIMITS = {
    "other-mtime-preserved": "with the vendor `other` rclone sends no time",
    "other-touch-settime": "with the vendor `other` rclone can set no time",
}
NPM_LIMITS = {
    "getDirectoryContents-deep": "it asks to infinite depth, which is refused (RFC 4918, 9.1)",
    "getQuota": "it asks for everything, and quotas are told by name only (RFC 4331, 3)",
}
CURL_LIMITS = {
    "curl -z (If-Modified-Since newer) 304": "its copy is of before its own last save, so this"
    " holds only if both were within a second; see test_curl_knows_that_its_copy_is_fresh",
}
GVFS_LIMITS = {
    "copy-folder": "gio copies files only, and says so",
}


def complaints(bench: Path, script: str, server: Serving, folder: Path, **more: str) -> benches.Ran:
    """Run a script of the bench."""
    path = bench / "clients" / script
    command = [sys.executable, path] if path.suffix == ".py" else [path]
    return benches.run(command, benches.environment(server, **more), folder, 600)


@pytest.mark.parametrize(
    "script", ["replay_windows.py", "replay_finder.py", "replay_linux.py", "run_curl_ranges.py"]
)
def test_recorded_clients_and_ranges(bench: Path, served: Serving, tmp_path: Path, script: str):
    benches.require_programs("curl")
    limits = CURL_LIMITS if "curl" in script else NO_LIMITS
    benches.hold_to_account(complaints(bench, script, served, tmp_path), limits)


def test_curl_knows_that_its_copy_is_fresh(served: Serving, tmp_path: Path):
    benches.require_programs("curl")
    copy = tmp_path / "copy"
    status = ["-o", copy, "-w", "%{http_code}"]

    def curl(*more: str | Path) -> str:
        user = ":".join(next(iter(benches.PASSWORDS.items())))
        command = ["curl", "-sS", "-u", user, *more, f"http://127.0.0.1:{served.port}/fresh.txt"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    copy.write_bytes(b"first")
    curl("-T", copy)
    os.utime(copy, (0, 0))
    assert curl("-z", copy, *status) == "200"
    assert curl("-z", copy, *status) == "304"


@pytest.mark.parametrize(
    ("script", "programs"),
    [
        ("run_litmus.sh", ["litmus"]),
        ("run_cadaver.sh", ["cadaver"]),
        ("run_media.sh", ["ffmpeg", "ffprobe", "mpv"]),
        ("run_npm_webdav.sh", ["node", "npm"]),
    ],
)
def test_clients(bench: Path, served: Serving, tmp_path: Path, script: str, programs: list[str]):
    benches.require_programs("curl", *programs)
    limits = NPM_LIMITS if "npm" in script else NO_LIMITS
    benches.hold_to_account(complaints(bench, script, served, tmp_path), limits)


def test_davfs2(bench: Path, served: Serving, tmp_path: Path):
    benches.require_mounts()
    benches.require_programs("curl", "mount.davfs", "git", "sqlite3")
    benches.hold_to_account(complaints(bench, "run_davfs2.sh", served, tmp_path), DAVFS2_LIMITS)


def test_rclone(bench: Path, served: Serving, tmp_path: Path):
    benches.require_mounts()
    benches.require_programs("curl", rclone(), "fusermount3", "git", "sqlite3")
    ran = complaints(
        bench, "run_rclone.sh", served, tmp_path, RCLONE=rclone(), RCLONE_VENDORS="other owncloud"
    )
    benches.hold_to_account(ran, RCLONE_LIMITS)


def test_gvfs(bench: Path, served: Serving, tmp_path: Path):
    benches.require_mounts()
    benches.require_programs("curl", "gio", "dbus-run-session", "fusermount3")
    benches.hold_to_account(complaints(bench, "run_gvfs.sh", served, tmp_path), GVFS_LIMITS)


def test_kio(bench: Path, served: Serving, tmp_path: Path):
    benches.require_programs("curl", "kioclient5", "dbus-run-session")
    with anonymous(served.port, *next(iter(benches.PASSWORDS.items()))) as url:
        ran = complaints(bench, "run_kio.sh", served, tmp_path, ANON_URL=url)
    benches.hold_to_account(ran, NO_LIMITS)
