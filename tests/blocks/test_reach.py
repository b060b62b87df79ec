import time

import pytest
from sqlalchemy import insert, update

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger import SqlLedger, reach
from tgdav.blocks.ledger.reach import AccountStatus
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import accounts, stores
from tgdav.db import Database
from tgdav.stores.ledger import Activity

STORE = 1


@pytest.fixture
def ledger(db: Database) -> SqlLedger:
    row = {"no": STORE, "kind": "telegram", "settings": "{}", "state": "active", "added_ns": 0}
    db.write(lambda c: c.execute(insert(stores), row))
    return SqlLedger(db, Keys(bytes(range(32))), Leases(db))


def add(ledger: SqlLedger, user_id: int = 1001) -> int:
    return ledger.add_account("user", user_id, "+49…42", "secret session", False)


def told(db: Database) -> list[AccountStatus]:
    with db.read() as connection:
        return reach.list_accounts(connection)


def sent(db: Database) -> int:
    with db.read() as connection:
        return reach.messages_sent(connection)


def test_an_account_is_shown_as_it_was_noted(db: Database, ledger: SqlLedger):
    no = add(ledger)
    ledger.act(no, Activity(100, 10, 2, 7))
    assert ledger.lease(no)
    began = time.time_ns()
    ledger.note_account(no, "limited", "PEER_FLOOD", 5)
    (shown,) = told(db)
    assert (shown.no, shown.kind, shown.label) == (no, "user", "+49…42")
    assert (shown.state, shown.trouble, shown.flood_s) == ("limited", "PEER_FLOOD", 0)
    assert (shown.sent_bytes_today, shown.received_bytes_today, shown.messages) == (100, 10, 2)
    assert shown.in_flight_bytes == 7
    assert began <= shown.checked_ns <= time.time_ns()
    assert "secret" not in repr(shown)


def test_the_longest_wait_is_shown(db: Database, ledger: SqlLedger):
    no, other = add(ledger), add(ledger, 1002)
    now = time.time_ns()
    ledger.wait(no, "SendMediaRequest", now + 300 * 10**9)
    ledger.wait(no, "uploads", now + 30 * 10**9)
    ledger.wait(other, "SendMediaRequest", now - 10**9)
    waits = {shown.no: shown.flood_s for shown in told(db)}
    assert 240 < waits[no] <= 300
    assert waits[other] == 0


def test_yesterdays_bytes_are_not_todays(db: Database, ledger: SqlLedger):
    no = add(ledger)
    ledger.act(no, Activity(100, 10, 2, 0))
    db.write(lambda c: c.execute(update(accounts).values(day=accounts.c.day - 1)))
    (shown,) = told(db)
    assert (shown.sent_bytes_today, shown.received_bytes_today, shown.messages) == (0, 0, 2)


def test_nothing_is_in_flight_of_a_process_that_is_gone(db: Database, ledger: SqlLedger):
    no = add(ledger)
    ledger.act(no, Activity(0, 0, 0, 7))
    assert [shown.in_flight_bytes for shown in told(db)] == [0]
    ledger.lease(no)
    assert [shown.in_flight_bytes for shown in told(db)] == [7]
    ledger.release(no)
    assert [shown.in_flight_bytes for shown in told(db)] == [0]


def test_what_a_removed_account_sent_still_counts(db: Database, ledger: SqlLedger):
    assert sent(db) == 0
    first, second = add(ledger), add(ledger, 1002)
    ledger.act(first, Activity(0, 0, 3, 0))
    ledger.act(second, Activity(0, 0, 4, 0))
    ledger.remove_account(first)
    assert sent(db) == 7
    assert [shown.no for shown in told(db)] == [second]


def test_a_channel_is_shown_as_it_was_noted(db: Database, ledger: SqlLedger):
    first = ledger.add_channel(STORE, 7, "packs", None, "secret invitation")
    second = ledger.add_channel(STORE, 8, "packs 2", None, "")
    ledger.note_channel(first.no, "full", 50)
    with db.read() as connection:
        shown = reach.list_channels(connection)
    assert [(c.no, c.store, c.title, c.state, c.messages) for c in shown] == [
        (first.no, STORE, "packs", "full", 50),
        (second.no, STORE, "packs 2", "active", 0),
    ]
    assert "secret" not in repr(shown)
