"""A second store's message refers to the document of the first: not a byte is sent again."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.contracts.store import pack_id
from tests.stores.telegram.rig import STORE, Rig, rigged
from tests.stores.telegram.test_rows import BIG
from tests.telegram_server.process import TelegramServer
from tgdav.stores.base import Locator
from tgdav.stores.telegram.store import Telegram, TelegramStore

CAPTION = "a caption"


class Two(NamedTuple):
    """Two stores of one process; the first has the pack."""

    rig: Rig
    telegram: Telegram
    first: TelegramStore
    second: TelegramStore
    locator: Locator

    def sent_bytes(self) -> int:
        self.telegram.close()
        return int(self.rig.ledger.activity[1]["sent_bytes"])

    def channel(self, store: int) -> int:
        return self.rig.ledger.channels(store)[0].channel_id

    def copies(self) -> list[int]:
        """The channels of the pack's messages."""
        name, mine = f"{pack_id(1).hex()}.tgdav", {self.channel(STORE + n) for n in range(2)}
        told = self.rig.server.control("messages")
        return [m["channel"] for m in told if m["file_name"] == name and m["channel"] in mine]

    def put(self) -> Locator:
        """Have the second store keep the pack, and see that it can be read there."""
        locator = self.second.put(pack_id(1), BIG, CAPTION)
        assert self.second.read(locator, 0, len(BIG)) == BIG
        assert [listed.caption for listed in self.second.scan()] == [CAPTION]
        return locator


def two(rig: Rig, *, by_reference: bool = True) -> Two:
    telegram = rig.open(copy_by_reference=by_reference)
    first, second = (telegram.store(STORE + n, title=f"packs {n}") for n in range(2))
    first.open()
    second.open()
    return Two(rig, telegram, first, second, first.put(pack_id(1), BIG, CAPTION))


@pytest.fixture
def rig(server: TelegramServer) -> Iterator[Rig]:
    with rigged(server) as rig:
        yield rig


def test_the_bytes_are_sent_once(rig: Rig):
    stores = two(rig)
    before = len(stores.copies())
    stores.put()
    assert (before, len(stores.copies())) == (1, 2)
    assert len(BIG) <= stores.sent_bytes() < 1.1 * len(BIG)


def test_they_are_sent_again_where_that_is_wanted(rig: Rig):
    stores = two(rig, by_reference=False)
    stores.put()
    assert stores.sent_bytes() >= 2 * len(BIG)


def test_the_copy_outlives_the_first_message_and_its_channel(rig: Rig):
    stores = two(rig)
    locator = stores.put()
    stores.first.delete([stores.locator])
    assert stores.second.read(locator, 0, len(BIG)) == BIG
    rig.server.control("delete_channel", channel=stores.channel(STORE))
    assert stores.second.read(locator, 5, 1000) == BIG[5:1005]


def test_a_lost_reply_makes_no_second_copy(rig: Rig):
    stores = two(rig)
    rig.server.control("cut", method="messages.sendMedia", at="reply", byte=0)
    stores.put()
    assert sorted(stores.copies()) == sorted(stores.channel(STORE + n) for n in range(2))


@pytest.mark.parametrize("trouble", ["protected", "gone", "stale"])
def test_what_cannot_be_referred_to_is_sent(rig: Rig, trouble: str):
    stores = two(rig)
    match trouble:
        case "protected":
            rig.server.control("protect", channel=stores.channel(STORE))
        case "gone":
            message = int(stores.locator.split("/")[1])
            rig.server.control("delete_message", channel=stores.channel(STORE), id=message)
        case "stale":
            rig.server.control(
                "fail", method="messages.sendMedia", code=400, message="FILE_REFERENCE_EXPIRED",
                times=1,
            )  # fmt: skip
    stores.put()
    assert stores.sent_bytes() >= 2 * len(BIG)
    assert stores.copies().count(stores.channel(STORE + 1)) == 1
