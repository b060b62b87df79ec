"""The channels of one store: which account may do what in which, and where the next pack goes.

On the event loop. How a channel is made, and accounts are let in, is `members`'.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

from telethon.tl import TLRequest
from telethon.tl.functions.channels import GetChannelsRequest
from telethon.tl.types import ChannelForbidden, InputChannel

from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.ledger import Channel, ChannelState, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.errors import AWAY_S, Action, Elsewhere, Ruled, Unanswered
from tgdav.stores.telegram.members import Members, NotLetIn, may_post

LOG = logging.getLogger(__name__)

APART_S = 600.0
"""Between two channels that are made though the one before is not full."""
KNOCK_S = 3600.0
"""An account that is not let in by a link is not to try again sooner: it looks like a spammer's."""
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
        self._out: set[tuple[Account, int]] = set()
        """What is out of an account's reach, until the next look."""
        self._refused: dict[tuple[Account, int], tuple[str, float]] = {}
        """Why an account was not let in, and when; that holds until a later look."""
        self._joining: defaultdict[tuple[Account, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._rolling = asyncio.Lock()
        self._rolled_at: float | None = None
        self._judging = asyncio.Lock()

    async def open(self) -> None:
        """Know the store's channels, and have one. Raises `StoreError`, `StoreBusy`."""
        async with self._rolling:
            if self._by_id:
                return
            await self._reload()
            if not self._by_id:
                made = await self._members.first()
                self._take(made)
                await self._let_all_in(made)

    def all(self) -> list[Channel]:
        """Newest first."""
        return sorted(self._by_id.values(), key=lambda channel: -channel.no)

    async def at(self, channel_id: int) -> Channel:
        """The channel of this id.

        Raises `ReplicaMissing` if the store has none, or has lost it; as `open` does.
        """
        await self.open()
        channel = self._by_id.get(channel_id)
        if channel is None:
            await self._reload()  # another process may have made it
            channel = self._by_id.get(channel_id)
        if channel is None or channel.state == "lost":
            raise ReplicaMissing(f"channel {channel_id}: not of this store, or lost")
        return channel

    def last_message(self, channel: Channel) -> int:
        """The highest message id that was seen."""
        return self._last[channel.no]

    async def current(self) -> Channel:
        """Where packs go now; a new channel if the last takes none any more. Raises as `open`."""
        await self.open()
        async with self._rolling:
            if await self._is_taking(self.all()[0]):
                return self.all()[0]
            await self._reload()  # another process may have made the next
            if await self._is_taking(newest := self.all()[0]):
                return newest
            self._require_cause(newest)
            made = await self._members.next(len(self._by_id) + 1)
            self._rolled_at = time.monotonic()
            if newest.state == "active":
                await self._become(newest, "full")
            LOG.info("store %d: channel %d takes no more, %d follows", self._store, newest.no,
                     made.no)  # fmt: skip
            self._take(made)
            await self._let_all_in(made)
            return made

    async def look(self) -> None:
        """See which channels are there, and that every account is in them and may post."""
        await self._reload()
        self._out.clear()
        self._forget_refusals()
        self._may_post = {key: True for key, may in self._may_post.items() if may}
        for channel in self.all():
            await self._judge(channel)
            if self._by_id[channel.channel_id].state != "lost":
                await self._let_all_in(channel)

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
        if (account, channel.no) in self._out:
            raise Elsewhere(f"channel {channel.no} is out of account {account.no}'s reach")
        return await self._address(account, channel)

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
        """The account was refused something there; if all are refused all, it is lost."""
        key = (account, channel.no)
        self._may_post[key] = False
        if key not in self._out and await self._reaches(account, channel) is False:
            self._out.add(key)
            if self._by_id[channel.channel_id].state != "lost":
                await self._judge(channel)

    async def close(self) -> None:
        """Tell the ledger what it was not told yet."""
        for channel in self._by_id.values():
            await self._tell(channel)

    async def _is_taking(self, channel: Channel) -> bool:
        """True unless it is full or lost, or no account that writes may post there."""
        if channel.state != "active" or self._last[channel.no] >= self._limit:
            return False
        writers = [account for account in await self._accounts.all() if account.may_write]
        for account in writers:
            try:
                if await self.may_post(account, channel):
                    return True
            except Elsewhere as error:
                if error.retry_after_s is not None:
                    return True  # nobody knows yet
            except Unanswered:
                return True
        if writers:
            await self._judge(channel)
        return not writers

    def _require_cause(self, newest: Channel) -> None:
        """Raise `StoreBusy` if the next channel would follow too soon on one that is not full."""
        if self._rolled_at is None or self._last[newest.no] >= self._limit:
            return
        if (rest_s := self._rolled_at + APART_S - time.monotonic()) > 0:
            raise StoreBusy(f"Telegram: channel {newest.no} takes nothing, and is new", rest_s)

    async def _judge(self, channel: Channel) -> None:
        """Note that the channel is lost, if it is out of all accounts' reach; or found again."""
        async with self._judging:
            was_lost = self._by_id[channel.channel_id].state == "lost"
            asked = await self._accounts.all()
            reached = [await self._reaches(account, channel) for account in asked]
            is_told = self._accounts.are_complete and not any(
                reach is None and account.may_recover
                for account, reach in zip(asked, reached, strict=True)
            )
            if was_lost and True in reached:
                LOG.info("store %d: channel %d is there again", self._store, channel.no)
                await self._become(channel, "active")
            elif not was_lost and is_told and set(reached) - {None} == {False}:
                LOG.warning("store %d: channel %d is lost", self._store, channel.no)
                self._take(replace(channel, state="lost"))
                await asyncio.to_thread(self._ledger.lose_channel, channel.no)

    async def _let_all_in(self, channel: Channel) -> None:
        """Have every account in the channel that can be, and one that may post."""
        for account in await self._accounts.all():
            if account.may_write:
                with contextlib.suppress(Unanswered):
                    await self.may_post(account, channel)

    async def _is_poster(self, account: Account, channel: Channel) -> bool:
        return may_post(await self.seen(account, channel))

    async def _reaches(self, account: Account, channel: Channel) -> bool | None:
        """Whether the account can read the channel; None if that cannot be told now."""
        try:
            return await self.seen(account, channel) is not None
        except NotLetIn:
            return False
        except Unanswered:
            return None

    async def _address(self, account: Account, channel: Channel) -> InputChannel:
        # By the account as it is logged in: another session has access hashes of its own.
        key = (account, channel.no)
        async with self._joining[key]:
            if key not in self._peers:
                no = account.no
                access_hash = await asyncio.to_thread(self._ledger.access_hash, no, channel.no)
                if access_hash is None:
                    access_hash = await self._let_in(account, channel)
                self._peers[key] = InputChannel(channel.channel_id, access_hash)
            return self._peers[key]

    async def _let_in(self, account: Account, channel: Channel) -> int:
        key = (account, channel.no)
        if key in self._refused:
            raise NotLetIn(self._refused[key][0])
        try:
            return await self._members.let_in(account, channel)
        except NotLetIn as error:
            self._refused[key] = (str(error), time.monotonic())
            raise

    def _forget_refusals(self) -> None:
        """Where there is no link nothing is lost by asking again."""
        by_link = {channel.no for channel in self.all() if channel.invite}
        long_ago = time.monotonic() - KNOCK_S
        self._refused = {
            (account, no): (why, at)
            for (account, no), (why, at) in self._refused.items()
            if no in by_link and at > long_ago
        }

    async def seen(self, account: Account, channel: Channel) -> Any:
        """The channel as Telegram shows it to the account; None if it does not.

        Raises `NotLetIn`, `Elsewhere`.
        """
        try:
            peer = await self._address(account, channel)
            answer = await account.ask(GetChannelsRequest([peer]))
        except Ruled as error:
            if error.action is Action.LEAVE:
                return None
            raise Elsewhere(str(error), AWAY_S) from error
        return next((c for c in answer.chats if not isinstance(c, ChannelForbidden)), None)

    async def _reload(self) -> None:
        """Know of channels that another process made."""
        for channel in await asyncio.to_thread(self._ledger.channels, self._store):
            if channel.channel_id not in self._by_id:
                self._take(channel)

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
