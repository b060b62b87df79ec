"""The shortened ways say, byte for byte, what Telethon's long ones say."""

import asyncio
import os
import struct
import time
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telethon.crypto import AES, AuthKey
from telethon.errors import SecurityError
from telethon.network.requeststate import RequestState
from telethon.tl.core import GzipPacked
from telethon.tl.functions import InvokeWithoutUpdatesRequest
from telethon.tl.functions.upload import GetFileRequest, SaveBigFilePartRequest
from telethon.tl.types import InputDocumentFileLocation
from telethon.tl.types.storage import FilePartial
from telethon.tl.types.upload import File

from tgdav.stores.telegram.wire import SaveBigPart, Wire

KEY = AuthKey(os.urandom(256))
SIZES = [0, 1, 253, 254, 255, 256, 16 << 10, (16 << 10) + 3, 512 << 10]


@pytest.mark.parametrize("size", SIZES)
def test_a_part_is_written_as_telethon_writes_it(size: int):
    data = os.urandom(size)
    theirs = InvokeWithoutUpdatesRequest(SaveBigFilePartRequest(-5, 7, 64, data))
    assert bytes(SaveBigPart(-5, 7, 64, memoryview(data))) == bytes(theirs)


def opened(sealed: bytes) -> bytes:
    """What the server reads: MTProto 2.0, from the client."""
    key_id, message_key = struct.unpack_from("<Q16s", sealed)
    assert key_id == KEY.key_id
    a = sha256(message_key + KEY.key[0:36]).digest()
    b = sha256(KEY.key[40:76] + message_key).digest()
    plain = AES.decrypt_ige(sealed[24:], a[:8] + b[8:24] + a[24:32], b[:8] + a[8:24] + b[24:32])
    assert sha256(KEY.key[88:120] + plain).digest()[8:24] == message_key
    return plain


def packets(*requests: Any) -> list[bytes]:
    """What goes out for these requests, opened."""

    async def work() -> list[bytes]:
        wire = Wire(KEY)
        wire._send_queue.extend([RequestState(request) for request in requests])
        found = []
        while wire._send_queue._deque:
            _, pieces = await wire._send_queue.get()
            found.append(opened(wire._state.encrypt_message_data(pieces)))
        return found

    return asyncio.run(work())


def test_a_large_message_goes_out_alone_and_as_it_is():
    part = SaveBigPart(1, 0, 2, bytes(512 << 10))  # zeros: gzip would have made it small
    small = GetFileRequest(InputDocumentFileLocation(1, 2, b"", ""), 0, 1024, precise=True)
    first, second = packets(part, small)
    size = struct.unpack_from("<i", first, 28)[0]
    assert first[32 : 32 + size] == bytes(part)
    assert 12 <= len(first) - 32 - size <= 1024
    assert bytes(small) in second


def test_nothing_is_ever_gzipped():
    small = GetFileRequest(InputDocumentFileLocation(1, 2, b"", ""), 0, 1024, precise=True)
    part = SaveBigPart(1, 0, 2, bytes(512 << 10))
    (packet,) = packets(small, part, small)
    assert struct.pack("<I", GzipPacked.CONSTRUCTOR_ID) not in packet
    assert bytes(part) in packet


def test_small_ones_share_a_packet():
    small = GetFileRequest(InputDocumentFileLocation(1, 2, b"", ""), 0, 1024, precise=True)
    (packet,) = packets(small, small, small)
    assert packet.count(bytes(small)) == 3


def sealed_by_server(wire: Wire, body: bytes, *, session: int | None = None) -> bytes:
    session = wire._state.id if session is None else session
    message_id = int(time.time()) << 32 | 1
    plain = struct.pack("<qqqii", 0, session, message_id, 1, len(body)) + body
    plain += os.urandom(-(len(plain) + 12) % 16 + 12)
    message_key = sha256(KEY.key[96:128] + plain).digest()[8:24]
    a, b = wire._state._calc_key(KEY.key, message_key, False)
    return struct.pack("<Q", KEY.key_id) + message_key + AES.encrypt_ige(plain, a, b)


def answered(answer: bytes, spoil: Any = None, **server: Any) -> Any:
    """What a request for a file is answered, if the server sends `answer`."""

    async def work() -> Any:
        wire = Wire(KEY)
        request = GetFileRequest(InputDocumentFileLocation(1, 2, b"", ""), 0, 1024)
        sent = RequestState(InvokeWithoutUpdatesRequest(request))
        sent.msg_id = 40
        wire._pending_state[40] = sent
        body = struct.pack("<Iq", 0xF35C6D01, 40) + answer
        packet = bytearray(sealed_by_server(wire, body, **server))
        if spoil is not None:
            packet[spoil] ^= 1
        await wire._process_message(wire._state.decrypt_message_data(bytes(packet)))
        assert not wire._pending_state
        return sent.future.result()

    return asyncio.run(work())


@pytest.mark.parametrize("size", SIZES)
def test_a_files_bytes_are_taken_out(size: int):
    data = os.urandom(size)
    assert answered(bytes(File(FilePartial(), 0, data))).bytes == data


@given(st.integers(0, (20 << 10) + 40))
def test_a_changed_answer_is_none(at: int):
    with pytest.raises((SecurityError, BufferError)):
        answered(bytes(File(FilePartial(), 0, bytes(20 << 10))), spoil=at)


def test_an_answer_to_another_session_is_none():
    with pytest.raises(SecurityError):
        answered(bytes(File(FilePartial(), 0, bytes(20 << 10))), session=12345)


def test_a_large_answer_of_another_kind_is_telethons():
    data = os.urandom(20 << 10)
    packed = bytes(GzipPacked(bytes(File(FilePartial(), 0, data))))
    assert answered(packed).bytes == data
