"""A data centre that takes connections, and then says that there are too many, or nothing."""

import asyncio
import contextlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from telethon.errors import InvalidBufferError
from telethon.tl.functions import PingRequest

from tests.contracts.store import pack_id
from tests.stores.telegram.rig import Rig
from tests.stores.telegram.test_rows import SMALL, warmed
from tgdav.errors import StoreBusy
from tgdav.stores.telegram import senders as module
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.connection import DataCentre
from tgdav.stores.telegram.senders import Senders
from tgdav.stores.telegram.store import TelegramStore

CROWDED = struct.pack("<i", -429)


class Crowded:
    """Counts connections, and tells each that there are too many once something is asked."""

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            await reader.readexactly(8)
            writer.write(struct.pack("<I", len(CROWDED)) + CROWDED)
            await reader.read(-1)
        writer.close()


@contextmanager
def crowded(store: TelegramStore) -> Iterator[Crowded]:
    """The account's new connections meet such a data centre; those that it had are closed."""
    account, there = store._accounts.get(1), Crowded()
    assert account is not None
    home = account.home

    async def begin() -> asyncio.Server:
        listening = await asyncio.start_server(there.serve, "127.0.0.1", 0)
        account.home = DataCentre(home.no, *listening.sockets[0].getsockname())
        await _drop_all(account)
        return listening

    async def end(listening: asyncio.Server) -> None:
        account.home = home
        listening.close()

    listening = store._run(begin(), 10)
    try:
        yield there
    finally:
        store._run(end(listening), 10)


async def _drop_all(account: Account) -> None:
    for senders in account._senders.values():
        for lane in list(senders._lanes):
            await senders._drop(lane)


def test_an_account_with_too_many_connections_makes_few_and_gives_up(rig: Rig):
    store = warmed(rig)
    with crowded(store) as there, pytest.raises(StoreBusy):
        store._run(store._put(pack_id(1), SMALL, ""), 20)
    assert there.connections <= 4  # the first try, and three more
    locator = store._run(store._put(pack_id(1), SMALL, ""), 60).locator
    assert store.read(locator, 0, 10) == SMALL[:10]


def test_a_control_connection_of_too_many_is_not_made_again_at_once(rig: Rig):
    store = warmed(rig)
    account = store._accounts.get(1)
    assert account is not None
    with crowded(store) as there:
        store._run(account._disconnect(), 10)
        for _ in range(3):
            with pytest.raises(StoreBusy):
                store._run(account.check(), 20)
        assert there.connections == 1


class Line:
    """A sender that is told that there are too many connections, in the middle of its work."""

    is_open = True

    def __init__(self, told: asyncio.Event) -> None:
        self._told = told

    async def call(self, *_: object) -> None:
        await self._told.wait()
        raise InvalidBufferError(CROWDED)

    async def close(self) -> None:
        self.is_open = False


async def crowded_once() -> Senders:
    """Eight senders, of which each is told so at once."""
    told = asyncio.Event()

    async def open_line() -> Line:
        return Line(told)

    senders = Senders(open_line, 8)  # type: ignore[arg-type]
    asking = [asyncio.ensure_future(senders.call(PingRequest(n), 1)) for n in range(16)]
    await asyncio.sleep(0.1)
    assert len(senders._lanes) == 8
    told.set()
    await asyncio.gather(*asking, return_exceptions=True)
    return senders


def test_one_event_halves_the_senders_once():
    senders = asyncio.run(asyncio.wait_for(crowded_once(), 20))
    assert (senders._most, senders._lanes) == (4, [])
    assert 0 < senders.rests_s <= 1


def test_there_are_as_many_again_when_it_has_been_quiet(monkeypatch: pytest.MonkeyPatch):
    async def work() -> list[int]:
        senders, most = await crowded_once(), []
        for quiet_s in (module.QUIET_S, 0, 0, 0, 0, 0):
            monkeypatch.setattr(module, "QUIET_S", quiet_s)
            await senders.keep_alive(opens=False)
            most.append(senders._most)
        return most

    assert asyncio.run(asyncio.wait_for(work(), 20)) == [4, 5, 6, 7, 8, 8]
