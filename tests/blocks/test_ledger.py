import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, insert, select, update

from tests.contracts.ledger import OTHER_STORE, STORE, LedgerContract, pack_id
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger import SqlLedger
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import accounts, channels, data_centre_keys, packs, replicas, stores
from tgdav.db import Database
from tgdav.errors import DatabaseError
from tgdav.stores.ledger import Activity, Intent, Ledger

KEYS = Keys(bytes(range(32)))


@pytest.fixture
def ledger(db: Database) -> SqlLedger:
    for no in (STORE, OTHER_STORE):
        row = {"no": no, "kind": "telegram", "settings": "{}", "state": "active", "added_ns": 0}
        db.write(lambda c, row=row: c.execute(insert(stores), row))
    return SqlLedger(db, KEYS, Leases(db))


class TestSqlLedger(LedgerContract):
    @pytest.fixture(autouse=True)
    def _db(self, db: Database) -> None:
        self.db = db

    def add(self, ledger: SqlLedger, user_id: int) -> int:
        return ledger.add_account("user", user_id, "+49…42", f"session {user_id}", False)

    def lease_elsewhere(self, ledger: SqlLedger, account: int) -> bool:
        return SqlLedger(self.db, KEYS, Leases(self.db)).lease(account)


def add(ledger: SqlLedger, user_id: int = 1001, session: str = "secret session") -> int:
    return ledger.add_account("bot", user_id, "@packs_bot", session, True)


def values(db: Database, *columns: object) -> list[tuple[object, ...]]:
    with db.read() as connection:
        return [tuple(row) for row in connection.execute(select(*columns))]


def figures(db: Database, no: int) -> tuple[object, ...]:
    """What the account did: the day, bytes of it each way, messages, bytes in flight."""
    told = (
        accounts.c.day,
        accounts.c.sent_bytes,
        accounts.c.received_bytes,
        accounts.c.messages,
        accounts.c.in_flight_bytes,
    )
    with db.read() as connection:
        return tuple(connection.execute(select(*told).where(accounts.c.no == no)).one())


def test_a_sql_ledger_is_a_ledger(ledger: SqlLedger):
    told: Ledger = ledger
    assert told.accounts() == []


def test_what_was_written_is_there_for_the_next_process(db: Database, ledger: SqlLedger):
    no = add(ledger)
    channel = ledger.add_channel(STORE, 7, "title", no, "invitation")
    later = SqlLedger(db, KEYS, Leases(db))
    assert later.accounts() == ledger.accounts()
    assert later.channels(STORE) == [channel]
    (found,) = later.accounts()
    assert (found.kind, found.label, found.premium) == ("bot", "@packs_bot", True)


# ---- logins come and go


def test_a_new_login_of_the_same_user_replaces_the_one_before(ledger: SqlLedger):
    no, other = add(ledger), add(ledger, 1002)
    channel = ledger.add_channel(STORE, 7, "title", no, "").no
    for account in (no, other):
        ledger.keep_access_hash(account, channel, 5)
        ledger.keep_data_centre_key(account, 4, b"key")
    ledger.note_account(no, "logged out", "SESSION_REVOKED", 9)
    ledger.wait(no, "SendMediaRequest", time.time_ns() + 10**12)
    assert ledger.add_account("bot", 1001, "@renamed_bot", "new session", False) == no
    found, _ = ledger.accounts()
    assert (found.session, found.label, found.state) == ("new session", "@renamed_bot", "active")
    assert (found.trouble, found.until_ns, found.premium) == ("", 0, False)
    # An access hash and a key belong to the login, a flood wait to the account.
    assert ledger.access_hash(no, channel) is ledger.data_centre_key(no, 4) is None
    assert ledger.waits()
    assert (ledger.access_hash(other, channel), ledger.data_centre_key(other, 4)) == (5, b"key")


def test_a_removed_account_leaves_no_secret_and_what_it_sent(db: Database, ledger: SqlLedger):
    no = add(ledger)
    channel = ledger.add_channel(STORE, 7, "title", no, "").no
    sent = Intent(pack_id(1), channel, no, 0, 5, 12)
    ledger.intend(sent)
    ledger.keep_data_centre_key(no, 4, b"key")
    assert ledger.remove_account(no)
    assert ledger.accounts() == []
    assert values(db, accounts.c.session) == [(None,)]
    assert values(db, func.count()) == [(1,)]
    assert values(db, data_centre_keys.c.key) == []
    assert ledger.intents(STORE, pack_id(1)) == [sent]
    assert not ledger.remove_account(no)
    assert not ledger.remove_account(99)


