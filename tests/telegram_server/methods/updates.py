"""updates.*: where an account's updates are at. None is ever sent, so none was ever missed."""

from telethon.tl import types
from telethon.tl.functions import updates

from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import channel_of


@answers(updates.GetStateRequest)
def get_state(call: Call, _: updates.GetStateRequest) -> types.updates.State:
    return types.updates.State(pts=1, qts=0, date=call.state.clock.date(), seq=1, unread_count=0)


@answers(updates.GetDifferenceRequest)
def get_difference(call: Call, _: updates.GetDifferenceRequest) -> types.updates.DifferenceEmpty:
    return types.updates.DifferenceEmpty(date=call.state.clock.date(), seq=1)


@answers(updates.GetChannelDifferenceRequest)
def get_channel_difference(
    call: Call, request: updates.GetChannelDifferenceRequest
) -> types.updates.ChannelDifferenceEmpty:
    channel = channel_of(call, request.channel)
    return types.updates.ChannelDifferenceEmpty(pts=channel.pts, final=True)
