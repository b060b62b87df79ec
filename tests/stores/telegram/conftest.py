"""One test server for all tests of the room."""

from collections.abc import Iterator

import pytest

from tests.stores.telegram.rig import Rig, rigged
from tests.telegram_server.process import TelegramServer


@pytest.fixture(scope="session")
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def rig(server: TelegramServer) -> Iterator[Rig]:
    with rigged(server) as rig:
        yield rig
