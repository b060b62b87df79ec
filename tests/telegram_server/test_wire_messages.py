"""Salts, sessions, containers, acknowledgements, repeats and service messages."""

import asyncio
import gzip
import time

import pytest
from telethon.extensions import BinaryReader
from telethon.tl import TLObject
from telethon.tl.core import GzipPacked, MessageContainer, RpcResult
from telethon.tl.functions import (
    DestroyAuthKeyRequest,
    DestroySessionRequest,
    GetFutureSaltsRequest,
    InitConnectionRequest,
    InvokeAfterMsgRequest,
    InvokeWithLayerRequest,
    InvokeWithoutUpdatesRequest,
    PingDelayDisconnectRequest,
    PingRequest,
    RpcDropAnswerRequest,
)
from telethon.tl.functions.help import GetAppUpdateRequest, GetConfigRequest, GetNearestDcRequest
from telethon.tl.functions.messages import SendMediaRequest
from telethon.tl.functions.upload import SaveBigFilePartRequest, SaveFilePartRequest
from telethon.tl.types import (
    BadMsgNotification,
    BadServerSalt,
    DestroyAuthKeyOk,
    DestroySessionNone,
    DestroySessionOk,
    FutureSalts,
    MsgsAck,
    MsgsStateInfo,
    MsgsStateReq,
    NearestDc,
    NewSessionCreated,
    Pong,
    RpcAnswerUnknown,
)
from telethon.tl.types.storage import FileUnknown
from telethon.tl.types.upload import File

from tests.telegram_server.caller import Caller
from tests.telegram_server.echo_world import EchoWorld
from tests.telegram_server.wire.calls import Call, Part, method_of
from tests.telegram_server.wire.calls import read as read_call
from tests.telegram_server.wire.link import OUTBOX_MAX
from tests.telegram_server.wire.outgoing import ACKNOWLEDGE_S
from tests.telegram_server.wire_rig import (
    HOME,
    echoing,
    get_file,
    minted,
    on_a_loop,
    random_bytes,
    read,
    sending,
    speaking,
)


def initialised(query: TLObject) -> InvokeWithLayerRequest:
    told = InitConnectionRequest(1, "device", "system", "1", "en", "", "en", query)
    return InvokeWithLayerRequest(229, told)


# Salts and sessions.


@on_a_loop
async def test_a_client_with_a_wrong_salt_is_told_the_right_one():
    async with echoing() as server, speaking(server, salt=5) as speaker:
        message = speaker.message(GetNearestDcRequest())
        speaker.send(message)
        told = (await speaker.hear())[0].obj
        assert isinstance(told, BadServerSalt)
        assert told.bad_msg_id == int.from_bytes(message[:8], "little")
        assert server.tally.calls() == {}
        speaker.state.salt = told.new_server_salt
        assert isinstance(read(await speaker.ask(GetNearestDcRequest())), NearestDc)


@on_a_loop
async def test_an_unmodified_client_follows_the_salts():
    async with echoing() as server, sending(server, minted(server)) as sender:
        assert await sender.send(SaveBigFilePartRequest(3, 0, 9, random_bytes(1024)))
        for _ in range(3):
            server.change_salts()
            many = [sender.send(SaveBigFilePartRequest(3, no, 9, b"part")) for no in range(9)]
            assert all(await asyncio.gather(*many))
        assert len(server.world.saved) == 1 + 3 * 9


@on_a_loop
async def test_changed_salts_hold_from_the_next_message():
    async with echoing() as server, speaking(server) as speaker:
        await speaker.ask(GetNearestDcRequest())
        server.change_salts()
        speaker.send(speaker.message(GetNearestDcRequest()))
        assert isinstance((await speaker.hear())[0].obj, BadServerSalt)


