"""Exactly once: whatever is lost on the way, one pack is one message."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contracts.store import content, in_threads, pack_id
from tests.stores.telegram.rig import Rig, rigged
from tests.stores.telegram.test_rows import BIG, SMALL, pair, put_and_read, sent, until, warmed
from tests.telegram_server.process import TelegramServer
from tgdav.errors import StoreBusy, StoreError
from tgdav.stores.telegram import accounts, sending
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.store import TelegramStore

__all__ = ["pair"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_reply_is_asked_for_again(rig: Rig, times: int):
    store = warmed(rig)
    # The connection is cut in the reply: no answer, and the client notices at once.
    rig.server.control("cut", method="messages.sendMedia", at="reply", byte=0, times=times)
    put_and_read(store)
    assert sent(rig, 1) == [1]


def test_a_lost_reply_over_a_living_connection_is_not_waited_for(
    pair: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "SEND_S", 3600.0)
    monkeypatch.setattr(sending, "LOOK_S", 1.0)
    store = warmed(pair)
    pair.server.control("lose_reply", method="messages.sendMedia", times=3)
    put_and_read(store)
    assert len(sent(pair, 1)) == 1


def test_a_lost_answer_that_nobody_can_look_for_is_asked_for_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "SEND_S", 3600.0)
    monkeypatch.setattr(sending, "LOOK_S", 1.0)
    store = warmed(rig)
    rig.server.control("lose_reply", method="messages.sendMedia", times=2)
    rig.server.control(
        "fail", method="channels.getMessages", code=400, message="MSG_ID_INVALID", times=2
    )
    put_and_read(store)
    assert sent(rig, 1) == [1]


def test_a_pack_that_is_deleted_and_forgotten_is_a_new_message_when_it_comes_back(rig: Rig):
    store = warmed(rig)
    before = store.put(pack_id(1), SMALL, "")
    store.delete([before])
    rig.ledger._intents.clear()
    after = store.put(pack_id(1), SMALL, "")
    assert after != before
    assert store.read(after, 0, 10) == SMALL[:10]


def leave_in_doubt(rig: Rig, store: TelegramStore, data: bytes) -> None:
    """Send pack 1 so that nobody knows whether it was sent, nor can look."""
    rig.server.control("cut", method="messages.sendMedia", at="reply", byte=0, times=50)
    rig.server.control(
        "fail", method="channels.getMessages", code=400, message="MSG_ID_INVALID", times=50
    )
    with pytest.raises((StoreBusy, StoreError)):
        store.put(pack_id(1), data, "")
    rig.server.control("forget_faults")


def test_a_send_that_nobody_answers_is_sought_at_the_end_of_the_channel(rig: Rig):
    store = warmed(rig)
    rig.server.control("cut", method="messages.sendMedia", at="reply", byte=0, times=50)
    put_and_read(store)
    assert sent(rig, 1) == [1]


def test_a_send_that_may_have_been_is_settled_by_the_next_put(rig: Rig):
    store = warmed(rig)
    leave_in_doubt(rig, store, SMALL)
    put_and_read(store)
    assert sent(rig, 1) == [1]


def test_a_send_of_another_process_is_settled_by_the_next(rig: Rig):
    leave_in_doubt(rig, warmed(rig), BIG)
    rig.close()
    put_and_read(rig.store(), BIG)
    assert sent(rig, 1) == [1]


def test_a_repeat_that_is_refused_says_nothing_of_the_first_send(
    pair: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "LOOK_S", 1.0)
    store = warmed(pair)
    pair.server.control("lose_reply", method="messages.sendMedia", times=1)
    pair.server.control("fail", method="messages.sendMedia", code=420, message="FLOOD_WAIT_30")
    pair.server.control(  # nobody sees it before it is repeated
        "fail", method="channels.getMessages", code=400, message="MSG_ID_INVALID", times=2
    )
    put_and_read(store)
    assert len(sent(pair, 1)) == 1


@pytest.mark.timeout(90)
def test_a_send_that_is_never_answered_nor_seen_comes_to_an_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "LOOK_S", 0.3)
    monkeypatch.setattr(sending, "SEND_S", 1.0)
    store = warmed(rig)
    rig.server.control("lose_reply", method="messages.sendMedia", times=1000)
    rig.server.control(
        "fail", method="channels.getMessages", code=400, message="MSG_ID_INVALID", times=1000
    )
    with pytest.raises((StoreBusy, StoreError)):
        store.put(pack_id(1), SMALL, "")
    assert sent(rig, 1) == [1]


def test_what_nobody_can_look_for_is_not_taken_for_never_sent(pair: Rig):
    store = warmed(pair)
    pair.server.control("cut", method="messages.sendMedia", at="reply", byte=0, times=8)
    pair.server.control(
        "fail", method="channels.getMessages", code=420, message="FLOOD_WAIT_2", times=1000
    )
    with pytest.raises(StoreBusy, match="whether"):
        store.put(pack_id(1), SMALL, "")
    assert len(sent(pair, 1)) == 1
    pair.server.control("forget_faults")
    time.sleep(2)
    put_and_read(store)
    assert len(sent(pair, 1)) == 1


def test_an_account_that_is_let_go_of_while_its_send_waits_may_have_sent(
    pair: Rig, monkeypatch: pytest.MonkeyPatch
):
    """Its lease runs out: the answer is lost with the connection."""
    late: set[int] = set()
    is_late = Accounts._is_late
    monkeypatch.setattr(accounts, "ROUND_S", 0.1)
    monkeypatch.setattr(Accounts, "_is_late", lambda self, no: no in late or is_late(self, no))
    store = warmed(pair)
    pair.server.control("lose_reply", method="messages.sendMedia", times=1)
    with ThreadPoolExecutor(1) as thread:
        putting = thread.submit(store.put, pack_id(1), SMALL, "")
        until(lambda: bool(sent(pair, 1)))
        late.update(sent(pair, 1))
        locator = putting.result(60)
    assert len(sent(pair, 1)) == 1
    assert store.read(locator, 0, len(SMALL)) == SMALL


def test_a_send_that_never_was_is_sent(rig: Rig):
    store = warmed(rig)
    rig.server.control("cut", method="messages.sendMedia", at="request", byte=5, times=50)
    with pytest.raises((StoreBusy, StoreError)):
        store.put(pack_id(1), SMALL, "")
    rig.server.control("forget_faults")
    put_and_read(store)
    assert sent(rig, 1) == [1]


def test_the_send_of_an_account_that_was_banned_meanwhile_is_found(pair: Rig):
    store = warmed(pair)
    leave_in_doubt(pair, store, SMALL)
    (by,) = sent(pair, 1)
    pair.server.control("ban", account=pair.user_ids[by])
    put_and_read(store)
    assert sent(pair, 1) == [by]


def test_lost_replies_on_a_fifth_of_the_sends(pair: Rig):
    store = warmed(pair)
    chance = random.Random(5)
    for n in range(40):
        if chance.random() < 0.2:
            pair.server.control("cut", method="messages.sendMedia", at="reply", byte=0)
        locator = store.put(pack_id(n), content(n), "")
        assert store.read(locator, 0, 1000) == content(n)
    assert all(len(sent(pair, n)) == 1 for n in range(40))


def test_many_processes_worth_of_puts_of_the_same_pack(rig: Rig):
    store = warmed(rig)
    start = threading.Barrier(8)

    def work(_thread: int) -> str:
        start.wait()
        return store.put(pack_id(1), SMALL, "")

    assert len(set(in_threads(work))) == 1
    assert sent(rig, 1) == [1]


def test_connections_that_break_all_the_time(pair: Rig):
    store = warmed(pair)
    data = random.Random(1).randbytes(4 << 20)
    stop = threading.Event()

    def break_them() -> None:
        while not stop.wait(0.3):
            pair.server.control("drop_connections")

    breaking = threading.Thread(target=break_them)
    breaking.start()
    try:
        for n in range(6):
            for _ in range(20):
                try:
                    locator = store.put(pack_id(n), data, "")
                    assert store.read(locator, n, len(data) - n) == data[n:]
                    break
                except StoreBusy:
                    continue
            else:
                raise AssertionError("never done")
    finally:
        stop.set()
        breaking.join()
    assert all(len(sent(pair, n)) == 1 for n in range(6))


def test_a_window_that_stalls_is_asked_of_the_next(pair: Rig):
    store = warmed(pair)
    locator = store.put(pack_id(1), BIG, "")
    pair.server.control("delay", method="upload.getFile", seconds=50, times=2)
    began = time.monotonic()
    assert store.read(locator, 0, len(BIG)) == BIG
    assert time.monotonic() - began < 40


def test_one_account_alone_is_asked_again_over_another_connection(rig: Rig):
    store = warmed(rig)
    locator = store.put(pack_id(1), SMALL, "")
    rig.server.control("delay", method="upload.getFile", seconds=50, times=1)
    began = time.monotonic()
    assert store.read(locator, 0, len(SMALL)) == SMALL
    assert time.monotonic() - began < 40


def test_an_account_that_was_added_is_used_and_one_that_was_removed_is_not(rig: Rig):
    store = warmed(rig)
    added = rig.add_user()
    until(lambda: added in rig.ledger.leased)
    for n in range(4):
        store.put(pack_id(n), SMALL, "")
    assert {sender for n in range(4) for sender in sent(rig, n)} == {1, added}
    rig.ledger.remove(1)
    until(lambda: rig.ledger.leased == {added})
    for n in range(4, 8):
        store.put(pack_id(n), SMALL, "")
    assert {sender for n in range(4, 8) for sender in sent(rig, n)} == {added}


def test_what_an_account_did_is_told(rig: Rig):
    store = warmed(rig)
    store.read(store.put(pack_id(1), BIG, ""), 0, len(BIG))
    rig.close()
    done = rig.ledger.activity[1]
    assert done["messages"] == 3
    assert done["sent_bytes"] >= len(BIG)
    assert done["received_bytes"] >= len(BIG)


def test_windows_that_are_asked_for_at_once_are_shared_out(server: TelegramServer):
    """Not all given to the one that had least to do before."""
    with rigged(server, users=2) as rig:
        store = rig.store()
        locator = store.put(pack_id(1), bytes(13 << 20), "")
        store.read(locator, 0, 4 << 20)  # both have found it
        server.control("shape", latency_s=0.5)
        try:
            with ThreadPoolExecutor() as threads:
                first = threads.submit(store.read, locator, 12 << 20, 1 << 20)
                time.sleep(0.2)
                store.read(locator, 0, 12 << 20)
                first.result()
        finally:
            server.control("shape")
        rig.close()
        received = [rig.ledger.activity[no]["received_bytes"] for no in (1, 2)]
        assert min(received) > 5 << 20, received


def test_the_network_is_lost_and_comes_back(rig: Rig):
    store = warmed(rig)
    locator = store.put(pack_id(1), SMALL, "")
    rig.server.control("refuse_connections", on=True)
    for call in (
        lambda: store.put(pack_id(2), SMALL, ""),
        lambda: store.read(locator, 0, 10),
        lambda: store.probe(locator),
    ):
        with pytest.raises(StoreBusy):
            call()
    rig.server.control("refuse_connections", on=False)
    for _ in range(30):
        try:
            store.put(pack_id(2), SMALL, "")
            break
        except StoreBusy as busy:
            threading.Event().wait(min(busy.retry_after_s, 1))
    assert sent(rig, 2) == [1]
    assert store.read(locator, 0, 10) == SMALL[:10]
