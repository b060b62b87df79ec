"""The contract of all stores, over real MTProto."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest

from tests.contracts.store import StoreContract
from tests.stores.telegram.rig import rigged
from tests.telegram_server.process import TelegramServer
from tgdav.stores.telegram.store import TelegramStore

pytestmark = [pytest.mark.slow]


class Telegrams(StoreContract):
    """By so many users and bots."""

    accounts: ClassVar[dict[str, int]]

    @pytest.fixture(autouse=True)
    def of_server(self, server: TelegramServer) -> None:
        self.server = server

    @contextmanager
    def make_store(self) -> Iterator[TelegramStore]:
        with rigged(self.server, **self.accounts) as rig:
            store = rig.store(messages_per_minute=1000)
            yield store
            store.close()


class TestOneUser(Telegrams):
    accounts: ClassVar = {"users": 1}


class TestUsersAndABot(Telegrams):
    accounts: ClassVar = {"users": 2, "bots": 1}
