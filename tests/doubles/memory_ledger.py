"""A ledger in this process's memory: what a store may rely on at least."""

import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from tgdav.stores.ledger import (
    Account,
    AccountState,
    Activity,
    Channel,
    ChannelState,
    Intent,
)


class MemoryLedger:
    """Keeps the rows of one drive. Any thread. `others` are accounts that others have."""

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self.others: set[int] = set()
        self.leased: set[int] = set()
        self.activity: dict[int, Counter[str]] = {}
        self._word = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._accounts = {account.no: account for account in accounts}
        self._waits: dict[tuple[int, str], int] = {}
        self._keys: dict[tuple[int, int], bytes] = {}
        self._channels: dict[int, Channel] = {}
        self._hashes: dict[tuple[int, int], int] = {}
        self._intents: dict[tuple[bytes, int, int], Intent] = {}
        self._numbers = itertools.count(1)

    def add(self, account: Account) -> None:
        with self._lock:
            self._accounts[account.no] = account

    def remove(self, account: int) -> None:
        with self._lock:
            del self._accounts[account]

    def accounts(self) -> list[Account]:
        with self._lock:
            return [self._accounts[no] for no in sorted(self._accounts)]

    def lease(self, account: int) -> bool:
        with self._lock:
            if account in self.others:
                return False
            self.leased.add(account)
            return True

    def release(self, account: int) -> None:
        with self._lock:
            self.leased.discard(account)

    def note_account(
        self, account: int, state: AccountState, trouble: str = "", until_ns: int = 0
    ) -> None:
        with self._lock:
            if account in self._accounts:
                self._accounts[account] = replace(
                    self._accounts[account], state=state, trouble=trouble, until_ns=until_ns
                )

    def note_session(self, account: int, session: str) -> None:
        with self._lock:
            self._accounts[account] = replace(self._accounts[account], session=session)

    def waits(self) -> dict[tuple[int, str], int]:
        with self._lock:
            return {key: at for key, at in self._waits.items() if at > time.time_ns()}

    def wait(self, account: int, method: str, until_ns: int) -> None:
        with self._lock:
            self._waits[account, method] = until_ns

    def act(self, account: int, activity: Activity) -> None:
        with self._lock:
            self.activity.setdefault(account, Counter()).update(activity._asdict())

    def data_centre_key(self, account: int, data_centre: int) -> bytes | None:
        with self._lock:
            return self._keys.get((account, data_centre))

    def keep_data_centre_key(self, account: int, data_centre: int, key: bytes | None) -> None:
        with self._lock:
            self._keys.pop((account, data_centre), None)
            if key is not None:
                self._keys[account, data_centre] = key

    def channels(self, store: int) -> list[Channel]:
        with self._lock:
            return [channel for channel in self._channels.values() if channel.store == store]

    def channel_ids(self) -> set[int]:
        with self._lock:
            return {channel.channel_id for channel in self._channels.values()}

    def mark(self, store: int) -> str:
        return f"{self._word}-{store}"

    def add_channel(
        self, store: int, channel_id: int, title: str, owner: int | None, invite: str
    ) -> Channel:
        with self._lock:
            for channel in self._channels.values():
                if (channel.store, channel.channel_id) == (store, channel_id):
                    return channel
            no = next(self._numbers)
            made = Channel(no, store, channel_id, title, owner, invite, "active", 0)
            self._channels[no] = made
            return made

    def note_channel(self, channel: int, state: ChannelState, last_message: int) -> None:
        with self._lock:
            known = self._channels[channel]
            last = max(known.last_message, last_message)
            self._channels[channel] = replace(known, state=state, last_message=last)

    def lose_channel(self, channel: int) -> None:
        self.note_channel(channel, "lost", 0)

    def owners(self, besides: int) -> list[int]:
        with self._lock:
            others = [c for c in self._channels.values() if c.store != besides]
            return [c.owner for c in others if c.owner is not None and c.state != "lost"]

    def access_hash(self, account: int, channel: int) -> int | None:
        with self._lock:
            return self._hashes.get((account, channel))

    def keep_access_hash(self, account: int, channel: int, access_hash: int) -> None:
        with self._lock:
            self._hashes[account, channel] = access_hash

    def intents(self, store: int, pack_id: bytes) -> list[Intent]:
        with self._lock:
            return [
                intent
                for intent in self._intents.values()
                if intent.pack_id == pack_id and self._channels[intent.channel].store == store
            ]

    def intend(self, intent: Intent) -> None:
        with self._lock:
            self._intents[intent.pack_id, intent.channel, intent.account] = intent

    def forget_messages(self, channel: int, messages: list[int]) -> None:
        with self._lock:
            for key, intent in self._intents.items():
                if intent.channel == channel and intent.message in messages:
                    self._intents[key] = replace(
                        intent, message=None, file_id=0, generation=intent.generation + 1
                    )
