"""The shaped network: exact in virtual time, and as exact as a busy machine lets it be."""

import asyncio
import time

import pytest
from telethon.network import MTProtoSender
from telethon.tl import TLRequest
from telethon.tl.functions.help import GetNearestDcRequest
from telethon.tl.functions.upload import SaveBigFilePartRequest

from tests.telegram_server.wire.shaping import Line, Shape
from tests.telegram_server.wire_rig import (
    echoing,
    get_file,
    minted,
    on_a_loop,
    random_bytes,
    sending,
)

SIZE = 256 << 10
PART = SaveBigFilePartRequest(3, 0, 1, random_bytes(SIZE))


async def taken(senders: list[MTProtoSender], request: TLRequest, times: int) -> float:
    """Seconds for so many of them on each, four under way at a time."""

    async def work(sender: MTProtoSender, left: list[int]) -> None:
        while left:
            left.pop()
            await sender.send(request)

    begun = time.monotonic()
    lefts = [(sender, [0] * times) for sender in senders]
    await asyncio.gather(*(work(sender, left) for sender, left in lefts for _ in range(4)))
    return time.monotonic() - begun


@on_a_loop
async def test_a_round_trip_takes_the_latency():
    async with echoing() as server, sending(server, minted(server)) as sender:
        await sender.send(GetNearestDcRequest())
        server.shape.shape(latency_s=0.1)
        trips = []
        for _ in range(3):
            begun = time.monotonic()
            await sender.send(GetNearestDcRequest())
            trips.append(time.monotonic() - begun)
        assert 0.1 <= min(trips) < 1.0


@pytest.mark.parametrize("request_", [PART, get_file(3)])
@on_a_loop
async def test_a_connection_carries_so_much(request_: TLRequest):
    async with echoing() as server, sending(server, minted(server)) as sender:
        await sender.send(PART)
        server.shape.shape(latency_s=0.02, connection_bytes_s=20 * SIZE)
        seconds = await taken([sender], request_, 20)
        assert 1.0 <= seconds < 4.0


@pytest.mark.parametrize("request_", [PART, get_file(3)])
@on_a_loop
async def test_an_account_carries_so_much_however_many_its_connections(request_: TLRequest):
    async with echoing() as server:
        key = minted(server)
        async with sending(server, key) as one, sending(server, key) as other:
            await taken([one, other], PART, 1)
            server.shape.shape(account_bytes_s=20 * SIZE)
            assert 1.0 <= await taken([one, other], request_, 10) < 4.0


def test_a_line_is_exact():
    line = Line()
    arrivals = [line.carry(100, 1000, now=now) for now in (0, 0, 0.05, 5)]
    assert arrivals == pytest.approx([0.1, 0.2, 0.3, 5.1])
    assert line.carry(100, None, now=7) == 7


def test_the_slower_of_both_lines_counts():
    shape, line, other = Shape(), Line(), Line()
    shape.shape(latency_s=2, connection_bytes_s=100, account_bytes_s=150)
    assert shape.arrival(line, "user 1", "in", 300, 0) == pytest.approx(3 + 1)
    assert shape.arrival(other, "user 1", "in", 300, 0) == pytest.approx(4 + 1)
    assert shape.arrival(other, "user 1", "out", 300, 9) == pytest.approx(9 + 3 + 1)
    assert shape.arrival(Line(), "user 2", "in", 300, 0) == pytest.approx(3 + 1)
    assert shape.arrival(Line(), None, "in", 300, 9) == pytest.approx(9 + 3 + 1)
