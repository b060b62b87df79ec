"""What a store that talks to a network writes down: before it acts, and after it has.

Accounts, channels and intents to send, as rows. Where the rows lie is for others to say;
a session is a bearer credential, so whoever keeps one keeps it sealed.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

AccountState = Literal["active", "limited", "frozen", "banned", "logged out"]
"""*limited* may not write until `until_ns`; *frozen* only reads; the last two are dead."""

ChannelState = Literal["active", "full", "lost"]
"""*full* is read only, as its messages near the limit; *lost* is out of reach for all."""


@dataclass(frozen=True, slots=True)
class Account:
    """One login, as it was at the last look."""

    no: int
    kind: Literal["user", "bot"]
    user_id: int
    label: str
    """What a person knows it by, and no stranger can use: "+49…42", "@packs_bot"."""
    session: str = field(repr=False)
    """Telethon's string session, opened."""
    premium: bool
    state: AccountState
    until_ns: int
    """When a limited account may write again; 0 otherwise."""
    trouble: str
    """Why it is not active, in one sentence; empty if it is."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of one store."""

    no: int
    store: int
    channel_id: int
    title: str
    owner: int | None
    """The number of the account that made it; None if a stranger did."""
    invite: str = field(repr=False)
    """The hash of a link that lets an account in; empty if there is none."""
    state: ChannelState
    last_message: int
    """The highest message id seen: about how many messages there were."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One pack to be sent to one channel by one account, written before it is sent.

    The send's random id follows from it, so the same intent sent again is no second message.
    """

    pack_id: bytes
    channel: int
    account: int
    generation: int
    """Grows when a message is known to be gone, as ids are never forgotten."""
    file_id: int
    """What the parts were saved under, so that a send can be repeated without them; 0 if it
    is known that nothing was sent."""
    message: int | None
    """The message that holds the pack, once it is known."""


class Activity(NamedTuple):
    """What an account did since it was last told."""

    sent_bytes: int
    received_bytes: int
    messages: int
    in_flight_bytes: int
    """Now, not since."""


class Ledger(Protocol):
    """Keeps the rows. Any thread; each call is one transaction, and lasts when it returns.

    Each may raise `DatabaseBusy`, `DatabaseError`, `DiskFull`.
    """

    def accounts(self) -> list[Account]:
        """All that were added and not removed, by number."""
        ...

    def lease(self, account: int) -> bool:
        """Have or keep the right to use it, for `LEASE_S`; False: another process has it."""
        ...

    def release(self, account: int) -> None:
        """Give the right back."""
        ...

    def note_account(
        self, account: int, state: AccountState, trouble: str = "", until_ns: int = 0
    ) -> None:
        """Record how the account is, and that it was looked at now."""
        ...

    def note_session(self, account: int, session: str) -> None:
        """The account's session has moved to another data centre."""
        ...

    def waits(self) -> dict[tuple[int, str], int]:
        """Flood waits that are not over: (account, method) to ns since 1970."""
        ...

    def wait(self, account: int, method: str, until_ns: int) -> None:
        """The account may not call this method until then."""
        ...

    def act(self, account: int, activity: Activity) -> None:
        """Add to the account's figures of today and of all time."""
        ...

    def data_centre_key(self, account: int, data_centre: int) -> bytes | None:
        """The account's authorization key in a data centre that is not its home."""
        ...

    def keep_data_centre_key(self, account: int, data_centre: int, key: bytes | None) -> None:
        """Keep it; None forgets it."""
        ...

    def channels(self, store: int) -> list[Channel]:
        """The store's channels, in the order in which they were added."""
        ...

    def channel_ids(self) -> set[int]:
        """Telegram's ids of all channels that any store has."""
        ...

    def mark(self, store: int) -> str:
        """A word by which the store's channels are known, and no other store's of any drive."""
        ...

    def add_channel(
        self, store: int, channel_id: int, title: str, owner: int | None, invite: str
    ) -> Channel:
        """Record a channel; one that the store has already is returned as it is."""
        ...

    def note_channel(self, channel: int, state: ChannelState, last_message: int) -> None:
        """Record how the channel is; `last_message` never goes down."""
        ...

    def lose_channel(self, channel: int) -> None:
        """The channel is out of reach for all: nothing that it held is relied on any more."""
        ...

    def owners(self, besides: int) -> list[int]:
        """Who made the channels of the other stores: an account for each that is not lost."""
        ...

    def access_hash(self, account: int, channel: int) -> int | None:
        """What this session addresses the channel by; None if it never saw it."""
        ...

    def keep_access_hash(self, account: int, channel: int, access_hash: int) -> None: ...

    def intents(self, store: int, pack_id: bytes) -> list[Intent]:
        """All intents to send this pack to channels of this store, oldest first."""
        ...

    def intend(self, intent: Intent) -> None:
        """Record an intent, or replace the one with the same pack, channel and account."""
        ...

    def forget_messages(self, channel: int, messages: list[int]) -> None:
        """These messages are gone: their intents say so, and are a generation later."""
        ...


def locator_start(channel_id: int) -> str:
    """How the locators of all that a channel holds begin, and no others in its store."""
    return f"{channel_id}/"


LEASE_S = 30.0
"""For so long a lease is granted; it is renewed well before."""
