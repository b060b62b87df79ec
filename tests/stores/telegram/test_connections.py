"""Connections that are there and silent, and accounts that are let go of in the middle."""

import socket
import threading
from contextlib import closing

import pytest
from telethon.tl.functions.users import GetUsersRequest
from telethon.tl.types import InputUserSelf

from tests.contracts.store import content, pack_id
from tests.stores.telegram.rig import Rig
from tests.stores.telegram.test_rows import pair, warmed
from tgdav.stores.telegram import account as accounts
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.connection import DataCentre, Sender
from tgdav.stores.telegram.errors import Elsewhere
from tgdav.stores.telegram.store import TelegramStore

__all__ = ["pair"]

LARGE = content(3, 16 << 20)


def of(store: TelegramStore) -> Account:
    account = store._accounts.get(1)
    assert account is not None
    return account


def test_what_was_not_answered_is_asked_over_another_connection(rig: Rig):
    store = warmed(rig)
    account, silent = of(store), of(store)._control
    rig.server.control("lose_reply", method="users.getUsers", times=1)
    store._run(account.ask(GetUsersRequest([InputUserSelf()]), 1.0), 20)
    assert silent is not None
    assert not silent.is_open
    assert account._control is not silent


def test_a_data_centre_that_is_silent_while_keys_are_agreed_on_is_given_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(accounts, "CONTROL_S", 1.0)
    account = of(store := warmed(rig))
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        account._centres[1] = DataCentre(1, *silent.getsockname())
        with pytest.raises(TimeoutError):
            store._run(account._open_sender(1), 10)
    assert not account._importing.locked()


def test_a_read_goes_on_by_another_when_its_account_is_let_go_of(pair: Rig):
    store = warmed(pair)
    locator = store.put(pack_id(5), LARGE, "")
    store.read(locator, 0, 4 << 20)
    pair.server.control("delay", method="upload.getFile", seconds=2.5, times=16)
    removing = threading.Timer(0.3, pair.ledger.remove, [1])
    removing.start()
    assert store.read(locator, 0, len(LARGE)) == LARGE


def test_nothing_is_said_on_a_connection_made_for_an_account_let_go_of(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    account = of(store := warmed(rig))
    open_it, said = Sender.open, rig.server.control("calls")["help.getConfig"]

    async def open_late(sender: Sender) -> None:
        await open_it(sender)
        await account.close()

    monkeypatch.setattr(Sender, "open", open_late)
    store._run(account._disconnect(), 10)
    with pytest.raises(Elsewhere):
        store._telegram.start().run(account._connected(), 10)
    assert rig.server.control("calls")["help.getConfig"] == said
