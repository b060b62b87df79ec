"""The rows of channels: which a store has, who addresses them how, and what is sent to them.

An invitation lets anybody in who has it, so it is kept in a `Safe`.
"""

import time

from sqlalchemy import Connection, bindparam, case, insert, select, update

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger.rows import Rows
from tgdav.blocks.rows import index
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.tables import channels, intents, memberships, replicas
from tgdav.db import Database
from tgdav.stores.ledger import Channel, ChannelState, Intent, locator_start

_CHANNELS = (
    select(
        channels.c.no,
        channels.c.store,
        channels.c.channel_id,
        channels.c.title,
        channels.c.owner,
        channels.c.invite,
        channels.c.state,
        channels.c.last_message,
    )
    .where(channels.c.store == bindparam("of_store"))
    .order_by(channels.c.no)
)
_IDS = select(channels.c.channel_id)
_ADD_CHANNEL = insert(channels)
_NOTE_CHANNEL = (
    update(channels)
    .where(channels.c.no == bindparam("of_channel"))
    .values(
        state=bindparam("new_state"),
        last_message=case(
            (channels.c.last_message < bindparam("seen"), bindparam("seen")),
            else_=channels.c.last_message,
        ),
    )
)

_LOSE_CHANNEL = (
    update(channels).where(channels.c.no == bindparam("of_channel")).values(state="lost")
)
_WHICH = select(channels.c.store, channels.c.channel_id).where(
    channels.c.no == bindparam("of_channel")
)
_SUSPECT_ALL = (
    update(replicas)
    .where(
        replicas.c.store == bindparam("of_store"),
        replicas.c.locator.startswith(bindparam("start")),
        replicas.c.state == index.SOUND,
    )
    .values(state=index.SUSPECT)
)
_OWNERS = select(channels.c.owner).where(
    channels.c.store != bindparam("of_store"),
    channels.c.state != "lost",
    channels.c.owner.is_not(None),
)

_of_member = (
    memberships.c.account == bindparam("of_no"),
    memberships.c.channel == bindparam("of_channel"),
)
_ACCESS_HASH = select(memberships.c.access_hash).where(*_of_member)
_LATER_HASH = update(memberships).where(*_of_member).values(access_hash=bindparam("new_hash"))
_FIRST_HASH = insert(memberships).values(
    account=bindparam("of_no"),
    channel=bindparam("of_channel"),
    access_hash=bindparam("new_hash"),
)

_INTENTS = (
    select(
        intents.c.pack_id,
        intents.c.channel,
        intents.c.account,
        intents.c.generation,
        intents.c.file_id,
        intents.c.message,
    )
    .join(channels, channels.c.no == intents.c.channel)
    .where(channels.c.store == bindparam("of_store"), intents.c.pack_id == bindparam("of_pack"))
    .order_by(intents.c.intended_ns, intents.c.channel, intents.c.account)
)
_INTEND_AGAIN = (
    update(intents)
    .where(
        intents.c.pack_id == bindparam("of_pack"),
        intents.c.channel == bindparam("of_channel"),
        intents.c.account == bindparam("of_no"),
    )
    .values(
        generation=bindparam("new_generation"),
        file_id=bindparam("new_file_id"),
        message=bindparam("new_message"),
    )
)
_INTEND = insert(intents).values(
    pack_id=bindparam("of_pack"),
    channel=bindparam("of_channel"),
    account=bindparam("of_no"),
    generation=bindparam("new_generation"),
    file_id=bindparam("new_file_id"),
    message=bindparam("new_message"),
    intended_ns=bindparam("now_ns"),
)
_FORGET_MESSAGE = (
    update(intents)
    .where(intents.c.channel == bindparam("of_channel"), intents.c.message == bindparam("gone"))
    .values(message=None, file_id=0, generation=intents.c.generation + 1)
)