def test_a_removed_account_that_comes_back_has_its_number(ledger: SqlLedger):
    no = add(ledger)
    ledger.remove_account(no)
    ledger.note_session(no, "of a process that did not know")
    assert ledger.accounts() == []
    assert add(ledger) == no
    assert [account.session for account in ledger.accounts()] == ["secret session"]


# ---- secrets


def test_secrets_are_sealed_in_the_database(db: Database, ledger: SqlLedger):
    no = add(ledger)
    ledger.keep_data_centre_key(no, 4, b"secret key")
    ledger.add_channel(STORE, 7, "title", no, "secret invitation")
    kept = [
        *values(db, accounts.c.session),
        *values(db, data_centre_keys.c.key),
        *values(db, channels.c.invite),
    ]
    assert len(kept) == 3
    assert not any(b"secret" in secret for (secret,) in kept)


def test_a_secret_opens_only_where_it_belongs(db: Database, ledger: SqlLedger):
    first, second = add(ledger), add(ledger, 1002)
    ((sealed,), _) = values(db, accounts.c.session)
    db.write(lambda c: c.execute(update(accounts).values(session=sealed)))
    with pytest.raises(DatabaseError, match=f"account {second}"):
        ledger.accounts()
    ledger.keep_data_centre_key(first, 4, b"key")
    db.write(lambda c: c.execute(update(data_centre_keys).values(data_centre=5)))
    with pytest.raises(DatabaseError, match="data centre 5"):
        ledger.data_centre_key(first, 5)


def test_another_key_opens_nothing(db: Database, ledger: SqlLedger):
    add(ledger)
    with pytest.raises(DatabaseError, match="damaged"):
        SqlLedger(db, Keys(bytes(32)), Leases(db)).accounts()


# ---- figures


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The days since 1970, as the ledger sees them."""
    at = [20_000]
    monkeypatch.setattr("tgdav.blocks.ledger.accounts.time", Clock(at))
    return at


class Clock:
    def __init__(self, day: list[int]) -> None:
        self.day = day

    def time_ns(self) -> int:
        return self.day[0] * 86_400 * 10**9 + 5


def test_figures_are_of_the_day_and_messages_of_all_time(
    db: Database, ledger: SqlLedger, day: list[int]
):
    no, other = add(ledger), add(ledger, 1002)
    ledger.act(no, Activity(100, 10, 1, 7))
    ledger.act(no, Activity(100, 10, 1, 5))
    assert figures(db, no) == (20_000, 200, 20, 2, 5)
    day[0] += 1
    ledger.act(no, Activity(1 << 41, 0, 3, 0))
    assert figures(db, no) == (20_001, 1 << 41, 0, 5, 0)
    assert figures(db, other) == (0, 0, 0, 0, 0)


def test_what_a_lost_channel_held_is_suspect_and_nothing_else(db: Database, ledger: SqlLedger):
    channel = ledger.add_channel(STORE, 7, "title", None, "")
    held = [(1, STORE, "7/1"), (2, STORE, "7/23"), (3, STORE, "77/1"), (1, OTHER_STORE, "7/1")]
    told = {"digest": bytes(32), "caption": "", "size": 1, "created_ns": 0}
    rows = [{"no": no, "pack_id": pack_id(no)} | told for no in (1, 2, 3)]
    db.write(lambda c: c.execute(insert(packs), rows))
    kept = [
        {"pack": pack, "store": store, "locator": locator, "state": "sound", "verified_ns": 0}
        for pack, store, locator in held
    ]
    db.write(lambda c: c.execute(insert(replicas), kept))
    ledger.lose_channel(channel.no)
    suspect = select(replicas.c.store, replicas.c.locator).where(replicas.c.state == "suspect")
    with db.read() as connection:
        assert sorted(map(tuple, connection.execute(suspect))) == [(STORE, "7/1"), (STORE, "7/23")]


def test_a_channel_as_it_was_noted_by_another_process(db: Database, ledger: SqlLedger):
    channel = ledger.add_channel(STORE, 7, "title", None, "")
    SqlLedger(db, KEYS, Leases(db)).note_channel(channel.no, "full", 500_000)
    assert ledger.channels(STORE) == [replace(channel, state="full", last_message=500_000)]
