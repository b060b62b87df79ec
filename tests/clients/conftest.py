"""A served drive for real clients, and the folder with the scripts that drive them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import PASSWORD, USER, Serving, command, serving

MUST = os.environ.get("TGDAV_TEST_REQUIRE_ALL") == "1"
OTHERS = {"alice": "alice-secret", "bob": "bob-secret"}

# The recording was of "one" and a line end, which the replay leaves out of the body: the
# checksum that it sends is of four bytes, and three come.
RECORDED, SENT = (
    "SHA1:c7059bb19433cc3cabaa6236c83d56668a843dd2",
    "SHA1:fe05bcdcdc4928012781a5f1a2a77cbb5398e106",
)


def lack(reason: str) -> None:
    """Skip, or fail where everything has to be there."""
    if MUST:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, in a folder of our own: `clients/` and `attacks/`."""
    default = Path(__file__).parents[3] / "shared"
    source = Path(os.environ.get("TGDAV_TEST_BENCH", default))
    if not (source / "clients").is_dir():
        lack("no client scripts: TGDAV_TEST_BENCH names the folder that has clients/ and attacks/")
    folder = tmp_path_factory.mktemp("bench")
    for part in ("clients", "attacks"):
        shutil.copytree(source / part, folder / part)
    trace = folder / "clients/traces/linux/03_rclone.trace"
    trace.chmod(0o644)
    trace.write_text(trace.read_text().replace(RECORDED, SENT))
    return folder


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    data = tmp_path_factory.mktemp("clients") / "drive"
    with serving(data) as server:
        for name, password in OTHERS.items():
            command("user", "add", name, "--password-stdin", data=data, stdin=password)
        yield server
        assert server.stop() == 0


@pytest.fixture
def environment(served: Serving) -> dict[str, str]:
    """What the scripts read."""
    return {
        **os.environ,
        "BASE_URL": f"http://127.0.0.1:{served.port}/",
        "DAV_USER": USER,
        "DAV_PASS": PASSWORD,
        "SERVER_PID": str(served.pid),
    }