@on_a_loop
async def test_salts_of_the_future_are_told():
    async with echoing() as server, speaking(server) as speaker:
        speaker.send(speaker.message(GetFutureSaltsRequest(3)))
        told = (await speaker.hear_until(FutureSalts))[-1]
        assert told.salts[0].salt == speaker.state.salt
        assert len({salt.salt for salt in told.salts}) == 3
        assert told.salts[0].valid_since.timestamp() <= time.time()
        assert told.salts[0].valid_until == told.salts[2].valid_since


@on_a_loop
async def test_a_new_session_is_announced_once():
    async with echoing() as server, speaking(server) as speaker:
        message = speaker.message(PingRequest(1))
        speaker.send(message)
        first = await speaker.hear_until(Pong)
        speaker.send(speaker.message(PingRequest(2)))
        second = await speaker.hear_until(Pong)
        assert [type(one) for one in first] == [NewSessionCreated, Pong]
        assert first[0].first_msg_id == int.from_bytes(message[:8], "little")
        assert first[0].server_salt == speaker.state.salt
        assert [type(one) for one in second] == [Pong]


@on_a_loop
async def test_a_session_can_be_destroyed():
    async with echoing() as server:
        key = minted(server)
        async with speaking(server, key) as other, speaking(server, key) as speaker:
            other.send(other.message(PingRequest(1)))
            await other.hear()
            for expected in (DestroySessionOk, DestroySessionNone):
                speaker.send(speaker.message(DestroySessionRequest(other.state.id)))
                assert (await speaker.hear_until(expected))[-1].session_id == other.state.id


@on_a_loop
async def test_a_key_can_be_destroyed():
    async with echoing() as server:
        key = minted(server)
        async with speaking(server, key) as speaker:
            speaker.send(speaker.message(DestroyAuthKeyRequest()))
            assert await speaker.hear_until(DestroyAuthKeyOk)
        assert list(server.ring) == []


@pytest.mark.parametrize(("off_s", "code"), [(-400, 16), (100, 17)])
@on_a_loop
async def test_a_client_whose_clock_is_wrong_is_told(off_s: int, code: int):
    async with echoing() as server, speaking(server) as speaker:
        speaker.state.time_offset = off_s
        speaker.send(speaker.message(GetNearestDcRequest()))
        told = (await speaker.hear())[0].obj
        assert isinstance(told, BadMsgNotification)
        assert told.error_code == code
    async with echoing() as server, sending(server, minted(server)) as sender:
        sender._state.time_offset = off_s
        assert (await sender.send(GetNearestDcRequest())).this_dc == HOME


@on_a_loop
async def test_a_message_id_that_no_client_makes_is_refused():
    async with echoing() as server, speaking(server) as speaker:
        message_id = speaker.state._get_new_msg_id() + 2
        speaker.send(speaker.message(PingRequest(1), message_id=message_id))
        told = (await speaker.hear())[0].obj
        assert (told.bad_msg_id, told.error_code) == (message_id, 18)


# Containers, acknowledgements, repeats.


@on_a_loop
async def test_containers_go_both_ways():
    async with echoing() as server, speaking(server) as speaker:
        packed = bytes(GzipPacked(bytes(SaveFilePartRequest(3, 0, bytes(5000)))))
        requests = [bytes(GetNearestDcRequest()), packed, bytes(PingRequest(7))]
        messages = [speaker.message(request) for request in requests]
        speaker.send_together(messages)
        packet = speaker.state.decrypt_message_data(await speaker.hear_packet())
        assert isinstance(packet.obj, MessageContainer)
        heard = packet.obj.messages
        inner = [message.msg_id for message in heard]
        assert inner == sorted(set(inner))
        assert max(inner) < packet.msg_id
        results = [one.obj for one in heard if isinstance(one.obj, RpcResult)]
        assert {one.req_msg_id for one in results} == {
            int.from_bytes(message[:8], "little") for message in messages[:2]
        }
        assert server.world.parts == {(3, 0): bytes(5000)}
        pong = next(one.obj for one in heard if isinstance(one.obj, Pong))
        assert pong.ping_id == 7


