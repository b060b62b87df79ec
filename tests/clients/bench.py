"""The scripts of the client bench: where they lie, how one is run, what it complains of.

`TGDAV_TEST_BENCH` names a folder that holds `clients/` and `attacks/`; without it that
is a folder `shared` beside the checkout.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving import ENVIRONMENT, Serving

SUMMARY = re.compile(r"(\d+) pass, (\d+) fail, (\d+) warn, (\d+) skip")
COMPLAINT = re.compile(r"^(FAIL|WARN|SKIP) +(.*?)(?:: .*)?$", re.MULTILINE)
PASSWORDS = {"alice": "alice-secret", "bob": "bob-secret"}
"""Without blanks: cadaver's file of passwords knows no quotes."""


def source() -> Path:
    beside = Path(__file__).parents[3] / "shared"
    return Path(os.environ.get("TGDAV_TEST_BENCH") or beside)


def require(present: object, lacking: str) -> None:
    """Skip where something is lacking; fail where everything has to be there."""
    if not present:
        (pytest.fail if os.environ.get("TGDAV_TEST_REQUIRE_ALL") == "1" else pytest.skip)(lacking)


def require_programs(*programs: str) -> None:
    for program in programs:
        require(shutil.which(program), f"{program} is not installed")


def require_mounts() -> None:
    require(os.path.exists("/dev/fuse"), "mounting needs /dev/fuse")
    require(os.geteuid() == 0, "mounting needs root")


def copy(to: Path) -> Path:
    """The bench in a folder of our own, where Python may write beside its scripts."""
    for part in ("clients", "attacks"):
        require((source() / part).is_dir(), f"TGDAV_TEST_BENCH has no folder {part}")
        shutil.copytree(source() / part, to / part)
    _correct_checksum(to / "clients/traces/linux/03_rclone.trace")
    return to


def _correct_checksum(trace: Path) -> None:
    """Let the one recorded checksum be that of the body that is replayed with it.

    rclone had sent "one" and a line end; the replay leaves the line end out. A server
    that checks checksums has to refuse that, as the same trace asks of it elsewhere.
    """
    recorded, replayed = (hashlib.sha1(body).hexdigest() for body in (b"one\n", b"one"))
    text = trace.read_text()
    trace.chmod(0o644)
    trace.write_text(text.replace(f"Oc-Checksum: SHA1:{recorded}", f"Oc-Checksum: SHA1:{replayed}"))


def environment(server: Serving, **more: str) -> dict[str, str]:
    """What the scripts read, alice being who they are."""
    users = list(PASSWORDS.items())
    return ENVIRONMENT | {
        "BASE_URL": f"http://127.0.0.1:{server.port}/",
        "DAV_USER": users[0][0],
        "DAV_PASS": users[0][1],
        "DAV_USER2": users[1][0],
        "DAV_PASS2": users[1][1],
        "SERVER_PID": str(server.pid),
        "LC_ALL": "C.UTF-8",
        "no_proxy": "127.0.0.1",
        **more,
    }


@dataclass(frozen=True)
class Ran:
    """A script that ended: its exit code and all that it printed."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        return self.output.rstrip().rpartition("\n")[2]


def run(
    command: Sequence[str | Path], variables: Mapping[str, str], folder: Path, timeout_s: float
) -> Ran:
    """Run a script; what it printed goes by a file, as clients leave daemons behind it."""
    printed = folder / "output.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pytest.fail(f"not done after {timeout_s} s:\n{printed.read_text(errors='replace')}")
    return Ran(code, printed.read_text(errors="replace"))


def hold_to_account(ran: Ran, limits: Mapping[str, str]) -> None:
    """Fail, with all that was printed, unless `ran` complains of its client's `limits` only.

    What it prints, what it counts in its last line and its exit code have to agree.
    """
    complaints = COMPLAINT.findall(ran.output)
    unforeseen = [name for _, name in complaints if name not in limits]
    counts = SUMMARY.search(ran.last_line)
    if unforeseen or counts is None:
        pytest.fail(f"{unforeseen or 'no summary'}\n{ran.output}", pytrace=False)
    passed, *others = map(int, counts.groups())
    levels = [level for level, _ in complaints]
    assert others == [levels.count(level) for level in ("FAIL", "WARN", "SKIP")], ran.output
    assert passed > 0, ran.output
    assert ran.code == (1 if "FAIL" in levels else 0), ran.output
