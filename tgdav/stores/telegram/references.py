"""Packs that another store of the drive has, so that a message can refer to its document.

Telegram then has the bytes once, under two messages: that outlives a lost channel, and not
what happens to the bytes. core.telegram.org/constructor/inputMediaDocument. On the event loop.
"""

import asyncio

from tgdav.errors import ReplicaMissing, StoreError
from tgdav.stores.ledger import Channel, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import Found
from tgdav.stores.telegram.errors import Unanswered
from tgdav.stores.telegram.locations import Locations


class References:
    """Of one process, over all its stores; finds nothing unless `is_wanted`."""

    def __init__(self, ledger: Ledger, *, is_wanted: bool) -> None:
        self._ledger = ledger
        self._is_wanted = is_wanted
        self._stores: dict[int, tuple[Channels, Locations]] = {}

    def add(self, store: int, channels: Channels, locations: Locations) -> None:
        """Find the packs of this store, too."""
        self._stores[store] = (channels, locations)

    def remove(self, store: int) -> None:
        self._stores.pop(store, None)

    async def find(self, account: Account, store: int, pack_id: bytes) -> Found | None:
        """The pack as the account sees it in another store; None if it sees it in none."""
        for other, (channels, locations) in list(self._stores.items()):
            if not self._is_wanted or other == store:
                continue
            for channel, message in await self._messages(other, channels, pack_id):
                locations.forget(account, channel, message)
                try:
                    found = await locations.find(account, channel, message)
                except (Unanswered, ReplicaMissing, StoreError):
                    continue
                if found.pack_id == pack_id:
                    return found
        return None

    async def _messages(
        self, store: int, channels: Channels, pack_id: bytes
    ) -> list[tuple[Channel, int]]:
        by_no = {channel.no: channel for channel in channels.all() if channel.state != "lost"}
        intents = await asyncio.to_thread(self._ledger.intents, store, pack_id)
        return [
            (by_no[intent.channel], intent.message)
            for intent in intents
            if intent.message is not None and intent.channel in by_no
        ]