@on_a_loop
async def test_many_calls_at_once_are_all_answered():
    async with echoing() as server, sending(server, minted(server)) as sender:
        asked = [sender.send(GetConfigRequest()) for _ in range(250)]
        assert len(await asyncio.gather(*asked)) == 250
        assert server.tally.calls() == {"help.getConfig": 250}


@on_a_loop
async def test_a_message_that_comes_again_is_not_carried_out_again():
    async with echoing() as server:
        key = minted(server)
        async with speaking(server, key) as speaker, speaking(server, key) as second:
            second.state.id = speaker.state.id
            message = speaker.message(SaveBigFilePartRequest(3, 0, 1, b"once"))
            speaker.send(message)
            await speaker.hear_until(RpcResult)
            speaker.send(message)
            second.send(message)
            heard = await second.hear_until(MsgsAck)
            assert not any(isinstance(one, RpcResult) for one in heard)
            await speaker.ask(GetNearestDcRequest())
            assert server.world.saved == [(3, 0)]


@on_a_loop
async def test_a_client_can_ask_what_came():
    async with echoing() as server, speaking(server) as speaker:
        message = speaker.message(GetNearestDcRequest())
        speaker.send(message)
        await speaker.hear_until(RpcResult)
        message_id = int.from_bytes(message[:8], "little")
        speaker.send(speaker.message(MsgsStateReq([message_id, message_id + 4])))
        told = (await speaker.hear_until(MsgsStateInfo))[-1]
        assert told.info == "\x04\x02"


@on_a_loop
async def test_a_call_without_an_answer_is_acknowledged():
    async with echoing() as server, speaking(server) as speaker:
        await speaker.ask(GetNearestDcRequest())
        server.faults.lose_reply("help.getNearestDc")
        message = speaker.message(GetNearestDcRequest())
        begun = time.monotonic()
        speaker.send(message)
        told = (await speaker.hear_until(MsgsAck))[-1]
        assert told.msg_ids == [int.from_bytes(message[:8], "little")]
        assert time.monotonic() - begun >= ACKNOWLEDGE_S * 0.9


@on_a_loop
async def test_a_ping_may_ask_for_the_end():
    async with echoing() as server, speaking(server) as speaker:
        speaker.send(speaker.message(PingDelayDisconnectRequest(1, 9)))
        await speaker.hear_until(Pong)
        speaker.send(speaker.message(PingDelayDisconnectRequest(2, 0)))
        with pytest.raises((OSError, EOFError)):
            await speaker.hear_until(Pong, 2)


@on_a_loop
async def test_the_world_is_told_of_connections():
    async with echoing() as server:
        key = minted(server)
        async with sending(server, key) as one, sending(server, key) as other:
            await one.send(GetNearestDcRequest())
            await other.send(GetNearestDcRequest())
            assert len(server.world.connections) == 2
        while server.world.connections:
            await asyncio.sleep(0.001)


@on_a_loop
async def test_a_client_that_reads_nothing_is_not_read_from():
    async with echoing() as server, speaking(server) as speaker:
        await speaker.ask(SaveBigFilePartRequest(3, 0, 1, random_bytes(500 << 10)))
        speaker.writer.transport.pause_reading()
        for _ in range(8):
            speaker.send_together([speaker.message(get_file(3)) for _ in range(10)])
        (link,) = server._links
        while not link.is_clogged:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert link._transport.get_write_buffer_size() < OUTBOX_MAX + (1 << 20)
        assert server.tally.calls()["upload.getFile"] < 80
        speaker.writer.transport.resume_reading()
        await speaker.hear_until(RpcResult, 80)


