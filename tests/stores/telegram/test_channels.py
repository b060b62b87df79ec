"""Channels that are lost, found again, closed to all; and who is in them."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.store import pack_id
from tests.stores.telegram.rig import STORE, Rig, rigged
from tests.stores.telegram.test_rows import SMALL, pair, put_and_read, until, warmed
from tests.telegram_server.process import TelegramServer
from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.base import Locator
from tgdav.stores.telegram import channels
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.members import NotLetIn
from tgdav.stores.telegram.store import TelegramStore

__all__ = ["pair"]


@pytest.fixture
def three(server: TelegramServer) -> Iterator[Rig]:
    with rigged(server, users=3) as rig:
        yield rig


def states(rig: Rig) -> list[str]:
    return [channel.state for channel in rig.ledger.channels(STORE)]


def look(store: TelegramStore) -> None:
    store._run(store._channels.look(), 60)


def channel_id(rig: Rig, at: int = 0) -> int:
    return rig.ledger.channels(STORE)[at].channel_id


def admins(rig: Rig, at: int = 0) -> set[int]:
    of = {user: no for no, user in rig.user_ids.items()}
    told = {one["channel"]: one["admins"] for one in rig.server.control("channels")}
    return {of[user] for user in told[channel_id(rig, at)]}


def test_everybody_is_an_admin_of_a_channel_as_soon_as_it_is_made(server: TelegramServer):
    with rigged(server, users=2, bots=1) as rig:
        rig.store()
        assert admins(rig) == {1, 2, 3}


def test_who_is_added_later_becomes_an_admin_at_the_next_look(pair: Rig):
    store = pair.store()
    added = pair.add_user()
    until(lambda: added in pair.ledger.leased)
    look(store)
    assert admins(pair) == {1, 2, added}


def test_a_channel_that_one_account_is_out_of_is_not_lost(pair: Rig):
    store = warmed(pair)
    locator = store.put(pack_id(1), SMALL, "")
    pair.server.control("kick", channel=channel_id(pair), account=pair.user_ids[1])
    for _ in range(4):
        assert store.read(locator, 0, 10) == SMALL[:10]
    look(store)
    assert states(pair) == ["active"]


@pytest.mark.parametrize("trouble", ["ban", "log_out"])
def test_a_deleted_channel_is_lost_whatever_became_of_some_accounts(three: Rig, trouble: str):
    store = warmed(three)
    locator = store.put(pack_id(1), SMALL, "")
    three.server.control(trouble, account=three.user_ids[1])
    three.server.control("freeze", account=three.user_ids[2])
    three.server.control("delete_channel", channel=channel_id(three))
    with pytest.raises((ReplicaMissing, StoreBusy, StoreError)):
        store.read(locator, 0, 10)
    until(lambda: states(three) == ["lost"])
    with pytest.raises(ReplicaMissing):
        store.read(locator, 0, 10)


def test_a_deleted_channel_is_noticed_without_any_read(pair: Rig):
    store = warmed(pair)
    pair.server.control("delete_channel", channel=channel_id(pair))
    look(store)
    assert states(pair) == ["lost"]


def test_what_all_dead_accounts_cannot_reach_is_not_lost(pair: Rig):
    store = warmed(pair)
    for user in pair.user_ids.values():
        pair.server.control("ban", account=user)
    look(store)
    assert states(pair) == ["active"]


def test_a_channel_that_another_process_may_reach_is_not_lost(pair: Rig):
    store = warmed(pair)
    pair.ledger.others.add(2)
    until(lambda: store._accounts.get(2) is None, 30)
    pair.server.control("kick", channel=channel_id(pair), account=pair.user_ids[1])
    look(store)
    assert states(pair) == ["active"]


@pytest.mark.parametrize(("code", "words"), [(400, "NEWS"), (420, "FLOOD_WAIT_30"), (420, "NEWS")])
def test_trouble_of_telegrams_own_loses_no_channel(pair: Rig, code: int, words: str):
    store = warmed(pair)
    pair.server.control("fail", method="channels.getChannels", code=code, message=words, times=99)
    pair.server.control("kick", channel=channel_id(pair), account=pair.user_ids[1])
    store._channels._out.clear()
    store._run(store._channels._judge(store._channels.all()[0]), 120)
    assert states(pair) == ["active"]


def test_a_lost_channel_that_is_there_again_is_read_again(pair: Rig):
    store = warmed(pair)
    locator = store.put(pack_id(1), SMALL, "")
    pair.server.control("delete_channel", channel=channel_id(pair))
    look(store)
    pair.server.control("delete_channel", channel=channel_id(pair), on=False)
    look(store)
    assert states(pair) == ["active"]
    assert store.read(locator, 0, 10) == SMALL[:10]


def test_after_a_lost_channel_comes_another(pair: Rig):
    store = warmed(pair)
    pair.server.control("delete_channel", channel=channel_id(pair))
    locator = store.put(pack_id(1), SMALL, "")
    assert store.read(locator, 0, 10) == SMALL[:10]
    assert states(pair) == ["lost", "active"]
    assert admins(pair, 1) == {1, 2}


def test_an_account_that_may_post_no_more_goes_on_reading_and_another_channel_is_made(rig: Rig):
    store = warmed(rig)
    before = store.put(pack_id(1), SMALL, "")
    rig.server.control("admit", channel=channel_id(rig), account=rig.user_ids[1], admin=False)
    after = store.put(pack_id(2), SMALL, "")
    for locator in (before, after):
        assert store.read(locator, 0, 10) == SMALL[:10]
    assert states(rig) == ["full", "active"]


def test_a_channel_that_another_process_made_is_read(pair: Rig):
    store = warmed(pair)
    locator, user = store.put(pack_id(1), SMALL, ""), pair.user_ids[1]
    made = pair.server.control("make_channel", account=user, title="packs 2")["id"]
    pair.ledger.add_channel(STORE, made, "packs 2", 1, "")
    message = int(locator.partition("/")[2])
    copy = pair.server.control("copy_message", channel=channel_id(pair), id=message, to=made)
    assert store.read(Locator(f"{made}/{copy}"), 0, 10) == SMALL[:10]


def test_a_store_that_may_post_nowhere_makes_no_channels_without_end(rig: Rig):
    store = warmed(rig)
    words = "CHAT_ADMIN_REQUIRED"
    rig.server.control("fail", method="messages.sendMedia", code=400, message=words, times=99)
    for n in range(5):
        with pytest.raises((StoreBusy, StoreError)):
            store.put(pack_id(n), SMALL, "")
    assert len(states(rig)) == 2


def test_an_account_that_is_not_let_in_knocks_about_hourly(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    store = warmed(rig)
    locators = [store.put(pack_id(n), SMALL, "") for n in range(8)]
    knock, words = "messages.importChatInvite", "CHANNELS_TOO_MUCH"
    rig.server.control("fail", method=knock, code=400, message=words, times=None)
    added = rig.add_user()
    until(lambda: store._accounts.get(added) is not None)  # logged in, not leased alone
    account, before = store._accounts.get(added), knocks(rig)
    assert account is not None
    store._run(gathered(store, account, 5), 60)
    for n, locator in enumerate(locators):
        assert store.read(locator, 0, 10) == SMALL[:10]
        store.put(pack_id(20 + n), SMALL, "")
    look(store)
    assert knocks(rig) - before == 1
    assert states(rig) == ["active"]
    monkeypatch.setattr(channels, "KNOCK_S", 0.0)
    look(store)
    assert knocks(rig) - before == 2
    rig.server.control("forget_faults")
    look(store)
    assert admins(rig) == {1, added}


def knocks(rig: Rig) -> int:
    return rig.server.control("calls").get("messages.importChatInvite", 0)


async def gathered(store: TelegramStore, account: Account, times: int) -> None:
    """Have the account address the channel so often at once."""
    channel = store._channels.all()[0]
    asked = (store._channels.peer(account, channel) for _ in range(times))
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in told] == times * [NotLetIn]


def test_a_channel_that_was_made_and_not_recorded_is_found_and_used(pair: Rig):
    pair.ledger.add_channel = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        pair.store()
    pair.close()
    del pair.ledger.add_channel
    put_and_read(pair.store())
    titles = [one["title"] for one in pair.server.control("channels") if mine(pair, one)]
    assert titles == ["packs"]


def test_the_unrecorded_channel_of_another_drive_is_left_alone(pair: Rig):
    user = pair.user_ids[1]
    made = pair.server.control("make_channel", account=user, title="packs")["id"]
    put_and_read(pair.store())
    assert channel_id(pair) != made


def test_the_channel_of_another_store_is_left_alone_whatever_its_mark(pair: Rig):
    pair.ledger.mark = lambda store: "the same"  # type: ignore[method-assign]
    pair.store()
    put_and_read(pair.open_ones[0].store(STORE + 1, title="packs"))
    (first,) = pair.ledger.channels(STORE)
    (second,) = pair.ledger.channels(STORE + 1)
    assert first.channel_id != second.channel_id


class Killed(Exception):
    pass


def die(*_: object) -> None:
    raise Killed


def mine(rig: Rig, channel: dict[str, Any]) -> bool:
    return channel["creator"] in rig.user_ids.values()
