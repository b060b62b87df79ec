"""Reading messages: by id, by history, by search, and the list of all channels."""

from collections.abc import Callable
from datetime import datetime

from telethon.tl import types
from telethon.tl.functions import channels, messages

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import channel_of
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.channels import Channel
from tests.telegram_server.state.history import Message, Page

MOST_AT_ONCE = 100


@answers(channels.GetMessagesRequest)
def get_messages(
    call: Call, request: channels.GetMessagesRequest
) -> types.messages.ChannelMessages:
    channel = channel_of(call, request.channel)
    if not request.id:
        raise RpcError(400, "MESSAGE_IDS_EMPTY")
    if len(request.id) > MOST_AT_ONCE:
        raise RpcError(400, "LIMIT_INVALID")  # U: which error it is
    if not call.account.is_bot:
        call.state.limits.look_up(call.account)
    found = [_looked_up(call, channel, one) for one in request.id]
    return telling.messages(call, channel, found, len(found))


@answers(messages.GetHistoryRequest, users_only=True)
def get_history(call: Call, request: messages.GetHistoryRequest) -> types.messages.ChannelMessages:
    channel = channel_of(call, request.peer)
    call.state.limits.read_history(call.account)
    page = Page(
        limit=min(request.limit, MOST_AT_ONCE),
        offset_id=request.offset_id,
        add_offset=request.add_offset,
        offset_date=_seconds(request.offset_date),
        max_id=request.max_id,
        min_id=request.min_id,
    )
    found, count = channel.history.page(page, call.state.switches.messages_served)
    return telling.messages(call, channel, _shown(call, channel, found), count)


@answers(messages.SearchRequest, users_only=True)
def search(call: Call, request: messages.SearchRequest) -> types.messages.ChannelMessages:
    channel = channel_of(call, request.peer)
    call.state.limits.read_history(call.account)
    page = Page(
        limit=min(request.limit, MOST_AT_ONCE),
        offset_id=request.offset_id,
        add_offset=request.add_offset,
        max_id=request.max_id,
        min_id=request.min_id,
    )
    served = call.state.switches.messages_served
    since = _seconds(request.min_date)
    until = call.state.clock.now() - call.state.switches.search_lag_s
    if latest := _seconds(request.max_date):
        until = min(until, latest)
    wanted = _filter(channel, request)
    found, count = channel.history.page(
        page, served, lambda message: since <= message.date <= until and wanted(message)
    )
    return telling.messages(call, channel, _shown(call, channel, found), count)


@answers(messages.GetDialogsRequest, users_only=True)
def get_dialogs(
    call: Call, request: messages.GetDialogsRequest
) -> types.messages.Dialogs | types.messages.DialogsSlice:
    everything = sorted(call.state.channels.of(call.account), key=_last_date, reverse=True)
    rest = _after(everything, request.offset_peer)
    page = rest[: min(request.limit, MOST_AT_ONCE)]
    told = {
        "dialogs": [_dialog(channel) for channel in page],
        "messages": [
            telling.message(call, channel, newest)
            for channel in page
            if (newest := channel.history.newest())
        ],
        "chats": [telling.channel(call, channel) for channel in page],
        "users": [],
    }
    if len(page) == len(everything):
        return types.messages.Dialogs(**told)
    return types.messages.DialogsSlice(count=len(everything), **told)


def _looked_up(call: Call, channel: Channel, wanted: types.TypeInputMessage) -> types.TypeMessage:
    message_id = 0
    if isinstance(wanted, types.InputMessageID):
        message_id = wanted.id
    elif isinstance(wanted, types.InputMessagePinned) and channel.pinned:
        message_id = channel.pinned[-1]
    message = channel.history.get(message_id, call.state.switches.messages_served)
    if message is None:
        return types.MessageEmpty(message_id, types.PeerChannel(channel.channel_id))
    return telling.message(call, channel, message)


def _shown(call: Call, channel: Channel, found: list[Message]) -> list[types.TypeMessage]:
    return [telling.message(call, channel, message) for message in found]


def _filter(channel: Channel, request: messages.SearchRequest) -> Callable[[Message], bool]:
    """What a message must be to be found. Raises `RpcError` INPUT_FILTER_INVALID."""

    def is_right_kind(message: Message) -> bool:
        match request.filter:
            case types.InputMessagesFilterPinned():
                return message.message_id in channel.pinned
            case types.InputMessagesFilterDocument():
                return message.document is not None
        return True

    known = (
        types.InputMessagesFilterEmpty,
        types.InputMessagesFilterPinned,
        types.InputMessagesFilterDocument,
    )
    if not isinstance(request.filter, known):
        raise RpcError(400, "INPUT_FILTER_INVALID")
    return lambda message: is_right_kind(message) and message.contains(request.q)


def _seconds(date: datetime | None) -> float:
    """None and 1970 are both how a client says that it means no date."""
    return date.timestamp() if date else 0


def _last_date(channel: Channel) -> float:
    newest = channel.history.newest()
    return newest.date if newest else channel.date


def _after(everything: list[Channel], peer: types.TypeInputPeer) -> list[Channel]:
    if not isinstance(peer, types.InputPeerChannel):
        return everything
    ids = [channel.channel_id for channel in everything]
    return everything[ids.index(peer.channel_id) + 1 :] if peer.channel_id in ids else everything


def _dialog(channel: Channel) -> types.Dialog:
    newest = channel.history.newest()
    return types.Dialog(
        peer=types.PeerChannel(channel.channel_id),
        top_message=newest.message_id if newest else 0,
        read_inbox_max_id=0,
        read_outbox_max_id=0,
        unread_count=0,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
        pts=channel.pts,
    )
