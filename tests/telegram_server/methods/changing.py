"""Changing messages that are there: editing, pinning, deleting."""

from collections.abc import Iterable

from telethon.tl import types
from telethon.tl.functions import channels, messages

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.media import document_of, require_caption
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import channel_of, require_right
from tests.telegram_server.methods.posting import post_service
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.channels import Channel
from tests.telegram_server.state.history import Message
from tests.telegram_server.state.state import State

MOST_DELETES = 100


@answers(messages.EditMessageRequest, writes=True)
def edit_message(call: Call, request: messages.EditMessageRequest) -> types.Updates:
    channel = channel_of(call, request.peer)
    message = _editable(call, channel, request.id)
    if request.message is not None:
        require_caption(call, request.message)
    is_same_text = request.message is None or request.message == message.text
    if is_same_text and request.media is None:
        raise RpcError(400, "MESSAGE_NOT_MODIFIED")
    if request.media is not None:
        _replace_document(call, channel, message, request.media)
    if request.message is not None:
        message.text, message.entities = request.message, request.entities
        call.state.words.add(request.message)
    message.edited = call.state.clock.now()
    shown = telling.message(call, channel, message)
    told = types.UpdateEditChannelMessage(shown, channel.step(), 1)
    return telling.updates(call, [told], channel)


@answers(messages.UpdatePinnedMessageRequest, writes=True)
def update_pinned_message(
    call: Call, request: messages.UpdatePinnedMessageRequest
) -> types.Updates:
    channel = channel_of(call, request.peer)
    require_right(call, channel, "edit_messages" if channel.is_broadcast else "pin_messages")
    if channel.history.get(request.id) is None:
        raise RpcError(400, "MESSAGE_ID_INVALID")
    if bool(request.unpin) == (request.id not in channel.pinned):
        raise RpcError(400, "CHAT_NOT_MODIFIED")
    if request.unpin:
        channel.pinned.remove(request.id)
        return telling.updates(call, [_pinned(channel, request.id, is_pinned=False)], channel)
    channel.pinned.append(request.id)
    told = _pinned(channel, request.id, is_pinned=True)
    service = post_service(call, channel, types.MessageActionPinMessage(), request.id)
    return telling.updates(call, [told, service], channel)


@answers(channels.DeleteMessagesRequest, writes=True)
def delete_messages(
    call: Call, request: channels.DeleteMessagesRequest
) -> types.messages.AffectedMessages:
    channel = channel_of(call, request.channel)
    if len(request.id) > MOST_DELETES:
        raise RpcError(400, "LIMIT_INVALID")  # U: which error it is
    there = [message for one in request.id if (message := channel.history.get(one))]
    is_own = all(message.by == call.account.user_id for message in there)
    if not channel.may(call.account, "delete_messages") and not is_own:
        raise RpcError(403, "MESSAGE_DELETE_FORBIDDEN")
    count = remove(call.state, channel, request.id)
    return types.messages.AffectedMessages(channel.step(count), count)


def remove(state: State, channel: Channel, ids: Iterable[int]) -> int:
    """Delete messages as everybody sees it; how many there were."""
    count = 0
    for message_id in ids:
        message = channel.history.remove(message_id)
        if message is None:
            continue
        count += 1
        if message_id in channel.pinned:
            channel.pinned.remove(message_id)
        if message.document:
            state.documents.hide(message.document, channel.channel_id, message_id)
    return count


def _editable(call: Call, channel: Channel, message_id: int) -> Message:
    message = channel.history.get(message_id)
    if message is None or message.action:
        raise RpcError(400, "MESSAGE_ID_INVALID")
    may_edit = channel.may(call.account, "edit_messages")
    is_own = message.by == call.account.user_id and channel.may(call.account, "post_messages")
    if not may_edit and not is_own:
        raise RpcError(403, "MESSAGE_AUTHOR_REQUIRED")
    return message


def _replace_document(
    call: Call, channel: Channel, message: Message, media: types.TypeInputMedia
) -> None:
    document = document_of(call, media)
    old, here = message.document, (channel.channel_id, message.message_id)
    if old and old is not document:
        call.state.documents.hide(old, *here)
    message.document = document
    call.state.documents.show(document, *here)


def _pinned(
    channel: Channel, message_id: int, *, is_pinned: bool
) -> types.UpdatePinnedChannelMessages:
    return types.UpdatePinnedChannelMessages(
        channel.channel_id, [message_id], channel.step(), 1, pinned=is_pinned or None
    )
