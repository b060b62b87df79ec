"""The key for another data centre is believed there no more: that is all that is lost."""

from collections.abc import Iterator

import pytest

from tests.contracts.store import content, pack_id
from tests.stores.telegram.rig import Rig, rigged
from tests.stores.telegram.test_rows import sent, states, until, warmed
from tests.telegram_server.process import TelegramServer
from tgdav.errors import StoreBusy
from tgdav.stores.base import Locator
from tgdav.stores.telegram import senders
from tgdav.stores.telegram.account import Account, Direction
from tgdav.stores.telegram.store import TelegramStore

LARGE = content(3, 12 << 20)


@pytest.fixture
def rig(server: TelegramServer) -> Iterator[Rig]:
    """One user at home in data centre 2; the other, from data centre 1, is there to send."""
    with rigged(server, users=1) as rig:
        rig.add_user(home=1)
        yield rig


def far_away(rig: Rig) -> tuple[TelegramStore, Locator]:
    """A pack in data centre 1, which account 1 alone is left to read, and has read."""
    store = warmed(rig)
    locators = (store.put(pack_id(n), LARGE, "") for n in range(4))
    locator = next(each for n, each in enumerate(locators) if sent(rig, n) == [2])
    rig.ledger.remove(2)
    until(lambda: rig.ledger.leased == {1})
    assert store.read(locator, 0, len(LARGE)) == LARGE
    return store, locator


def exports(rig: Rig) -> int:
    return rig.server.control("calls").get("auth.exportAuthorization", 0)


def test_another_key_is_had_once_whatever_was_under_way(rig: Rig):
    store, locator = far_away(rig)
    before = exports(rig)
    rig.server.control("forget_exported", account=rig.user_ids[1])
    assert store.read(locator, 0, len(LARGE)) == LARGE
    assert exports(rig) - before == 1
    rig.close()
    assert rig.store().read(locator, 0, len(LARGE)) == LARGE
    assert exports(rig) - before == 1


def test_a_kept_key_that_died_meanwhile_is_replaced(rig: Rig):
    _, locator = far_away(rig)
    before = exports(rig)
    rig.close()
    rig.server.control("forget_exported", account=rig.user_ids[1])
    assert rig.store().read(locator, 0, len(LARGE)) == LARGE
    assert exports(rig) - before == 1


@pytest.mark.parametrize("method", ["upload.getFile", "auth.importAuthorization"])
def test_a_data_centre_that_believes_no_key_is_no_end_of_the_login(rig: Rig, method: str):
    store, locator = far_away(rig)
    words = "AUTH_KEY_UNREGISTERED"
    rig.server.control("forget_exported", account=rig.user_ids[1])
    rig.server.control("fail", method=method, code=401, message=words, times=99)
    with pytest.raises(StoreBusy, match=words):
        store.read(locator, 0, 10)
    assert store._accounts.get(1).condition.state == "active"  # type: ignore[union-attr]
    rig.server.control("forget_faults")
    assert store.read(locator, 0, 10) == LARGE[:10]
    assert states(rig) == ["active"]


# While nobody reads there.


def first(store: TelegramStore) -> Account:
    account = store._accounts.get(1)
    assert account is not None
    return account


def test_idle_connections_abroad_are_closed_but_for_a_few(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    store, _ = far_away(rig)
    lanes = first(store)._senders[1, Direction.DOWN]._lanes
    assert len(lanes) > senders.KEPT
    monkeypatch.setattr(senders, "IDLE_S", 0.0)
    store._run(first(store).keep_alive(), 60)
    assert len(lanes) == senders.KEPT


def test_a_connection_abroad_that_broke_is_noticed_before_it_is_needed(rig: Rig):
    store, locator = far_away(rig)
    lanes, before = first(store)._senders[1, Direction.DOWN]._lanes, exports(rig)
    rig.server.control("drop_connections")
    until(lambda: not any(lane.sender.is_open for lane in lanes))
    store._run(first(store).keep_alive(), 60)
    assert not lanes
    assert store.read(locator, 0, len(LARGE)) == LARGE
    assert exports(rig) == before
