"""What a message is to show: a new file from parts, or one that Telegram has already."""

from telethon.tl import types

from tests.telegram_server.methods.method import Call
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.documents import Document


def document_of(call: Call, media: types.TypeInputMedia) -> Document:
    """The file. Raises `RpcError`: what is wrong with parts, hash or reference."""
    if isinstance(media, types.InputMediaUploadedDocument):
        return _uploaded(call, media)
    if isinstance(media, types.InputMediaDocument):
        return _known(call, media.id)
    raise RpcError(400, "MEDIA_INVALID")


def require_caption(call: Call, caption: str) -> None:
    """Raises `RpcError` MEDIA_CAPTION_TOO_LONG."""
    switches = call.state.switches
    most = switches.caption_premium if call.account.premium else switches.caption_default
    if len(caption) > most:
        raise RpcError(400, "MEDIA_CAPTION_TOO_LONG")


def _uploaded(call: Call, media: types.InputMediaUploadedDocument) -> Document:
    file = media.file
    if not isinstance(file, types.InputFile | types.InputFileBig):
        raise RpcError(400, "MEDIA_INVALID")
    checksum = file.md5_checksum if isinstance(file, types.InputFile) else None
    home = call.caller.data_centre
    parts = call.state.uploads.take(call.login, home, file.id, file.parts, checksum)
    name = next(
        (
            attribute.file_name
            for attribute in media.attributes
            if isinstance(attribute, types.DocumentAttributeFilename)
        ),
        file.name,
    )
    call.state.words.update((name, file.name, media.mime_type))
    return call.state.documents.add(home, name, media.mime_type, parts)


def _known(call: Call, wanted: types.InputDocument) -> Document:
    document = call.state.documents.get(wanted.id)
    expected = call.login.access_hash("document", wanted.id)
    if document is None or wanted.access_hash != expected:
        raise RpcError(400, "MEDIA_EMPTY")
    call.state.references.check(call.login, document, wanted.file_reference)
    if document.messages and all(
        (channel := call.state.channels.get(channel_id)) and channel.noforwards
        for channel_id, _ in document.messages
    ):
        raise RpcError(400, "CHAT_FORWARDS_RESTRICTED")
    return document
