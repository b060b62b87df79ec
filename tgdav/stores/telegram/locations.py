"""Where documents are, as each session sees them: looked up once, and again when stale.

Access hashes and file references belong to one session, so every account asks for itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from telethon.tl.functions.channels import GetMessagesRequest
from telethon.tl.types import InputMessageID

from tgdav.errors import ReplicaMissing
from tgdav.stores.ledger import Channel
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import Found, found_in

LIFE_S = 1800.0
"""For so long a location is believed; a file reference lives for hours."""
MOST = 20_000
"""Locations that are remembered."""
PAGE = 100
"""Messages that one look-up asks for at most."""
NEAR = 32
"""Messages that are looked up together: who reads one pack of a file reads those beside it,
and Telegram counts requests."""

_Key = tuple[Account, int, int]


class Locations:
    """One store's, on the event loop."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._known: OrderedDict[_Key, tuple[Found, float]] = OrderedDict()
        self._asked: dict[_Key, asyncio.Future[dict[int, Found]]] = {}

    async def find(self, account: Account, channel: Channel, message: int) -> Found:
        """The document in the message, perhaps remembered.

        Raises `ReplicaMissing` if the message is gone or holds no pack; as `Account.ask`.
        """
        key = (account, channel.no, message)
        found, until = self._known.get(key, (None, 0.0))
        if found and time.monotonic() < until:
            return found
        first = message - message % NEAR
        is_joined = (account, channel.no, first) in self._asked
        near = await self._near(account, channel, first)
        if is_joined and message not in near:
            # It may have been sent after that was asked.
            near = await self._near(account, channel, first)
        if message not in near:
            raise ReplicaMissing(f"{channel.channel_id}/{message}: not there")
        return near[message]

    def forget(self, account: Account, channel: Channel, message: int) -> None:
        """Look it up again the next time."""
        self._known.pop((account, channel.no, message), None)

    def move(self, account: Account, channel: Channel, found: Found, centre: int) -> None:
        """The document lies in another data centre than it was said to."""
        self._remember((account, channel.no, found.message), found._replace(centre=centre))

    async def page(
        self, account: Account, channel: Channel, messages: Sequence[int]
    ) -> dict[int, Found]:
        """What is found in these messages (at most `PAGE`), by id; asked anew."""
        peer = await self._channels.peer(account, channel)
        ids = [InputMessageID(message) for message in messages]
        answer = await self._channels.asked(account, channel, GetMessagesRequest(peer, ids))
        return {found.message: found for found in map(found_in, _in(answer)) if found}

    async def _near(self, account: Account, channel: Channel, first: int) -> dict[int, Found]:
        """What is found from there on; who asks meanwhile gets the same answer."""
        key = (account, channel.no, first)
        if key not in self._asked:
            # Whoever asks first may be cancelled; the others wait for the same answer.
            asking = asyncio.ensure_future(self._look_up(account, channel, first))
            self._asked[key] = asking
            asking.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(self._asked[key])

    async def _look_up(self, account: Account, channel: Channel, first: int) -> dict[int, Found]:
        near = await self.page(account, channel, range(max(1, first), first + NEAR))
        for message, found in near.items():
            self._remember((account, channel.no, message), found)
        return near

    def _remember(self, key: _Key, found: Found) -> None:
        self._known[key] = (found, time.monotonic() + LIFE_S)
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)


def _in(answer: Any) -> list[Any]:
    return list(getattr(answer, "messages", []))
