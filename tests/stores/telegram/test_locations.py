"""How often an account asks where packs are."""

from collections.abc import Iterator

import pytest

from tests.contracts.store import content, pack_id
from tests.stores.telegram.rig import Rig, rigged
from tests.telegram_server.process import TelegramServer
from tgdav.errors import ReplicaMissing
from tgdav.stores.telegram.locations import NEAR

PACKS = NEAR // 2


@pytest.fixture
def pair(server: TelegramServer) -> Iterator[Rig]:
    with rigged(server, users=2) as rig:
        yield rig


def looks(rig: Rig) -> int:
    return int(rig.server.control("calls").get("channels.getMessages", 0))


def test_packs_side_by_side_are_looked_up_together(pair: Rig):
    store = pair.store()
    locators = [store.put(pack_id(n), content(n, 5000), "") for n in range(PACKS)]
    pair.close()
    store, before = pair.store(), looks(pair)
    for _ in range(2):
        for n, locator in enumerate(locators):
            assert store.read(locator, 0, 5000) == content(n, 5000)
    accounts, pages = 2, 2  # they may lie across the edge of a page
    assert looks(pair) - before <= accounts * pages


def test_a_pack_that_is_gone_is_missing_beside_those_that_are_there(pair: Rig):
    store = pair.store()
    locators = [store.put(pack_id(n), content(n, 5000), "") for n in range(3)]
    store.delete([locators[1]])
    pair.close()
    store = pair.store()
    for n in (0, 2):
        assert store.read(locators[n], 0, 5000) == content(n, 5000)
    with pytest.raises(ReplicaMissing):
        store.read(locators[1], 0, 10)