@on_a_loop
async def test_a_client_that_is_gone_is_sent_nothing_more(caplog: pytest.LogCaptureFixture):
    async with echoing() as server, speaking(server) as speaker:
        await speaker.ask(SaveBigFilePartRequest(3, 0, 1, random_bytes(500 << 10)))
        (link,) = server._links
        speaker.writer.transport.abort()
        await asyncio.sleep(0)  # it is closed, and the server was not told yet
        while not link._transport.is_closing():
            link._write(10 * [random_bytes(64 << 10)])  # many pieces, as a packet may have
        link._write(10 * [random_bytes(64 << 10)])
    assert not caplog.records


# Calls in their wrappings.


@pytest.mark.parametrize(
    "wrapped",
    [
        InvokeWithoutUpdatesRequest(GetNearestDcRequest()),
        InvokeAfterMsgRequest(8, GetNearestDcRequest()),
        initialised(GetNearestDcRequest()),
        InvokeWithoutUpdatesRequest(initialised(GetNearestDcRequest())),
        GzipPacked(bytes(initialised(GetNearestDcRequest()))),
    ],
)
def test_what_is_wrapped_around_a_call_is_taken_off(wrapped: TLObject):
    call = read_call(bytes(wrapped))
    assert isinstance(call, Call)
    assert call.method == "help.getNearestDc"
    assert isinstance(call.request, GetNearestDcRequest)


@pytest.mark.parametrize("size", [0, 253, 254, 70_000])
def test_parts_are_read_by_their_layout_or_by_telethon(size: int):
    data = random_bytes(size)
    big, small = SaveBigFilePartRequest(-3, 1, 7, data), SaveFilePartRequest(-3, 1, data)
    for request, total in ((big, 7), (small, None)):
        for wrapped in (request, InvokeWithoutUpdatesRequest(request), initialised(request)):
            assert read_call(bytes(wrapped)).request == Part(-3, 1, total, data)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 252, 253, 254, 255, 256, 70_001])
def test_files_are_written_as_telethon_writes_them(size: int):
    world, data = EchoWorld({}), random_bytes(size)
    world.parts[3, 0] = data
    call = read_call(bytes(get_file(3)))
    answer = b"".join(call.answer(world, Caller(1, HOME), 1))
    assert answer == bytes(File(FileUnknown(), 0, data))


def test_methods_are_called_as_telegram_writes_them():
    assert method_of(SendMediaRequest) == "messages.sendMedia"
    assert method_of(SaveBigFilePartRequest) == "upload.saveBigFilePart"
    assert method_of(PingRequest) == "ping"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (bytes(GetAppUpdateRequest("source")), "METHOD_INVALID"),
        (b"\x01\x02\x03\x04" * 5, "METHOD_INVALID"),
        (bytes(SaveBigFilePartRequest(3, 0, 1, bytes(900)))[:-500], "INPUT_FETCH_ERROR"),
        (bytes(get_file(3))[:-6], "INPUT_FETCH_ERROR"),
        (bytes(GzipPacked(bytes(600)))[:-8], "INPUT_FETCH_ERROR"),
    ],
)
@on_a_loop
async def test_what_cannot_be_carried_out_is_refused(body: bytes, words: str):
    async with echoing() as server, speaking(server) as speaker:
        error = (await speaker.ask(body)).error
        assert (error.error_code, error.error_message) == (400, words)
        assert (await speaker.ask(GetNearestDcRequest())).error is None


@on_a_loop
async def test_answers_to_forget_are_not_known():
    async with echoing() as server, speaking(server) as speaker:
        assert isinstance(read(await speaker.ask(RpcDropAnswerRequest(4))), RpcAnswerUnknown)


@on_a_loop
async def test_long_answers_are_packed():
    async with echoing() as server, speaking(server) as speaker:
        server.world.data_centres = dict.fromkeys(range(1, 60), 80)
        speaker.send(speaker.message(GetConfigRequest()))
        packet = await speaker.hear_packet()
        assert len(packet) < 1024
        config = speaker.state.decrypt_message_data(packet).obj.messages[-1].obj.body
        assert len(config) > 1024
        assert len(BinaryReader(config).tgread_object().dc_options) == 59
        assert len(gzip.compress(config)) < len(config)
