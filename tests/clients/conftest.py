"""The bench, and served drives for its clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import bench as benches
from tests.serving import Serving, command, serving


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return benches.copy(tmp_path_factory.mktemp("bench"))


@contextmanager
def for_clients(data: Path) -> Iterator[Serving]:
    """A new drive, served; it has to end well, too."""
    with serving(data) as server:
        for name, password in benches.PASSWORDS.items():
            command("user", "add", name, "--password-stdin", data=data, stdin=password)
        yield server
        assert server.stop() == 0, server.log.read_text()
        assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One drive for all clients."""
    with for_clients(tmp_path_factory.mktemp("clients") / "drive") as server:
        yield server


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Serving]:
    """A drive whose memory is watched, and where passwords are tried."""
    with for_clients(tmp_path / "drive") as server:
        yield server
