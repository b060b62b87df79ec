"""How a store's channels are looked through, and how long that waits."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests.contracts.store import pack_id
from tests.stores.telegram.rig import STORE, Rig, rigged
from tests.stores.telegram.test_locations import looks
from tests.telegram_server.process import TelegramServer
from tgdav.errors import StoreBusy, StoreError
from tgdav.stores.telegram import account, scanning
from tgdav.stores.telegram import store as module
from tgdav.stores.telegram.store import TelegramStore

PACKS = 9
ALL = [f"{n}" for n in range(PACKS)]
SPAN_S = 1.0


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "PAGE", 1)
    monkeypatch.setattr(account, "PAGES", 2)
    monkeypatch.setattr(account, "PAGES_SPAN_S", SPAN_S)


@pytest.fixture
def pair(server: TelegramServer) -> Iterator[Rig]:
    with rigged(server, users=2) as rig:
        yield rig


def filled(rig: Rig) -> TelegramStore:
    store = rig.store()
    for n in range(PACKS):
        store.put(pack_id(n), b"pack", f"{n}")
    return store


def scanned(store: TelegramStore) -> list[str]:
    return [listed.caption for listed in store.scan(newest_first=False)]


def looks_of(rig: Rig, user: int) -> int:
    return int(rig.server.control("calls", account=user).get("channels.getMessages", 0))


def test_an_account_asks_for_pages_at_a_pace(rig: Rig):
    store, began = filled(rig), time.monotonic()
    assert scanned(store) == ALL
    assert time.monotonic() - began > (PACKS // 2 - 1) * SPAN_S


def test_the_pace_is_the_accounts_whoever_scans(rig: Rig):
    store, began = filled(rig), time.monotonic()
    with ThreadPoolExecutor(2) as both:
        assert list(both.map(scanned, 2 * [store])) == [ALL, ALL]
    assert time.monotonic() - began > (2 * PACKS // 2 - 1) * SPAN_S


def test_accounts_share_the_pages(pair: Rig):
    store = filled(pair)
    before = [looks_of(pair, user) for user in pair.user_ids.values()]
    assert scanned(store) == ALL
    after = [looks_of(pair, user) for user in pair.user_ids.values()]
    assert all(then - now >= PACKS // 3 for now, then in zip(before, after, strict=True))


def test_a_scan_goes_on_when_telegram_has_had_its_rest(rig: Rig):
    store = filled(rig)
    listing = store.scan(newest_first=False)
    first = [next(listing).caption for _ in range(3)]
    rig.server.control("fail", method="channels.getMessages", code=420, message="FLOOD_WAIT_2")
    asked, began = looks(rig), time.monotonic()
    assert first + [listed.caption for listed in listing] == ALL
    assert time.monotonic() - began > 2
    assert looks(rig) - asked <= PACKS + 1, "and asks for nothing twice"


@pytest.mark.parametrize(("taken_s", "rest_s"), [(0, 60), (100, 300), (1e6, 2000)])
def test_a_scan_rests_no_longer_than_to_begin_anew_would_take(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, taken_s: float, rest_s: int
):
    store = filled(rig)
    listing = store.scan()
    next(listing)
    words = f"FLOOD_WAIT_{rest_s}"
    rig.server.control("fail", method="channels.getMessages", code=420, message=words)
    later = time.monotonic() + taken_s
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: later))
    with pytest.raises(StoreBusy) as busy:
        list(listing)
    assert rest_s - 10 < busy.value.retry_after_s <= rest_s


def test_a_store_that_is_closed_ends_its_scans(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "REST_S", 900.0)
    store = filled(rig)
    listing = store.scan()
    next(listing)
    rig.server.control("fail", method="channels.getMessages", code=420, message="FLOOD_WAIT_300")
    with ThreadPoolExecutor(1) as beside:
        rest = beside.submit(list, listing)
        time.sleep(1)
        began = time.monotonic()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            rest.result(20)
    assert time.monotonic() - began < 10


def test_a_channel_that_is_lost_is_left_out(rig: Rig):
    store = filled(rig)
    (channel,) = rig.ledger.channels(STORE)
    rig.server.control("delete_channel", channel=channel.channel_id)
    assert scanned(store) == []