class ChannelRows(Rows):
    """What `Ledger` says of channels and intents. Any thread."""

    def __init__(self, db: Database, keys: Keys) -> None:
        super().__init__(db, keys)
        self._channel_numbers = Numbers(db, "channel", 1)
        self._keys = keys

    # ---- channels

    def channels(self, store: int) -> list[Channel]:
        with self._db.read() as connection:
            return self._channels(connection, store)

    def channel_ids(self) -> set[int]:
        with self._db.read() as connection:
            return set(connection.scalars(_IDS))

    def mark(self, store: int) -> str:
        return self._keys.derive(f"channels of store {store}")[:8].hex()

    def add_channel(
        self, store: int, channel_id: int, title: str, owner: int | None, invite: str
    ) -> Channel:
        no = self._channel_numbers.take()[0]
        row = {"no": no, "store": store, "channel_id": channel_id, "title": title, "owner": owner}
        row |= {"invite": self._safe.seal(invite.encode(), invite_of(no)), "state": "active"}
        row |= {"last_message": 0, "added_ns": time.time_ns()}

        def work(connection: Connection) -> Channel:
            known = {c.channel_id: c for c in self._channels(connection, store)}
            if channel_id not in known:
                connection.execute(_ADD_CHANNEL, row)
                return Channel(no, store, channel_id, title, owner, invite, "active", 0)
            return known[channel_id]

        return self._db.write(work)

    def note_channel(self, channel: int, state: ChannelState, last_message: int) -> None:
        told = {"of_channel": channel, "new_state": state, "seen": last_message}
        self._change(_NOTE_CHANNEL, told)

    def lose_channel(self, channel: int) -> None:
        told = {"of_channel": channel}

        def work(connection: Connection) -> None:
            store, channel_id = connection.execute(_WHICH, told).one()
            connection.execute(_LOSE_CHANNEL, told)
            gone = {"of_store": store, "start": locator_start(channel_id)}
            connection.execute(_SUSPECT_ALL, gone)

        self._db.write(work)

    def owners(self, besides: int) -> list[int]:
        with self._db.read() as connection:
            return list(connection.scalars(_OWNERS, {"of_store": besides}))

    def access_hash(self, account: int, channel: int) -> int | None:
        told = {"of_no": account, "of_channel": channel}
        with self._db.read() as connection:
            return connection.scalars(_ACCESS_HASH, told).one_or_none()

    def keep_access_hash(self, account: int, channel: int, access_hash: int) -> None:
        told = {"of_no": account, "of_channel": channel, "new_hash": access_hash}
        self._change(_LATER_HASH, told, or_else=_FIRST_HASH)

    # ---- intents

    def intents(self, store: int, pack_id: bytes) -> list[Intent]:
        with self._db.read() as connection:
            rows = connection.execute(_INTENTS, {"of_store": store, "of_pack": pack_id})
            return [Intent(*row) for row in rows]

    def intend(self, intent: Intent) -> None:
        told = {
            "of_pack": intent.pack_id,
            "of_channel": intent.channel,
            "of_no": intent.account,
            "new_generation": intent.generation,
            "new_file_id": intent.file_id,
            "new_message": intent.message,
        }
        self._change(_INTEND_AGAIN, told, or_else=_INTEND)

    def forget_messages(self, channel: int, messages: list[int]) -> None:
        if messages:
            gone = [{"of_channel": channel, "gone": message} for message in messages]
            self._db.write(lambda connection: connection.execute(_FORGET_MESSAGE, gone))

    def _channels(self, connection: Connection, store: int) -> list[Channel]:
        rows = connection.execute(_CHANNELS, {"of_store": store})
        return [
            Channel(
                no=row.no,
                store=row.store,
                channel_id=row.channel_id,
                title=row.title,
                owner=row.owner,
                invite=self._safe.open(row.invite, invite_of(row.no)).decode(),
                state=row.state,
                last_message=row.last_message,
            )
            for row in rows
        ]


def invite_of(channel: int) -> str:
    """What the invitation of this row is sealed for."""
    return f"channel {channel}"
