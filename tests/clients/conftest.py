"""The bench, and served drives for its clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import bench as benches
from tests.serving import Serving, command, serving
from tests.telegram_drive import telegram_drive
from tests.telegram_server.process import TelegramServer


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return benches.copy(tmp_path_factory.mktemp("bench"))


@contextmanager
def for_clients(server: Serving) -> Iterator[Serving]:
    """The served drive with the clients' users; it has to end well, too."""
    for name, password in benches.PASSWORDS.items():
        command("user", "add", name, "--password-stdin", data=server.data, stdin=password)
    yield server
    assert server.stop() == 0, server.log.read_text()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()


@pytest.fixture(scope="session", params=["directory", "telegram"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """One drive for all clients, on a folder and again on Telegram alone."""
    data = tmp_path_factory.mktemp("clients") / "drive"
    if request.param == "directory":
        with serving(data) as server, for_clients(server):
            yield server
    else:
        with TelegramServer() as telegram, telegram_drive(telegram, data, users=2) as drive:
            telegram.control("shape", latency_s=0.02)
            with for_clients(drive.serving) as server:
                yield server


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Serving]:
    """A drive whose memory is watched, and where passwords are tried."""
    with serving(tmp_path / "drive") as server, for_clients(server):
        yield server
