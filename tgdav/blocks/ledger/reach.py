"""How accounts and channels are, for people to look at. Nothing here is on a hot path."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from tgdav.blocks.ledger.accounts import DAY_NS, lease_of
from tgdav.blocks.rows.tables import accounts, channels, leases, memberships, waits

_longest_wait_ns = (
    select(func.coalesce(func.max(waits.c.until_ns), 0))
    .where(waits.c.account == accounts.c.no)
    .scalar_subquery()
)
_ACCOUNTS = (
    select(accounts, _longest_wait_ns.label("waits_until_ns"))
    .where(accounts.c.session.is_not(None))
    .order_by(accounts.c.no)
)
_CHANNELS = select(channels).order_by(channels.c.no)
_LEASED = select(leases.c.name).where(leases.c.until_ns > bindparam("now_ns"))
_others = (
    select(func.count())
    .select_from(memberships.join(accounts, accounts.c.no == memberships.c.account))
    .where(
        memberships.c.channel == channels.c.no,
        memberships.c.account != bindparam("of_account"),
        accounts.c.session.is_not(None),
        accounts.c.state.in_(["active", "limited"]),
    )
    .scalar_subquery()
)
_LEFT_SHORT = select(channels.c.no).where(channels.c.state != "lost", _others < bindparam("enough"))
_SENT = select(func.coalesce(func.sum(accounts.c.messages), 0))


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One login, as whoever has it last noted."""

    no: int
    kind: str
    label: str
    state: str
    trouble: str
    flood_s: float
    """Seconds until the last flood wait is over."""
    sent_bytes_today: int
    received_bytes_today: int
    in_flight_bytes: int
    messages: int
    """Of all time."""
    checked_ns: int


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel of one store."""

    no: int
    store: int
    title: str
    state: str
    messages: int
    """About: the highest id that was seen."""


def list_accounts(connection: Connection) -> list[AccountStatus]:
    """Every account that is logged in, as far as the drive knows."""
    now, today = time.time_ns(), time.time_ns() // DAY_NS
    leased = set(connection.scalars(_LEASED, {"now_ns": now}))
    return [
        AccountStatus(
            no=row.no,
            kind=row.kind,
            label=row.label,
            state=row.state,
            trouble=row.trouble,
            flood_s=max(0, row.waits_until_ns - now) / 1e9,
            sent_bytes_today=row.sent_bytes if row.day == today else 0,
            received_bytes_today=row.received_bytes if row.day == today else 0,
            in_flight_bytes=row.in_flight_bytes if lease_of(row.no) in leased else 0,
            messages=row.messages,
            checked_ns=row.checked_ns,
        )
        for row in connection.execute(_ACCOUNTS)
    ]


def list_channels(connection: Connection) -> list[ChannelStatus]:
    """Every channel of every store, in the order of their making."""
    return [
        ChannelStatus(row.no, row.store, row.title, row.state, row.last_message)
        for row in connection.execute(_CHANNELS)
    ]


def left_short(connection: Connection, account: int, enough: int) -> list[ChannelStatus]:
    """The channels in which fewer than `enough` accounts are without this one."""
    told = {"of_account": account, "enough": enough}
    numbers = set(connection.scalars(_LEFT_SHORT, told))
    return [channel for channel in list_channels(connection) if channel.no in numbers]


def messages_sent(connection: Connection) -> int:
    """By all accounts that there ever were."""
    return int(connection.scalars(_SENT).one())
