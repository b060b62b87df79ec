"""Each row of the error table, provoked on the test server: what becomes of put and read."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contracts.store import content, pack_id
from tests.stores.telegram.rig import STORE, Rig, rigged
from tests.telegram_server.process import TelegramServer
from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.telegram import account
from tgdav.stores.telegram.store import TelegramStore

BIG = content(3, 11 << 20)
SMALL = content(1, 100_000)


@pytest.fixture
def pair(server: TelegramServer) -> Iterator[Rig]:
    """Two users: what one cannot do, the other can."""
    with rigged(server, users=2) as rig:
        yield rig


def until(is_so: Any, within_s: float = 15.0) -> None:
    give_up = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def states(rig: Rig) -> list[str]:
    return [account.state for account in rig.ledger.accounts()]


def warmed(rig: Rig, **paces: Any) -> TelegramStore:
    """A store in whose channel every account may post already."""
    store = rig.store(**paces)
    for n in range(2 * len(rig.user_ids)):
        store.put(pack_id(100 + n), SMALL, "warm")
    return store


def sent(rig: Rig, n: int) -> list[int]:
    """The accounts that sent pack `n`, a message each."""
    by = {user: no for no, user in rig.user_ids.items()}
    name = f"{pack_id(n).hex()}.tgdav"
    return [by[m["by"]] for m in rig.messages() if m["file_name"] == name]


def put_and_read(store: TelegramStore, data: bytes = SMALL) -> None:
    locator = store.put(pack_id(1), data, "a caption")
    assert store.read(locator, 0, len(data)) == data


# Waiting.


def test_a_flood_wait_hands_the_pack_to_another_account(pair: Rig):
    store = warmed(pair)
    pair.server.control("fail", method="messages.sendMedia", code=420, message="FLOOD_WAIT_300")
    put_and_read(store)
    assert len(sent(pair, 1)) == 1
    until(pair.ledger.waits)
    ((account, method), until_ns), *more = pair.ledger.waits().items()
    assert (method, more) == ("SendMediaRequest", [])
    assert sent(pair, 1) != [account]
    assert 290e9 < until_ns - time.time_ns() <= 300e9


def test_when_all_accounts_wait_the_store_says_how_long(rig: Rig):
    store = warmed(rig)
    rig.server.control("fail", method="messages.sendMedia", code=420, message="FLOOD_WAIT_300")
    with pytest.raises(StoreBusy) as told:
        store.put(pack_id(1), SMALL, "")
    assert 290 < told.value.retry_after_s <= 300
    calls = rig.server.control("calls")["messages.sendMedia"]
    with pytest.raises(StoreBusy):
        store.put(pack_id(1), SMALL, "")
    assert rig.server.control("calls")["messages.sendMedia"] == calls


def test_a_wait_outlives_the_process(rig: Rig):
    store = warmed(rig)
    rig.server.control("fail", method="messages.sendMedia", code=420, message="FLOOD_WAIT_300")
    with pytest.raises(StoreBusy):
        store.put(pack_id(1), SMALL, "")
    rig.close()
    with pytest.raises(StoreBusy) as told:
        rig.store().put(pack_id(1), SMALL, "")
    assert 280 < told.value.retry_after_s <= 300


def test_messages_are_counted_for_the_account_whatever_the_store(rig: Rig):
    telegram = rig.open(messages_per_hour=3)
    one, other = (telegram.store(no, title=f"packs {no}") for no in (STORE, STORE + 1))
    for n in range(2):
        one.put(pack_id(n), SMALL, "")
    other.put(pack_id(2), SMALL, "")
    for store in (one, other):
        with pytest.raises(StoreBusy, match="wait") as told:
            store.put(pack_id(3), SMALL, "")
        assert told.value.retry_after_s > 3500


def test_packs_at_work_are_counted_for_the_account_whatever_the_store(pair: Rig):
    one = warmed(pair)
    other = pair.open_ones[0].store(STORE + 1, title="more")
    other.open()
    pair.server.control("delay", method="messages.sendMedia", seconds=1, times=2)
    with ThreadPoolExecutor(2) as pool:
        for n, store in enumerate((one, other)):
            pool.submit(store.put, pack_id(n), SMALL, "")
            time.sleep(0.2)
    last = [m["by"] for m in pair.server.control("messages") if m["by"] in pair.user_ids.values()]
    assert len(set(last[-2:])) == 2


@pytest.mark.parametrize("words", ["FLOOD_PREMIUM_WAIT_1", "FLOOD_WAIT_1"])
def test_parts_that_have_to_wait_go_again(rig: Rig, words: str):
    store = warmed(rig)
    rig.server.control("fail", method="upload.saveBigFilePart", code=420, message=words, times=3)
    put_and_read(store, BIG)
    rig.server.control("fail", method="upload.getFile", code=420, message=words, times=2)
    put_and_read(store, BIG)
    assert states(rig) == ["active"]


def test_parts_that_have_to_wait_long_go_by_another_account(pair: Rig):
    store = warmed(pair)
    pair.server.control("fail", method="upload.saveBigFilePart", code=420, message="FLOOD_WAIT_300")
    put_and_read(store, BIG)
    assert len(sent(pair, 1)) == 1


def test_a_pack_that_is_slowed_down_long_goes_on_where_it_was(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(account, "PATIENCE_S", 0.5)
    store = warmed(rig)
    words, method = "FLOOD_PREMIUM_WAIT_2", "upload.saveBigFilePart"
    before = rig.server.control("calls").get(method, 0)
    rig.server.control("fail", method=method, code=420, message=words, times=3, skip=8)
    locator = store.put(pack_id(1), BIG, "")
    assert rig.server.control("calls")[method] - before == 23 + 3
    rig.server.control("fail", method="upload.getFile", code=420, message=words, times=2)
    assert store.read(locator, 0, len(BIG)) == BIG


def test_a_window_that_is_slowed_down_is_read_by_another_account(pair: Rig):
    store = warmed(pair)
    locator = store.put(pack_id(1), BIG, "")
    for _ in range(2):
        assert store.read(locator, 0, len(BIG)) == BIG
    words = "FLOOD_PREMIUM_WAIT_40"
    pair.server.control("fail", method="upload.getFile", code=420, message=words)
    begun = time.monotonic()
    for _ in range(3):
        assert store.read(locator, 0, len(BIG)) == BIG
    assert time.monotonic() - begun < 20


def test_new_packs_pass_an_account_by_that_is_slowed_down(pair: Rig):
    store = warmed(pair)
    words, slow = "FLOOD_PREMIUM_WAIT_9", pair.user_ids[1]
    pair.server.control("fail", method="upload.*", code=420, message=words, account=slow)
    with ThreadPoolExecutor(8) as pool:
        first = [pool.submit(store.put, pack_id(n), SMALL, "") for n in range(2)]
        until(pair.ledger.waits)
        pair.server.control("delay", method="messages.sendMedia", seconds=1, times=6)
        later = [pool.submit(store.put, pack_id(n), SMALL, "") for n in range(2, 8)]
        for each in first + later:
            each.result(60)
    assert {tuple(sent(pair, n)) for n in range(2, 8)} == {(2,)}


# Telegram's own trouble.


@pytest.mark.parametrize(
    ("code", "words"),
    [(-503, "Timeout"), (500, "RPC_CALL_FAIL"), (-500, "No workers running"), (500, "NEWS")],
)
@pytest.mark.parametrize("method", ["messages.sendMedia", "upload.saveFilePart", "upload.getFile"])
def test_trouble_of_telegrams_own_is_outlived(rig: Rig, method: str, code: int, words: str):
    store = warmed(rig)
    rig.server.control("fail", method=method, code=code, message=words, times=2)
    put_and_read(store)
    assert sent(rig, 1) == [1]


def test_a_send_whose_first_is_under_way_is_repeated(rig: Rig):
    store = warmed(rig)
    rig.server.control(
        "fail", method="messages.sendMedia", code=500, message="RANDOM_ID_DUPLICATE", times=2
    )
    put_and_read(store)
    assert sent(rig, 1) == [1]


# Parts.


def test_a_part_that_was_lost_is_saved_again(rig: Rig):
    store = warmed(rig)
    rig.server.control("fail", method="messages.sendMedia", code=400, message="FILE_PART_3_MISSING")
    before = rig.server.control("calls").get("upload.saveBigFilePart", 0)
    put_and_read(store, BIG)
    assert rig.server.control("calls")["upload.saveBigFilePart"] - before == 23 + 1


@pytest.mark.parametrize("words", ["FILE_PARTS_INVALID", "FILE_PART_SIZE_CHANGED"])
def test_when_all_parts_are_lost_all_are_saved_again(rig: Rig, words: str):
    store = warmed(rig)
    rig.server.control("fail", method="messages.sendMedia", code=400, message=words)
    before = rig.server.control("calls").get("upload.saveBigFilePart", 0)
    put_and_read(store, BIG)
    assert rig.server.control("calls")["upload.saveBigFilePart"] - before == 2 * 23


# Locations.


@pytest.mark.parametrize(
    "words",
    [
        "FILE_REFERENCE_EXPIRED",
        "FILE_REFERENCE_0_EXPIRED",
        "FILE_REFERENCE_INVALID",
        "FILEREF_UPGRADE_NEEDED",
        "LOCATION_INVALID",
    ],
)
def test_an_old_reference_is_looked_up_once(rig: Rig, words: str):
    store = warmed(rig)
    locator = store.put(pack_id(1), SMALL, "")
    assert store.read(locator, 0, 10) == SMALL[:10]
    before = rig.server.control("calls")["channels.getMessages"]
    rig.server.control("fail", method="upload.getFile", code=400, message=words)
    assert store.read(locator, 10, 10) == SMALL[10:20]
    assert rig.server.control("calls")["channels.getMessages"] - before == 1


def test_references_that_expired_in_truth(rig: Rig):
    store = warmed(rig)
    locators = [store.put(pack_id(n), content(n), "") for n in range(3)]
    for n, locator in enumerate(locators):
        assert store.read(locator, 0, 1000) == content(n)
    rig.server.control("expire_references")
    for n, locator in enumerate(locators):
        assert store.read(locator, 0, 1000) == content(n)


def test_a_file_in_another_data_centre_is_read_there(server: TelegramServer):
    with rigged(server, users=1) as rig:
        stranger = rig.add_user(home=1)
        store = warmed(rig)
        by = {}
        for n in range(4):
            locator = store.put(pack_id(n), content(n, 3 << 20), "")
            by[sent(rig, n)[0]] = (n, locator)
        assert set(by) == {1, stranger}
        for n, locator in by.values():
            for _ in range(4):
                assert store.read(locator, 0, 3 << 20) == content(n, 3 << 20)
        exports = rig.server.control("calls").get("auth.exportAuthorization", 0)
        assert exports >= 1
        rig.close()
        store = rig.store()
        for n, locator in by.values():
            assert store.read(locator, 5, 1 << 20) == content(n, 3 << 20)[5 : 5 + (1 << 20)]
        assert rig.server.control("calls").get("auth.exportAuthorization", 0) == exports


# Accounts.


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [
        ("FROZEN_METHOD_INVALID", 420, "frozen"),
        ("PEER_FLOOD", 400, "limited"),
        ("CHAT_WRITE_FORBIDDEN", 403, "limited"),
        ("USER_DEACTIVATED_BAN", 401, "banned"),
        ("AUTH_KEY_UNREGISTERED", 401, "logged out"),
        ("SESSION_REVOKED", 401, "logged out"),
    ],
)
def test_an_account_that_is_out_leaves_its_work_to_the_others(
    pair: Rig, words: str, code: int, state: str
):
    store = warmed(pair)
    pair.server.control("fail", method="messages.sendMedia", code=code, message=words)
    put_and_read(store)
    assert len(sent(pair, 1)) == 1
    until(lambda: sorted(states(pair)) == sorted(["active", state]))
    for n in range(2, 6):
        store.put(pack_id(n), SMALL, "")
    out = states(pair).index(state) + 1
    assert all(sent(pair, n) == [3 - out] for n in range(2, 6))


def test_a_frozen_account_goes_on_reading(rig: Rig):
    store = warmed(rig)
    locator = store.put(pack_id(1), SMALL, "")
    rig.server.control("freeze", account=rig.user_ids[1], until=None)
    with pytest.raises(StoreError, match="frozen"):
        store.put(pack_id(2), SMALL, "")
    assert store.read(locator, 0, 100) == SMALL[:100]


def test_without_any_account_that_may_act_it_says_so(rig: Rig):
    store = warmed(rig)
    rig.server.control("ban", account=rig.user_ids[1])
    for call in (
        lambda: store.put(pack_id(2), SMALL, ""),
        lambda: store.read(store_locator(rig), 0, 10),
    ):
        with pytest.raises(StoreError, match="account 1 is banned"):
            call()


def store_locator(rig: Rig):
    first = rig.messages()[0]
    return f"{first['channel']}/{first['id']}"


def test_an_account_at_work_elsewhere_is_left_alone(rig: Rig):
    rig.ledger.others.add(1)
    with pytest.raises(StoreBusy, match="other processes"):
        rig.store()


def test_without_accounts_it_says_what_to_do(server: TelegramServer):
    with rigged(server, users=0) as rig, pytest.raises(StoreError, match="tgdav account add"):
        rig.store()


# Channels.


def test_a_channel_that_is_gone_for_all_is_lost(pair: Rig):
    store = warmed(pair)
    locator = store.put(pack_id(1), SMALL, "")
    pair.server.control("delete_channel", channel=int(locator.split("/")[0]))
    with pytest.raises((StoreError, StoreBusy)):
        store.read(store.put(pack_id(2), SMALL, "") and locator, 0, 10)
    until(lambda: pair.ledger.channels(STORE)[0].state == "lost")
    with pytest.raises(ReplicaMissing):
        store.read(locator, 0, 10)
    # Packs go to another from now on.
    put_and_read(store)


def test_a_message_that_was_deleted_by_hand_is_missing(rig: Rig):
    store = warmed(rig)
    locator = store.put(pack_id(1), SMALL, "")
    channel, message = map(int, locator.split("/"))
    rig.server.control("delete_message", channel=channel, id=message)
    assert store.probe(locator) is None
    with pytest.raises(ReplicaMissing):
        store.read(locator, 0, 10)
    again = store.put(pack_id(1), SMALL, "")
    assert again != locator
    assert store.read(again, 0, len(SMALL)) == SMALL


def test_a_full_channel_is_followed_by_another(rig: Rig):
    store = rig.store(channel_messages=10)
    locators = [store.put(pack_id(n), content(n), f"{n}") for n in range(30)]
    assert len({locator.split("/")[0] for locator in locators}) >= 3
    for n, locator in enumerate(locators):
        assert store.read(locator, 0, 1000) == content(n)
    assert [listed.caption for listed in store.scan(newest_first=False)] == [
        f"{n}" for n in range(30)
    ]
    assert [channel.state for channel in rig.ledger.channels(STORE)][:-1] == ["full", "full"] or (
        len(rig.ledger.channels(STORE)) > 3
    )


# What is news.


def test_words_that_are_news_are_passed_on_and_lose_nothing(rig: Rig):
    store = warmed(rig)
    rig.server.control("fail", method="messages.sendMedia", code=400, message="MEDIA_INVALID")
    with pytest.raises(StoreError, match="MEDIA_INVALID"):
        store.put(pack_id(1), SMALL, "")
    put_and_read(store)
    assert sent(rig, 1) == [1]
