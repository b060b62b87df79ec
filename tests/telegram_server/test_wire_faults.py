"""Each fault of delivery, seen by Telethon's own sender."""

import asyncio
import socket
import time

import pytest
from telethon.errors import FloodWaitError, InterdcCallErrorError
from telethon.tl.functions.help import GetConfigRequest, GetNearestDcRequest
from telethon.tl.functions.upload import SaveBigFilePartRequest

from tests.telegram_server.wire.faults import UNHARMED, Faults
from tests.telegram_server.wire_rig import (
    HOME,
    echoing,
    get_file,
    minted,
    on_a_loop,
    random_bytes,
    sending,
    speaking,
)

PART = SaveBigFilePartRequest(3, 0, 1, random_bytes(64 << 10))
LOST = (OSError, EOFError, asyncio.CancelledError)


@on_a_loop
async def test_a_call_fails_and_is_not_carried_out():
    async with echoing() as server, sending(server, minted(server)) as sender:
        server.faults.fail("upload.saveBigFilePart", 420, "FLOOD_WAIT_30", times=2, skip=1)
        assert await sender.send(PART)
        for _ in range(2):
            with pytest.raises(FloodWaitError) as caught:
                await sender.send(PART)
            assert caught.value.seconds == 30
        assert await sender.send(PART)
        assert len(server.world.saved) == 2


@on_a_loop
async def test_a_call_fails_although_it_was_carried_out():
    async with echoing() as server, sending(server, minted(server)) as sender:
        server.faults.fail("upload.*", 500, "INTERDC_2_CALL_ERROR", after=True)
        with pytest.raises(InterdcCallErrorError):
            await sender.send(PART)
        assert len(server.world.saved) == 1


@on_a_loop
async def test_a_reply_is_lost():
    async with echoing() as server, sending(server, minted(server)) as sender:
        server.faults.lose_reply("upload.saveBigFilePart")
        lost = sender.send(PART)
        assert await sender.send(PART)
        assert len(server.world.saved) == 2
        assert not lost.done()


@on_a_loop
async def test_a_share_of_the_replies_is_lost():
    async with echoing() as server, sending(server, minted(server)) as sender:
        await sender.send(GetConfigRequest())
        server.faults.lose_reply("help.getNearestDc", share=0.2)
        answers = [sender.send(GetNearestDcRequest()) for _ in range(500)]
        await sender.send(GetConfigRequest())
        lost = sum(not answer.done() for answer in answers)
        assert 50 < lost < 150


@on_a_loop
async def test_a_reply_is_late_and_overtaken():
    async with echoing() as server, sending(server, minted(server)) as sender:
        server.faults.delay("help.getNearestDc", 0.2)
        begun = time.monotonic()
        late = sender.send(GetNearestDcRequest())
        await sender.send(GetNearestDcRequest())
        assert not late.done()
        await late
        assert time.monotonic() - begun >= 0.2


@on_a_loop
async def test_a_request_is_cut_off():
    async with echoing() as server, sending(server, minted(server)) as sender:
        server.faults.cut("upload.saveBigFilePart", at="request", byte=100)
        with pytest.raises(LOST):
            await sender.send(PART)
        assert server.world.saved == []


@pytest.mark.parametrize("byte", [0, 1, 4, 3000])
@on_a_loop
async def test_a_reply_is_cut_off_at_a_byte(byte: int):
    async with echoing() as server, speaking(server) as speaker:
        await speaker.ask(PART)
        server.faults.cut("upload.getFile", at="reply", byte=byte)
        speaker.send(speaker.message(get_file(3)))
        assert len(await speaker.reader.read()) == byte


@on_a_loop
async def test_faults_are_of_one_account():
    async with (
        echoing() as server,
        sending(server, minted(server, 1), data_centre=1) as other,
        sending(server, minted(server)) as sender,
    ):
        server.faults.fail("*", 420, "FLOOD_WAIT_30", account=1000 + HOME, times=None)
        with pytest.raises(FloodWaitError):
            await sender.send(GetNearestDcRequest())
        assert await other.send(GetNearestDcRequest())
        server.faults.forget_faults()
        assert await sender.send(GetNearestDcRequest())


@on_a_loop
async def test_connections_are_dropped():
    async with (
        echoing() as server,
        sending(server, minted(server, 1), data_centre=1) as other,
        sending(server, minted(server)) as sender,
    ):
        await other.send(GetNearestDcRequest())
        await sender.send(GetNearestDcRequest())
        assert server.drop_connections(account=1000 + HOME) == 1
        with pytest.raises(LOST):
            await sender.send(GetNearestDcRequest())
        assert await other.send(GetNearestDcRequest())
        assert server.drop_connections() == 1
        with pytest.raises(LOST):
            await other.send(GetNearestDcRequest())


@on_a_loop
async def test_the_network_is_lost_and_returns():
    async with echoing() as server:
        key, ports = minted(server), dict(server.ports)
        async with sending(server, key) as sender:
            await sender.send(GetNearestDcRequest())
            for _ in range(2):
                await server.refuse_connections(True)
            with pytest.raises(LOST):
                await sender.send(GetNearestDcRequest())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", ports[HOME])
        for _ in range(2):
            await server.refuse_connections(False)
        assert server.ports == ports
        async with sending(server, key) as sender:
            assert await sender.send(GetNearestDcRequest())


@on_a_loop
async def test_a_connection_that_was_just_accepted_is_dropped_too():
    async with echoing() as server:
        link = server._connect(HOME)
        assert server.drop_connections() == 1
        ours, theirs = socket.socketpair()
        with theirs:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: link, ours)
            while server._links:
                await asyncio.sleep(0)


def test_one_fault_befalls_a_call_and_delays_come_on_top():
    faults = Faults()
    faults.fail("a.b", 500, "FIRST")
    faults.lose_reply("a.*")
    faults.delay("a.b", 2, times=None)
    first, second, third = (faults.meet("a.b", None) for _ in range(3))
    assert (first.error.message, first.is_lost, first.delay_s) == ("FIRST", False, 2)
    assert (second.error, second.is_lost, second.delay_s) == (None, True, 2)
    assert (third.error, third.is_lost, third.delay_s) == (None, False, 2)
    assert faults.meet("b.b", None) == UNHARMED


def test_a_cut_is_of_a_request_or_a_reply():
    with pytest.raises(ValueError, match="'middle'"):
        Faults().cut("a.b", at="middle")
