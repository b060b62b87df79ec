"""One process uses an account, whatever becomes of the database that leases it."""

from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import insert

from tests.contracts.store import pack_id
from tests.postgres import SilentProxy
from tests.stores.telegram.rig import STORE, rigged
from tests.stores.telegram.test_rows import SMALL, until
from tests.telegram_server.process import TelegramServer
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger import SqlLedger
from tgdav.blocks.ledger import accounts as rows
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.tables import stores
from tgdav.db import Database
from tgdav.errors import StoreBusy
from tgdav.stores.telegram import accounts

KEYS = Keys(bytes(range(32)))
LEASE_S = 5.0


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LEASE_S", LEASE_S)
    monkeypatch.setattr(accounts, "LEASE_S", LEASE_S)
    monkeypatch.setattr(accounts, "ROUND_S", 0.1)


def ledger(database: Database) -> SqlLedger:
    return SqlLedger(database, KEYS, Leases(database))


def can_read(store: Any, locator: str) -> bool:
    try:
        return bool(store.read(locator, 0, 10) == SMALL[:10])
    except StoreBusy:
        return False


@pytest.mark.usefixtures("brief")
def test_an_account_is_let_go_of_in_time_though_the_database_hangs(
    server: TelegramServer, postgres_url: str, proxy: SilentProxy
):
    with (
        closing(Database.open(postgres_url)) as elsewhere,
        closing(Database.open(proxy.url)) as database,
        rigged(server) as rig,
    ):
        elsewhere.write(
            lambda c: c.execute(
                insert(stores).values(
                    no=STORE, kind="telegram", settings="{}", state="active", added_ns=0
                )
            )
        )
        (known,) = rig.ledger.accounts()
        theirs, rig.ledger = ledger(elsewhere), ledger(database)  # type: ignore[assignment]
        no = theirs.add_account("user", known.user_id, known.label, known.session, False)
        store = rig.store()
        locator = store.put(pack_id(1), SMALL, "")
        assert can_read(store, locator)
        proxy.be_silent()
        try:
            until(lambda: theirs.lease(no), 3 * LEASE_S)
            assert not can_read(store, locator)
        finally:
            proxy.speak_again()
        theirs.release(no)
        until(lambda: can_read(store, locator))
