"""Making channels, and letting accounts into them. On the event loop.

Every account is to be a member of every channel and to post there, so that no account's
loss is a channel's. A user makes channels and comes in by a link; a bot is made an admin.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from telethon.tl.functions.channels import (
    CreateChannelRequest,
    EditAdminRequest,
    GetChannelsRequest,
    GetFullChannelRequest,
    GetParticipantsRequest,
)
from telethon.tl.functions.contacts import ResolveUsernameRequest
from telethon.tl.functions.messages import (
    CheckChatInviteRequest,
    ExportChatInviteRequest,
    GetDialogsRequest,
    ImportChatInviteRequest,
)
from telethon.tl.types import Channel as Chat
from telethon.tl.types import (
    ChannelForbidden,
    ChannelParticipantsRecent,
    ChatAdminRights,
    InputChannel,
    InputPeerChannel,
    InputPeerEmpty,
    InputUser,
)

from tgdav.errors import StoreError
from tgdav.stores.ledger import Channel, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.errors import Elsewhere, Ruled, Unanswered

LOG = logging.getLogger(__name__)

DIALOGS = 100
"""On one page."""
PARTICIPANTS = 200
UNTITLED = "tgdav"
ABOUT = "Kept by tgdav. Deleting messages here loses data."

RIGHTS = ChatAdminRights(
    change_info=True,
    post_messages=True,
    edit_messages=True,
    delete_messages=True,
    invite_users=True,
    pin_messages=True,
    add_admins=True,
)
"""An admin may do all that the first one may, so that any of them can take its place."""


class NotLetIn(Elsewhere):
    """The account is not in the channel, and Telegram does not let it in."""


class Members:
    """Of the store `store`: its first channel is called `title`, or is `channel_id`."""

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        store: int,
        *,
        title: str = "",
        channel_id: int | None = None,
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._store = store
        self._title = title
        self._channel_id = channel_id

    async def first(self) -> Channel:
        """The store's first channel: found, if it was named, or else made.

        Raises `StoreError` if no account can have it, `StoreBusy`.
        """
        if self._channel_id is None:
            return await self._make(self._title)
        return await self._find(self._channel_id)

    async def next(self, number: int) -> Channel:
        """A further channel. Raises as `first` does."""
        return await self._make(f"{self._title or UNTITLED} {number}")

    async def let_in(self, account: Account, channel: Channel) -> int:
        """Have the account in the channel; its access hash. Raises `NotLetIn`, `Elsewhere`."""
        try:
            access_hash = await self._join(account, channel)
        except Ruled as error:
            raise NotLetIn(f"channel {channel.no}: {error}") from error
        await self._keep(account, channel, access_hash)
        return access_hash

    async def promote(self, account: Account, channel: Channel) -> None:
        """Have another admin make the account one, if one can. What goes wrong is logged."""
        for admin in await self._accounts.all():
            if admin.no == account.no or admin.is_bot:
                continue
            try:
                await self._promote(admin, account, channel)
            except Unanswered as error:
                LOG.info(
                    "account %d makes account %d no admin of channel %d: %s",
                    admin.no, account.no, channel.no, error,
                )  # fmt: skip
                continue
            return

    # ---- channels

    async def _make(self, title: str) -> Channel:
        taken = await asyncio.to_thread(self._ledger.owners, self._store)
        users = [account for account in await self._accounts.writers() if not account.is_bot]
        # Copies are to be in channels of different owners, as far as there are any.
        users.sort(key=lambda account: taken.count(account.no))
        failure: Exception | None = None
        for account in users:
            with contextlib.suppress(Unanswered):
                if chat := await self._stray(account):
                    return await self._record(account, chat)
        for account in users:
            try:
                return await self._make_by(account, title)
            except Unanswered as error:
                failure = error
        if failure is None:
            raise StoreError("Telegram: a bot cannot make a channel, and there is no user account")
        raise StoreError(f"Telegram: no account can make a channel: {failure}") from failure

    async def _make_by(self, account: Account, title: str) -> Channel:
        about = f"{ABOUT} {self._ledger.mark(self._store)}"
        answer = await account.ask(CreateChannelRequest(title, about, broadcast=True))
        return await self._record(account, _chat_in(answer))

    async def _stray(self, account: Account) -> Any:
        """A channel that the account made for this store, and that was never recorded."""
        # A recovered drive may have numbered its stores anew: no channel is to be two stores'.
        known = await asyncio.to_thread(self._ledger.channel_ids)
        mark = self._ledger.mark(self._store)
        async for chat in dialogs(account):
            is_mine = isinstance(chat, Chat) and chat.creator and chat.id not in known
            if is_mine and chat.title.startswith(self._title or UNTITLED):
                peer = InputChannel(chat.id, chat.access_hash)
                full = await account.ask(GetFullChannelRequest(peer))
                if mark in full.full_chat.about:
                    LOG.info("store %d: channel %d was made before", self._store, chat.id)
                    return chat
        return None

    async def _record(self, account: Account, chat: Any) -> Channel:
        """Record a channel that the account made, with a link that lets others in."""
        peer = InputPeerChannel(chat.id, chat.access_hash)
        exported = await account.ask(ExportChatInviteRequest(peer, title="tgdav"))
        channel = await asyncio.to_thread(
            self._ledger.add_channel,
            self._store,
            chat.id,
            chat.title,
            account.no,
            _invite_in(exported.link),
        )
        await self._keep(account, channel, chat.access_hash)
        return channel

    async def _find(self, channel_id: int) -> Channel:
        """A channel that an account is in already, and that one may post in."""
        seen = {a.no: await self._sees(a, channel_id) for a in await self._accounts.readers()}
        members = {no: chat for no, chat in seen.items() if chat is not None}
        if not members:
            raise StoreError(f"Telegram: no account is in channel {channel_id}")
        posting = [chat for chat in members.values() if may_post(chat)]
        if not posting:
            raise StoreError(f"Telegram: no account may post in channel {channel_id}")
        channel = await asyncio.to_thread(
            self._ledger.add_channel, self._store, channel_id, posting[0].title, None, ""
        )
        for no, chat in members.items():
            account = self._accounts.get(no)
            if account:
                await self._keep(account, channel, chat.access_hash)
        return channel

    async def _sees(self, account: Account, channel_id: int) -> Any:
        try:
            if account.is_bot:
                request = GetChannelsRequest([InputChannel(channel_id, 0)])
                chats = (await account.ask(request)).chats
            else:
                chats = [chat async for chat in dialogs(account)]
        except Unanswered:
            return None
        wanted = (chat for chat in chats if chat.id == channel_id and isinstance(chat, Chat))
        return next(wanted, None)

    # ---- accounts

    async def _join(self, account: Account, channel: Channel) -> int:
        if account.is_bot:
            return 0  # a bot may say so: core.telegram.org/api/peers, "Zero access hash"
        if not channel.invite:
            chats = [chat async for chat in dialogs(account) if chat.id == channel.channel_id]
            if not chats or isinstance(chats[0], ChannelForbidden):
                raise NotLetIn(f"account {account.no} is not in channel {channel.no}")
            return int(chats[0].access_hash)
        try:
            answer = await account.ask(ImportChatInviteRequest(channel.invite))
            return int(_chat_in(answer).access_hash)
        except Ruled as error:
            if "USER_ALREADY_PARTICIPANT" not in str(error):
                raise
        known = await account.ask(CheckChatInviteRequest(channel.invite))
        return int(known.chat.access_hash)

    async def _promote(self, admin: Account, account: Account, channel: Channel) -> None:
        access_hash = await asyncio.to_thread(self._ledger.access_hash, admin.no, channel.no)
        if access_hash is None:
            raise Elsewhere("it is not in the channel itself")
        peer = InputChannel(channel.channel_id, access_hash)
        user = await self._user_as_seen(admin, account, peer)
        await admin.ask(EditAdminRequest(peer, user, RIGHTS, rank=""))

    async def _user_as_seen(
        self, admin: Account, account: Account, peer: InputChannel
    ) -> InputUser:
        """The account as the admin's session addresses it."""
        if account.is_bot:
            request = ResolveUsernameRequest(account.row.label.removeprefix("@"))
        else:
            recent = ChannelParticipantsRecent()
            request = GetParticipantsRequest(peer, recent, 0, PARTICIPANTS, hash=0)
        users = (await admin.ask(request)).users
        for user in users:
            if user.id == account.row.user_id:
                return InputUser(user.id, user.access_hash)
        raise Elsewhere(f"account {account.no} is not to be seen")

    async def _keep(self, account: Account, channel: Channel, access_hash: int) -> None:
        await asyncio.to_thread(self._ledger.keep_access_hash, account.no, channel.no, access_hash)


async def dialogs(account: Account) -> AsyncIterator[Any]:
    """Every chat that the account is in."""
    date, message, peer = None, 0, InputPeerEmpty()
    while True:
        request = GetDialogsRequest(date, message, peer, DIALOGS, hash=0)
        answer = await account.ask(request)
        for chat in answer.chats:
            yield chat
        if len(answer.dialogs) < DIALOGS or not answer.messages:
            return
        last = answer.messages[-1]
        date, message = last.date, last.id


def _chat_in(answer: Any) -> Any:
    """The channel that was made or joined: in updates, or in a result that has them."""
    updates = answer if hasattr(answer, "chats") else answer.updates
    return updates.chats[0]


def may_post(chat: Any) -> bool:
    """True if whom the channel is shown to so may post there; None is one not shown."""
    rights = getattr(chat, "admin_rights", None)
    return bool(getattr(chat, "creator", False) or (rights and rights.post_messages))


def _invite_in(link: str) -> str:
    """The hash in t.me/+HASH or t.me/joinchat/HASH."""
    return link.rstrip("/").rpartition("/")[2].removeprefix("+")
