"""Where a drive's stores are, as its head says it: for whoever recovers it elsewhere.

An invitation lets in whoever has it; a head is sealed, as its row is.
"""

import json
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from tgdav.blocks.form.safe import Safe
from tgdav.blocks.ledger.channels import invite_of
from tgdav.blocks.rows.tables import accounts, channels, stores
from tgdav.errors import PackDamaged

_STORES = (
    select(stores.c.no, stores.c.kind, stores.c.settings)
    .where(stores.c.state == "active", stores.c.kind != "spool")
    .order_by(stores.c.no)
)
_CHANNELS = (
    select(
        channels.c.no,
        channels.c.channel_id,
        channels.c.title,
        channels.c.invite,
        accounts.c.user_id,
    )
    .join(accounts, accounts.c.no == channels.c.owner, isouter=True)
    .where(channels.c.store == bindparam("of_store"), channels.c.state != "lost")
    .order_by(channels.c.no)
)


class ToldChannel(NamedTuple):
    """A channel of a store."""

    channel_id: int
    title: str
    invite: str
    owner: int | None
    """The user id of the account that made it; None if a stranger did."""


class ToldStore(NamedTuple):
    """A store that took packs when the head was made."""

    kind: str
    settings: dict[str, Any]
    channels: list[ToldChannel]


def told(connection: Connection, safe: Safe) -> list[ToldStore]:
    """The stores that take packs, as a head has them in JSON."""
    return [
        ToldStore(kind, json.loads(settings), _channels(connection, safe, no))
        for no, kind, settings in connection.execute(_STORES)
    ]


def read(listed: Any) -> list[ToldStore]:
    """The stores in what a head says. Raises `PackDamaged`."""
    try:
        return [
            ToldStore(str(kind), dict(settings), [ToldChannel(*each) for each in held])
            for kind, settings, held in listed or ()
        ]
    except (TypeError, ValueError) as error:
        raise PackDamaged("stores of a form that this tgdav does not know") from error


def _channels(connection: Connection, safe: Safe, store: int) -> list[ToldChannel]:
    return [
        ToldChannel(channel_id, title, safe.open(invite, invite_of(no)).decode(), owner)
        for no, channel_id, title, invite, owner in connection.execute(
            _CHANNELS, {"of_store": store}
        )
    ]
