"""Whether the accounts could do in a store's channels what is asked of them next.

Lets in and promotes whom it can, as the look by the clock does, and tells of the rest.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tgdav.errors import StoreError, TgdavError
from tgdav.stores.ledger import Channel
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import Place
from tgdav.stores.telegram.errors import Unanswered
from tgdav.stores.telegram.members import may_post
from tgdav.stores.telegram.sending import Sending
from tgdav.stores.telegram.transfer import Reading

ENOUGH = 2
"""Accounts that may post in a channel, so that it outlives one of them."""
CANARY = "tgdav canary"
"""The caption of a pack that is no drive's: one that stays behind is in nobody's way."""
CANARY_SIZE = 4096

Look = Callable[[Channel], Awaitable[int]]
Delete = Callable[[int, list[int]], Awaitable[None]]


@dataclass(slots=True)
class VerifiedChannel:
    """One channel, as it was found."""

    no: int
    store: int
    title: str
    state: str
    members: list[int] = field(default_factory=list)
    """The accounts that see it."""
    admins: list[int] = field(default_factory=list)
    """Of these, those that may post."""
    messages: int = 0
    room: int = 0
    """Messages until the next channel follows."""
    canary: list[int] | None = None
    """The accounts that read back what was put there; None: it takes no packs now."""
    troubles: list[str] = field(default_factory=list)
    """A sentence each."""


class Verifying:
    """Of one store; on the event loop. `top` tells how far a channel's messages go."""

    def __init__(
        self,
        accounts: Accounts,
        channels: Channels,
        sending: Sending,
        reading: Reading,
        *,
        top: Look,
        delete: Delete,
        limit: int,
    ) -> None:
        self._accounts = accounts
        self._channels = channels
        self._sending = sending
        self._reading = reading
        self._top = top
        self._delete = delete
        self._limit = limit

    async def verify(self) -> list[VerifiedChannel]:
        """Every channel, oldest first. Raises `StoreError`, `StoreBusy` if there is no account."""
        await self._channels.open()
        await self._accounts.readers()
        await self._channels.look()
        found = [await self._verified(channel) for channel in reversed(self._channels.all())]
        if found[-1].state == "active":
            await self._put_canary(found[-1])
        return found

    async def _verified(self, channel: Channel) -> VerifiedChannel:
        found = VerifiedChannel(channel.no, channel.store, channel.title, channel.state)
        if channel.state == "lost":
            found.troubles.append(f"{_name(found)} is out of reach for every account")
            return found
        for account in await self._living():
            await self._ask(account, channel, found)
        if len(found.admins) < ENOUGH:
            found.troubles.append(
                f"{_name(found)} has {len(found.admins)} accounts that may post, of {ENOUGH} that "
                "it should have: add another by tgdav account add"
            )
        try:
            found.messages = await self._top(channel)
        except (Unanswered, TgdavError) as error:
            found.troubles.append(f"{_name(found)} cannot be listed: {error}")
        found.room = max(0, self._limit - found.messages)
        return found

    async def _living(self) -> list[Account]:
        return [account for account in await self._accounts.all() if account.is_alive]

    async def _ask(self, account: Account, channel: Channel, found: VerifiedChannel) -> None:
        who = f"account {account.no}"
        try:
            chat = await self._channels.seen(account, channel)
        except Unanswered as error:
            found.troubles.append(f"{who} cannot tell of {_name(found)}: {error}")
            return
        if chat is None:
            found.troubles.append(f"{who} is not in {_name(found)}")
            return
        found.members.append(account.no)
        if may_post(chat):
            found.admins.append(account.no)
        else:
            found.troubles.append(f"{who} may not post in {_name(found)}")

    async def _put_canary(self, found: VerifiedChannel) -> None:
        """Put a pack, have every account read it, and delete it."""
        found.canary = []
        data = secrets.token_bytes(CANARY_SIZE)
        try:
            place = await self._sending.send(secrets.token_bytes(16), data, CANARY)
        except TgdavError as error:
            found.troubles.append(f"{_name(found)} took no pack: {error}")
            return
        try:
            for account in await self._living():
                await self._read_canary(account, place, data, found)
        finally:
            try:
                await self._delete(place.channel_id, [place.message])
            except (Unanswered, TgdavError) as error:
                found.troubles.append(f"{_name(found)} let nothing be deleted: {error}")

    async def _read_canary(
        self, account: Account, place: Place, data: bytes, found: VerifiedChannel
    ) -> None:
        assert found.canary is not None  # noqa: S101 - who calls has put one
        try:
            channel = await self._channels.at(place.channel_id)
            read = await self._reading.by(account, channel, place.message, len(data))
            why = "" if read == data else "other bytes came than were put"
        except (Unanswered, StoreError) as error:
            why = str(error)
        if why:
            found.troubles.append(f"account {account.no} did not read from {_name(found)}: {why}")
        else:
            found.canary.append(account.no)


def _name(channel: VerifiedChannel) -> str:
    return f"channel {channel.no} ({channel.title})"
