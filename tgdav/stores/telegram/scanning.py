"""What the channels of one store hold, page by page, no faster than Telegram lets anybody look.

On the event loop: it tells how long a scan has to rest, and leaves the resting to the thread
that scans. Knows no drive and no caption.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from telethon.tl.functions.channels import GetMessagesRequest
from telethon.tl.functions.messages import GetHistoryRequest
from telethon.tl.types import InputPeerChannel

from tgdav.errors import ReplicaMissing
from tgdav.stores.ledger import Channel
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import Found
from tgdav.stores.telegram.errors import Elsewhere, Unanswered
from tgdav.stores.telegram.locations import PAGE, Locations

EMPTY_PAGES = 3
"""Pages without a message that a bot takes for the end of a channel."""

Page = tuple[Channel, range]
"""Messages of a channel that one look-up shows."""


class Scanning:
    """One store's."""

    def __init__(self, accounts: Accounts, channels: Channels, locations: Locations) -> None:
        self._accounts = accounts
        self._channels = channels
        self._locations = locations

    async def pages(self) -> list[Page]:
        """All there are, from the newest to the oldest."""
        return [page for channel, top in await self._tops() for page in _pages(channel, top)]

    async def look(self, page: Page) -> list[Found] | float:
        """The packs in a page, by message; or the seconds after which an account may look.

        Raises `Unanswered`, `StoreBusy`, `StoreError` if rest alone makes none able to.
        """
        waits_s, failure = [], None
        for account in await self._accounts.readers():
            wait_s = account.pages.wait_s()
            if not wait_s:
                account.pages.count()
                try:
                    return await self._found(account, *page)
                except Elsewhere as error:
                    failure = error
            if wait_s := max(wait_s, account.rests_s(GetMessagesRequest)):
                waits_s.append(wait_s)
        if failure and not waits_s:
            raise failure
        return min(waits_s)

    async def find(self, channel: Channel, messages: Iterable[int]) -> list[Found]:
        """The packs in these messages, by id; at once, for somebody who waits for them.

        Raises `Unanswered`, `StoreBusy`, `StoreError`.
        """
        asked = list(messages)
        return await self._accounts.first(lambda each: self._found(each, channel, asked))

    async def top(self, channel: Channel) -> int:
        """The highest message id of the channel that is of any interest."""
        users = [account for account in await self._accounts.readers() if not account.is_bot]
        for account in users:
            try:
                return await self._newest(account, channel)
            except Unanswered:
                continue
        top = self._channels.last_message(channel)
        empty = 0
        while empty < EMPTY_PAGES:
            first = top + 1 + empty * PAGE
            found = await self.find(channel, range(first, first + PAGE))
            top, empty = (found[-1].message, 0) if found else (top, empty + 1)
        return top

    async def _found(
        self, account: Account, channel: Channel, messages: Sequence[int]
    ) -> list[Found]:
        found = await self._locations.page(account, channel, messages)
        return [found[message] for message in sorted(found)]

    async def _tops(self) -> list[tuple[Channel, int]]:
        """The channels that are there, newest first, and how far their messages go."""
        await self._channels.open()
        found = []
        for each in self._channels.all():
            with contextlib.suppress(ReplicaMissing):  # it is lost
                channel = await self._channels.at(each.channel_id)
                try:
                    found.append((channel, await self.top(channel)))
                except Unanswered:
                    await self._channels.at(each.channel_id)  # lost by now, perhaps
                    raise
        return found

    async def _newest(self, account: Account, channel: Channel) -> int:
        peer = await self._channels.peer(account, channel)
        history = GetHistoryRequest(
            InputPeerChannel(peer.channel_id, peer.access_hash),
            offset_id=0, offset_date=None, add_offset=0, limit=1, max_id=0, min_id=0, hash=0,
        )  # fmt: skip
        answer = await self._channels.asked(account, channel, history)
        return max((message.id for message in answer.messages), default=0)


def _pages(channel: Channel, top: int) -> Iterator[Page]:
    for first in reversed(range(1, top + 1, PAGE)):
        yield channel, range(first, min(first + PAGE, top + 1))
