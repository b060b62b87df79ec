"""How often an account asks where packs are."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contracts.store import content, pack_id
from tests.stores.telegram.rig import Rig, rigged
from tests.stores.telegram.test_rows import until
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


def test_a_pack_is_found_that_was_sent_while_those_beside_it_were_looked_up(rig: Rig):
    before = rig.store().put(pack_id(1), content(1, 5000), "")
    rig.close()
    store = rig.store()
    rig.server.control("delay", method="channels.getMessages", seconds=3)
    with ThreadPoolExecutor(1) as beside:
        asked = looks(rig)
        reading = beside.submit(store.read, before, 0, 5000)
        until(lambda: looks(rig) > asked)
        after = store.put(pack_id(2), content(2, 5000), "")
        assert not reading.done()
        assert store.read(after, 0, 5000) == content(2, 5000)
        assert reading.result() == content(1, 5000)
