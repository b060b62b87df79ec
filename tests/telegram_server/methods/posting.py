"""How a message comes to be in a channel: numbered, kept, counted, told."""

from telethon.tl import types

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.method import Call
from tests.telegram_server.state.channels import Channel
from tests.telegram_server.state.history import Message


def new_message(call: Call, channel: Channel) -> Message:
    """The channel's next message, which is not in it yet."""
    now = call.state.clock.now()
    return Message(channel.history.next_id, call.account.user_id, now)


def post(call: Call, channel: Channel, message: Message) -> types.UpdateNewChannelMessage:
    """Put it there, and say so."""
    channel.history.add(message)
    call.state.words.add(message.text)
    if message.document:
        call.state.documents.show(message.document, channel.channel_id, message.message_id)
    told = telling.message(call, channel, message)
    return types.UpdateNewChannelMessage(told, pts=channel.step(), pts_count=1)


def post_service(
    call: Call, channel: Channel, action: types.TypeMessageAction, pinned: int | None = None
) -> types.UpdateNewChannelMessage:
    """Let a service message take the channel's next number."""
    message = new_message(call, channel)
    message.action, message.pinned = action, pinned
    return post(call, channel, message)
