"""Channels: their members, what each may do, and the links that let others in."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from telethon.tl import types

from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.history import History

FIRST_CHANNEL = 1_700_000_001
EVERY_RIGHT = (
    "change_info",
    "post_messages",
    "edit_messages",
    "delete_messages",
    "ban_users",
    "invite_users",
    "pin_messages",
    "add_admins",
    "manage_call",
    "other",
)


@dataclass(eq=False)
class Member:
    account: Account
    joined: float
    inviter: int
    rights: types.ChatAdminRights | None = None
    """None: not an admin."""
    promoter: int = 0
    rank: str | None = None


@dataclass(eq=False)
class Channel:
    channel_id: int
    title: str
    about: str
    date: float
    creator: int
    is_broadcast: bool
    members: dict[int, Member] = field(default_factory=dict)
    kicked: set[int] = field(default_factory=set)
    invites: dict[str, int] = field(default_factory=dict)
    """Hash of each link, and who made it."""
    history: History = field(default_factory=History)
    pinned: list[int] = field(default_factory=list)
    """In the order in which they were pinned."""
    pts: int = 1
    noforwards: bool = False
    is_deleted: bool = False

    def join(self, account: Account, now: float, inviter: int) -> Member:
        """Make the account a member, if it is none."""
        member = Member(account, now, inviter)
        return self.members.setdefault(account.user_id, member)

    def may(self, account: Account, right: str) -> bool:
        member = self.members.get(account.user_id)
        return bool(member and member.rights and getattr(member.rights, right))

    def admins(self) -> list[Member]:
        return [member for member in self.members.values() if member.rights]

    def invite(self, account: Account) -> str:
        """The hash of a new link."""
        link = secrets.token_urlsafe(12)
        self.invites[link] = account.user_id
        return link

    def step(self, count: int = 1) -> int:
        """The channel's event counter, after `count` more events."""
        self.pts += count
        return self.pts


class Channels:
    def __init__(self) -> None:
        self._all: dict[int, Channel] = {}

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._all.values())

    def add(self, account: Account, title: str, about: str, now: float, broadcast: bool) -> Channel:
        """A new channel with its creator in it, who may do everything."""
        channel_id = FIRST_CHANNEL + len(self._all)
        channel = Channel(channel_id, title, about, now, account.user_id, broadcast)
        member = channel.join(account, now, account.user_id)
        member.rights = types.ChatAdminRights(**dict.fromkeys(EVERY_RIGHT, True))
        self._all[channel_id] = channel
        return channel

    def get(self, channel_id: int) -> Channel | None:
        return self._all.get(channel_id)

    def of(self, account: Account) -> list[Channel]:
        """Those that the account is in."""
        return [
            channel
            for channel in self
            if account.user_id in channel.members and not channel.is_deleted
        ]

    def by_invite(self, link: str) -> Channel | None:
        return next((one for one in self if link in one.invites and not one.is_deleted), None)
