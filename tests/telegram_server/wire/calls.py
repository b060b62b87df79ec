"""A call: read from a message, carried out by the world, its answer written.

Parts of files are read and written by their layout, without a copy more than needed;
Telethon's classes would cost as much as the encryption. All else goes through them.
"""

import gzip
import io
import logging
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import TLObject, TLRequest
from telethon.tl.functions import (
    InitConnectionRequest,
    InvokeAfterMsgsRequest,
    InvokeWithLayerRequest,
    InvokeWithoutUpdatesRequest,
    InvokeWithTakeoutRequest,
    RpcDropAnswerRequest,
)
from telethon.tl.functions.upload import (
    GetFileRequest,
    SaveBigFilePartRequest,
    SaveFilePartRequest,
)
from telethon.tl.types import RpcAnswerUnknown
from telethon.tl.types import RpcError as RpcErrorObject

from tests.telegram_server.caller import Caller
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.wire import service

if TYPE_CHECKING:
    from tests.telegram_server.world import World

log = logging.getLogger(__name__)

Piece = bytes | memoryview

GZIP_PACKED = 0x3072CFA1
SAVE_FILE_PART = SaveFilePartRequest.CONSTRUCTOR_ID
SAVE_BIG_FILE_PART = SaveBigFilePartRequest.CONSTRUCTOR_ID
# What stands before the call itself, and how many bytes of it.
WRAPPERS = {
    InvokeWithoutUpdatesRequest.CONSTRUCTOR_ID: 4,
    InvokeWithLayerRequest.CONSTRUCTOR_ID: 8,
    0xCB9F372D: 12,  # invokeAfterMsg; calls are carried out in the order they came
}
UNPACKED_MAX = 4 << 20
GZIP_FROM = 1024
"""Longer answers than this are packed, if that makes them shorter."""
_U32 = struct.Struct("<I")
_SMALL = struct.Struct("<Iqi")
_BIG = struct.Struct("<Iqii")
# upload.file, storage.fileUnknown, mtime; then the bytes.
_FILE = struct.pack("<IIi", 0x96A18D5, 0xAA963B05, 0)
_TRUE, _FALSE, _VECTOR = 0x997275B5, 0xBC799737, 0x1CB5C415


@dataclass(slots=True)
class Part:
    """A part of a file that is being uploaded; `total` is None below 10 MiB."""

    file_id: int
    part: int
    total: int | None
    data: Piece


@dataclass(slots=True)
class Call:
    """`method` as Telegram writes it: "messages.sendMedia"."""

    method: str
    request: TLRequest | Part

    def answer(self, world: "World", caller: Caller, connection: int) -> list[Piece]:
        """Carry it out: the result or the error, as the body of an rpc_result."""
        try:
            return self._carry_out(world, caller, connection)
        except RpcError as error:
            return refusal(error)
        except Exception:
            log.exception("%s broke the world", self.method)
            return refusal(RpcError(500, "INTERNAL"))

    def _carry_out(self, world: "World", caller: Caller, connection: int) -> list[Piece]:
        match self.request:
            case Part(file_id, part, total, data):
                saved = world.save_part(caller, connection, file_id, part, total, bytes(data))
                return [_written(saved)]
            case GetFileRequest():
                return _file(world.file_range(caller, connection, self.request))
            case RpcDropAnswerRequest():
                return [bytes(RpcAnswerUnknown())]
        return [_packed(_written(world.call(caller, connection, self.request)))]


def refusal(error: RpcError) -> list[Piece]:
    """The body of an rpc_result that is an error."""
    return [bytes(RpcErrorObject(error.code, error.message))]


def read(body: Piece) -> Call | TLObject:
    """The call in a message, or the service message that it is. Raises `RpcError`."""
    try:
        body = _unwrapped(memoryview(body))
        code = _U32.unpack_from(body)[0]
        if code == SAVE_BIG_FILE_PART:
            _, file_id, part, total = _BIG.unpack_from(body)
            data = _tl_bytes(body, _BIG.size)
            return Call("upload.saveBigFilePart", Part(file_id, part, total, data))
        if code == SAVE_FILE_PART:
            _, file_id, part = _SMALL.unpack_from(body)
            return Call("upload.saveFilePart", Part(file_id, part, None, _tl_bytes(body, 16)))
        return _by_telethon(body)
    except TypeNotFoundError as error:
        raise RpcError(400, "METHOD_INVALID") from error
    except (struct.error, BufferError, ValueError, zlib.error, OSError, EOFError) as error:
        raise RpcError(400, "INPUT_FETCH_ERROR") from error


def _unwrapped(body: memoryview) -> memoryview:
    while True:
        code = _U32.unpack_from(body)[0]
        if code in WRAPPERS:
            body = body[WRAPPERS[code] :]
        elif code == GZIP_PACKED:
            with gzip.open(io.BytesIO(_tl_bytes(body, 4))) as packed:
                body = memoryview(packed.read(UNPACKED_MAX))
        else:
            return body


def _by_telethon(body: memoryview) -> Call | TLObject:
    found = BinaryReader(bytes(body)).tgread_object()
    while isinstance(
        found,
        InitConnectionRequest
        | InvokeAfterMsgsRequest
        | InvokeWithLayerRequest
        | InvokeWithoutUpdatesRequest
        | InvokeWithTakeoutRequest,
    ):
        found = found.query
    if not isinstance(found, TLRequest) or isinstance(found, service.REQUESTS):
        return found
    return Call(method_of(type(found)), _as_part(found))


def _as_part(request: TLRequest) -> TLRequest | Part:
    match request:
        case SaveBigFilePartRequest(file_id=id_, file_part=part, file_total_parts=total):
            return Part(id_, part, total, request.bytes)
        case SaveFilePartRequest(file_id=id_, file_part=part):
            return Part(id_, part, None, request.bytes)
    return request


@cache
def method_of(request: type[TLRequest]) -> str:
    """A method's name as Telegram writes it."""
    room = request.__module__.removeprefix("telethon.tl.functions").strip(".")
    name = request.__name__.removesuffix("Request")
    name = name[0].lower() + name[1:]
    return f"{room}.{name}" if room else name


def _tl_bytes(body: memoryview, at: int) -> memoryview:
    """The `bytes` that begin there, uncopied."""
    size, at = body[at], at + 1
    if size == 254:
        size, at = int.from_bytes(body[at : at + 3], "little"), at + 3
    if at + size > len(body):
        raise ValueError("the bytes end before their length")
    return body[at : at + size]


def _file(data: Piece) -> list[Piece]:
    size = len(data)
    head = bytes((size,)) if size < 254 else b"\xfe" + size.to_bytes(3, "little")
    return [_FILE + head, data, bytes(-(len(head) + size) % 4)]


def _written(result: object) -> bytes:
    if isinstance(result, bool):
        return _U32.pack(_TRUE if result else _FALSE)
    if isinstance(result, Sequence):
        return struct.pack("<Ii", _VECTOR, len(result)) + b"".join(map(bytes, result))
    return bytes(result)


def _packed(body: bytes) -> bytes:
    if len(body) < GZIP_FROM:
        return body
    packed = _U32.pack(GZIP_PACKED) + TLObject.serialize_bytes(gzip.compress(body, 1))
    return packed if len(packed) < len(body) else body
