"""upload.*: parts in, ranges out. The hot path: one look-up and one check each."""

from telethon.tl import types
from telethon.tl.functions import upload

from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.documents import Document, check_range


@answers(upload.SaveFilePartRequest)
def save_file_part(call: Call, request: upload.SaveFilePartRequest) -> bool:
    return save_part(call, request.file_id, request.file_part, None, request.bytes)


@answers(upload.SaveBigFilePartRequest)
def save_big_file_part(call: Call, request: upload.SaveBigFilePartRequest) -> bool:
    total = request.file_total_parts
    return save_part(call, request.file_id, request.file_part, total, request.bytes)


def save_part(call: Call, file_id: int, part: int, total: int | None, data: bytes) -> bool:
    """Keep a part; False if it was told not to (`false_saves`)."""
    state = call.state
    if state.false_saves > 0:
        state.false_saves -= 1
        return False
    state.limits.transfer(call.account, len(data))
    state.uploads.save(call.login, call.caller.data_centre, file_id, part, total, data)
    return True


@answers(upload.GetFileRequest)
def get_file(call: Call, request: upload.GetFileRequest) -> types.upload.File:
    data = bytes(file_range(call, request))
    return types.upload.File(types.storage.FileUnknown(), mtime=0, bytes=data)


def file_range(call: Call, request: upload.GetFileRequest) -> bytes | memoryview:
    """The bytes that are asked for; fewer at the end of the file, none beyond it."""
    check_range(request.offset, request.limit, precise=bool(request.precise))
    document = _located(call, request.location)
    if document.data_centre != call.caller.data_centre:
        raise RpcError(303, f"FILE_MIGRATE_{document.data_centre}")
    data = document.read(request.offset, request.limit)
    call.state.limits.transfer(call.account, len(data))
    return data


def _located(call: Call, location: types.TypeInputFileLocation) -> Document:
    if not isinstance(location, types.InputDocumentFileLocation) or location.thumb_size:
        raise RpcError(400, "LOCATION_INVALID")
    document = call.state.documents.get(location.id)
    expected = call.login.access_hash("document", location.id)
    if document is None or location.access_hash != expected:
        raise RpcError(400, "LOCATION_INVALID")
    call.state.references.check(call.login, document, location.file_reference)
    return document
