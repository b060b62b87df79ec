"""Accounts of a test server in a ledger, and stores on them."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.doubles.memory_ledger import MemoryLedger
from tests.telegram_server.process import TelegramServer
from tgdav.stores.ledger import Account
from tgdav.stores.telegram.network import Network
from tgdav.stores.telegram.store import Paces, Telegram, TelegramStore

STORE = 7
NUMBERS = itertools.count(1)
"""Of accounts, as all tests share a server."""
API_ID, API_HASH = 4321, "0123456789abcdef0123456789abcdef"


class Rig:
    """One drive's accounts; `telegram` is what a process has of them, the one opened last."""

    def __init__(self, server: TelegramServer, *, users: int = 1, bots: int = 0, **of_user: Any):
        self.server = server
        self.ledger = MemoryLedger()
        self.user_ids: dict[int, int] = {}
        self.open_ones: list[Telegram] = []
        for _ in range(users):
            self.add_user(**of_user)
        for _ in range(bots):
            self.add_bot()

    def network(self) -> Network:
        return Network(API_ID, API_HASH, self.server.server, self.server.key_pem)

    def add_user(self, **of_user: Any) -> int:
        """A user that is logged in: the number of its account."""
        phone = f"+99966{next(NUMBERS):06d}"
        made = self.server.control("add_user", phone=phone, **of_user)
        return self._add("user", made["user_id"], phone)

    def add_bot(self) -> int:
        name = f"packs{next(NUMBERS)}_bot"
        made = self.server.control("add_bot", name=name)
        return self._add("bot", made["user_id"], f"@{name}")

    def _add(self, kind: Any, user_id: int, label: str) -> int:
        no = len(self.ledger.accounts()) + 1
        session = self.server.control("session", account=user_id)
        self.user_ids[no] = user_id
        self.ledger.add(Account(no, kind, user_id, label, session, False, "active", 0, ""))
        return no

    def open(self, **paces: Any) -> Telegram:
        telegram = Telegram(self.network(), self.ledger, Paces(**paces))
        self.open_ones.append(telegram)
        return telegram

    def store(self, **paces: Any) -> TelegramStore:
        """The store, by a process of its own as far as the ledger can tell."""
        store = self.open(**paces).store(STORE, title="packs")
        store.open()
        return store

    def messages(self) -> list[dict[str, Any]]:
        """The packs' messages in all channels of this drive, oldest first."""
        mine = {channel.channel_id for channel in self.ledger.channels(STORE)}
        found = self.server.control("messages")
        return [m for m in found if m["channel"] in mine and m["file_name"]]

    def close(self) -> None:
        for telegram in self.open_ones:
            telegram.close()
        self.open_ones.clear()


@contextmanager
def rigged(server: TelegramServer, **accounts: Any) -> Iterator[Rig]:
    """A rig whose faults and connections end with the block."""
    rig = Rig(server, **accounts)
    try:
        yield rig
    finally:
        with suppress(ConnectionError):
            server.control("forget_faults")
        rig.close()
