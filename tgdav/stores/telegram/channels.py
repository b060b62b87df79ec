"""The channels of one store: which account may do what in which, and where the next pack goes.

On the event loop. How a channel is made, and accounts are let in, is `members`'.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from telethon.tl import TLRequest
from telethon.tl.functions.channels import GetChannelsRequest
from telethon.tl.types import ChannelForbidden, InputChannel

from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.ledger import Channel, ChannelState, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.errors import Action, Elsewhere, Ruled, Unanswered
from tgdav.stores.telegram.members import Members

LOG = logging.getLogger(__name__)

TELL_EVERY = 20
"""Messages after which the ledger is told how full a channel is."""


class Channels:
    """Of the store `store`; `limit` messages make a channel full."""

    def __init__(
        self, accounts: Accounts, ledger: Ledger, members: Members, store: int, limit: int
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._members = members
        self._store = store
        self._limit = limit
        self._by_id: dict[int, Channel] = {}
        self._last: dict[int, int] = {}
        self._may_post: dict[tuple[Account, int], bool] = {}
        self._peers: dict[tuple[Account, int], InputChannel] = {}
        self._rolling = asyncio.Lock()

    async def open(self) -> None:
        """Know the store's channels, and have one. Raises `StoreError`, `StoreBusy`."""
        async with self._rolling:
            if self._by_id:
                return
            for channel in await asyncio.to_thread(self._ledger.channels, self._store):
                self._take(channel)
            if not self._by_id:
                self._take(await self._members.first())

    def all(self) -> list[Channel]:
        """Newest first."""
        return sorted(self._by_id.values(), key=lambda channel: -channel.no)

    async def at(self, channel_id: int) -> Channel:
        """The channel of this id.

        Raises `ReplicaMissing` if the store has none, or has lost it; as `open` does.
        """
        await self.open()
        channel = self._by_id.get(channel_id)
        if channel is None or channel.state == "lost":
            raise ReplicaMissing(f"channel {channel_id}: not of this store, or lost")
        return channel

    def last_message(self, channel: Channel) -> int:
        """The highest message id that was seen."""
        return self._last[channel.no]

    async def current(self) -> Channel:
        """Where packs go now; a new channel if the last is full. Raises as `open`."""
        await self.open()
        async with self._rolling:
            newest = self.all()[0]
            if newest.state == "active" and self._last[newest.no] < self._limit:
                return newest
            if newest.state == "active":
                await self._become(newest, "full")
            made = await self._members.next(len(self._by_id) + 1)
            LOG.info("store %d: channel %d is %s, %d follows", self._store, newest.no,
                     newest.state, made.no)  # fmt: skip
            self._take(made)
            return made

    async def note(self, channel: Channel, message: int) -> None:
        """A message with this id is there."""
        last = self._last[channel.no]
        self._last[channel.no] = max(last, message)
        if message // TELL_EVERY > last // TELL_EVERY or last == 0 or message >= self._limit:
            await self._tell(channel)

    async def peer(self, account: Account, channel: Channel) -> InputChannel:
        """How this account addresses the channel; it is let in if it never was.

        Raises `Elsewhere` if it cannot be.
        """
        # By the account as it is logged in: another session has access hashes of its own.
        key = (account, channel.no)
        if key not in self._peers:
            access_hash = await asyncio.to_thread(self._ledger.access_hash, account.no, channel.no)
            if access_hash is None:
                access_hash = await self._members.let_in(account, channel)
            self._peers[key] = InputChannel(channel.channel_id, access_hash)
        return self._peers[key]

    async def may_post(self, account: Account, channel: Channel) -> bool:
        """True if the account may post there; it is made an admin if it can be."""
        key = (account, channel.no)
        if key not in self._may_post:
            if not await self._is_poster(account, channel):
                await self._members.promote(account, channel)
            self._may_post[key] = await self._is_poster(account, channel)
        return self._may_post[key]

    async def asked(self, account: Account, channel: Channel, request: TLRequest) -> Any:
        """`account.ask` about a channel: out of reach of the account means `Elsewhere`."""
        try:
            return await account.ask(request)
        except Ruled as error:
            if error.action is Action.LEAVE:
                await self.cannot(account, channel)
                raise Elsewhere(f"channel {channel.no}: {error}") from error
            if error.action is Action.REFUSE:
                raise StoreError(f"Telegram: {error}") from error
            raise

    async def cannot(self, account: Account, channel: Channel) -> None:
        """The channel is out of this account's reach; of all accounts', it is lost."""
        self._may_post[account, channel.no] = False
        others = [other for other in await self._accounts.all() if other.no != account.no]
        if not any([await self._reaches(other, channel) for other in others]):
            LOG.warning("store %d: channel %d is lost", self._store, channel.no)
            await self._become(channel, "lost")

    async def close(self) -> None:
        """Tell the ledger what it was not told yet."""
        for channel in self._by_id.values():
            await self._tell(channel)

    async def _is_poster(self, account: Account, channel: Channel) -> bool:
        chat = await self._seen(account, channel)
        rights = getattr(chat, "admin_rights", None)
        return bool(getattr(chat, "creator", False) or (rights and rights.post_messages))

    async def _reaches(self, account: Account, channel: Channel) -> bool:
        """True unless Telegram says that the channel is out of the account's reach."""
        try:
            return await self._seen(account, channel) is not None
        except (Unanswered, StoreBusy):
            return True

    async def _seen(self, account: Account, channel: Channel) -> Any:
        """The channel as Telegram shows it to the account; None if it does not."""
        try:
            peer = await self.peer(account, channel)
            answer = await account.ask(GetChannelsRequest([peer]))
        except Ruled as error:
            if error.action is Action.LEAVE:
                return None
            raise Elsewhere(str(error)) from error
        return next((c for c in answer.chats if not isinstance(c, ChannelForbidden)), None)

    def _take(self, channel: Channel) -> None:
        self._by_id[channel.channel_id] = channel
        self._last.setdefault(channel.no, channel.last_message)

    async def _become(self, channel: Channel, state: ChannelState) -> None:
        self._take(replace(channel, state=state))
        await self._tell(self._by_id[channel.channel_id])

    async def _tell(self, channel: Channel) -> None:
        await asyncio.to_thread(
            self._ledger.note_channel, channel.no, channel.state, self._last[channel.no]
        )
