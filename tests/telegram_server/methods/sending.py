"""messages.* that make messages: each random id makes one, however often it is sent."""

from telethon.tl import types
from telethon.tl.functions import messages

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.media import document_of, require_caption
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import channel_of, require_voice
from tests.telegram_server.methods.posting import new_message, post
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.channels import Channel
from tests.telegram_server.state.history import Message

MOST_FORWARDS = 100


@answers(messages.SendMediaRequest, writes=True)
def send_media(call: Call, request: messages.SendMediaRequest) -> types.Updates:
    channel = channel_of(call, request.peer)
    require_voice(call, channel)
    if repeated := _repeated(call, channel, request.random_id):
        return telling.updates(call, repeated, channel)
    require_caption(call, request.message)
    message = new_message(call, channel)
    message.document = document_of(call, request.media)
    call.state.limits.send(call.account, channel.channel_id, 1)
    message.text, message.entities = request.message, request.entities
    message.silent = bool(request.silent)
    return telling.updates(call, _send(call, channel, message, request.random_id), channel)


@answers(messages.SendMessageRequest, writes=True)
def send_message(call: Call, request: messages.SendMessageRequest) -> types.Updates:
    channel = channel_of(call, request.peer)
    require_voice(call, channel)
    if repeated := _repeated(call, channel, request.random_id):
        return telling.updates(call, repeated, channel)
    if not request.message:
        raise RpcError(400, "MESSAGE_EMPTY")
    if len(request.message) > 4096:
        raise RpcError(400, "MESSAGE_TOO_LONG")
    call.state.limits.send(call.account, channel.channel_id, 1)
    message = new_message(call, channel)
    message.text, message.entities = request.message, request.entities
    return telling.updates(call, _send(call, channel, message, request.random_id), channel)


@answers(messages.UploadMediaRequest, writes=True)
def upload_media(call: Call, request: messages.UploadMediaRequest) -> types.TypeMessageMedia:
    channel = channel_of(call, request.peer)
    require_voice(call, channel)
    return telling.media(call, document_of(call, request.media), 0)


@answers(messages.ForwardMessagesRequest, writes=True)
def forward_messages(call: Call, request: messages.ForwardMessagesRequest) -> types.Updates:
    source, target = channel_of(call, request.from_peer), channel_of(call, request.to_peer)
    require_voice(call, target)
    pairs = _pairs(source, request)
    if source.noforwards:
        raise RpcError(400, "CHAT_FORWARDS_RESTRICTED")
    told: list[types.TypeUpdate] = []
    new = []
    for random_id, original in pairs:
        if repeated := _repeated(call, target, random_id):
            told += repeated
        else:
            new.append((random_id, original))
    call.state.limits.send(call.account, target.channel_id, len(new))
    for random_id, original in new:
        copy = _copy(call, source, target, original, request)
        told += _send(call, target, copy, random_id)
    return telling.updates(call, told, source, target)


def _repeated(call: Call, channel: Channel, random_id: int) -> list[types.TypeUpdate]:
    """What a send is answered with that was made before; empty if it was not. R: pts_count 0."""
    user_id, switches = call.account.user_id, call.state.switches
    first = call.state.sends.first(user_id, channel.channel_id, random_id)
    if first is None:
        return []
    told = [types.UpdateMessageID(first, random_id)]
    if message := channel.history.get(first):
        shown = telling.message(call, channel, message)
        return [*told, types.UpdateNewChannelMessage(shown, channel.pts, 0)]
    if switches.repeat_after_delete == "error":
        raise RpcError(400, "MESSAGE_ID_INVALID")
    return [] if switches.repeat_after_delete == "new" else told


def _send(call: Call, channel: Channel, message: Message, random_id: int) -> list[types.TypeUpdate]:
    update = post(call, channel, message)
    user_id, sent = call.account.user_id, message.message_id
    call.state.sends.note(user_id, channel.channel_id, random_id, sent)
    return [types.UpdateMessageID(sent, random_id), update]


def _pairs(source: Channel, request: messages.ForwardMessagesRequest) -> list[tuple[int, Message]]:
    """Each random id with its message; those that are not there are passed over in silence."""
    if not request.id:
        raise RpcError(400, "MESSAGE_IDS_EMPTY")
    if len(request.id) > MOST_FORWARDS:
        raise RpcError(400, "LIMIT_INVALID")  # U: which error it is
    if len(request.id) != len(request.random_id):
        raise RpcError(400, "RANDOM_ID_INVALID")
    found = [
        (random_id, message)
        for random_id, one in zip(request.random_id, request.id, strict=True)
        if (message := source.history.get(one)) and not message.action
    ]
    if not found:
        raise RpcError(400, "MESSAGE_ID_INVALID")
    return found


def _copy(
    call: Call,
    source: Channel,
    target: Channel,
    original: Message,
    request: messages.ForwardMessagesRequest,
) -> Message:
    copy = new_message(call, target)
    copy.document, copy.silent = original.document, bool(request.silent)
    if not (original.document and request.drop_media_captions):
        copy.text, copy.entities = original.text, original.entities
    if not request.drop_author:
        copy.forward = types.MessageFwdHeader(
            date=telling.date(original.date),
            from_id=types.PeerChannel(source.channel_id),
            channel_post=original.message_id,
        )
    return copy
