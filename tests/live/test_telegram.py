"""The same contract, and one GiB there and back, on Telegram itself.

Runs when `TGDAV_TEST_TELEGRAM_API_ID`, `_API_HASH` and `_SESSIONS` (string sessions,
separated by blanks) are set, on another MTProto server if `_SERVER` (host:port) and
`_SERVER_KEY` (a PEM file) are. It makes channels, and deletes them in the end. An account
pays for it with about 250 messages and 2.5 GiB.
"""

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from telethon.sync import TelegramClient
from telethon.tl.functions.channels import DeleteChannelRequest
from telethon.tl.types import InputChannel

from tests.contracts.store import StoreContract, in_threads, pack_id
from tests.doubles.memory_ledger import MemoryLedger
from tgdav.stores.ledger import Account
from tgdav.stores.telegram.network import Network
from tgdav.stores.telegram.store import Paces, Telegram, TelegramStore

STORE = 1
MIB = 1 << 20
API_ID, API_HASH, SESSIONS, SERVER, SERVER_KEY = (
    os.environ.get(f"TGDAV_TEST_TELEGRAM_{name}", "")
    for name in ("API_ID", "API_HASH", "SESSIONS", "SERVER", "SERVER_KEY")
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        not (API_ID and API_HASH and SESSIONS), reason="TGDAV_TEST_TELEGRAM_* are not set"
    ),
]


def logged_in() -> tuple[Network, MemoryLedger]:
    """The accounts of the variables in a ledger of their own."""
    host, _, port = SERVER.rpartition(":")
    network = Network(
        int(API_ID),
        API_HASH,
        (host, int(port)) if SERVER else None,
        Path(SERVER_KEY).read_text("ascii") if SERVER_KEY else "",
    )
    ledger = MemoryLedger()
    for no, session in enumerate(SESSIONS.split(), 1):
        client = network.client(session)
        with client:
            me = client.get_me()
        kind = "bot" if me.bot else "user"
        label = f"@{me.username}" if me.bot else f"account {no}"
        ledger.add(Account(no, kind, me.id, label, session, bool(me.premium), "active", 0, ""))
    return network, ledger


@contextmanager
def new_store() -> Iterator[TelegramStore]:
    network, ledger = logged_in()
    telegram = Telegram(network, ledger, Paces())
    store = telegram.store(STORE, title="tgdav test")
    try:
        store.open()
        yield store
        store.close()
    finally:
        telegram.close()
        drop_channels(network, ledger)


def drop_channels(network: Network, ledger: MemoryLedger) -> None:
    for channel in ledger.channels(STORE):
        owner = next(a for a in ledger.accounts() if a.no == channel.owner)
        access_hash = ledger.access_hash(owner.no, channel.no)
        client: TelegramClient = network.client(owner.session)
        with client:
            client(DeleteChannelRequest(InputChannel(channel.channel_id, access_hash)))


class TestTelegram(StoreContract):
    @contextmanager
    def make_store(self) -> Iterator[TelegramStore]:
        with new_store() as store:
            yield store

    # Each example would make a channel, and Telegram lets an account make few of them.
    test_every_range_of_a_pack_is_read_as_it_was_put = None
    test_bytes_behind_the_end_are_missing_never_short = None


def test_a_gib_there_and_back():
    with new_store() as store:

        def data(n: int) -> bytes:
            return random.Random(n).randbytes(32 * MIB)

        def there_and_back(thread: int) -> bool:
            for n in range(thread, 32, 8):
                locator = store.put(pack_id(n), data(n), f"pack {n}")
                back = hashlib.sha256()
                for at in range(0, 32 * MIB, MIB):
                    back.update(store.read(locator, at, MIB))
                if back.digest() != hashlib.sha256(data(n)).digest():
                    return False
            return True

        assert all(in_threads(there_and_back, within_s=3000))
