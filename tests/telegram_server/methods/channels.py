"""channels.* of the channel itself: made, shown, left, deleted, protected."""

from telethon.tl import types
from telethon.tl.functions import channels, messages

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import channel_of, require_right
from tests.telegram_server.methods.posting import post_service
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.channels import Channel


@answers(channels.CreateChannelRequest, users_only=True, writes=True)
def create_channel(call: Call, request: channels.CreateChannelRequest) -> types.Updates:
    if call.account.is_spammer:
        raise RpcError(403, "USER_RESTRICTED")
    if not request.title.strip():
        raise RpcError(400, "CHAT_TITLE_EMPTY")
    require_room(call, call.account)
    state, broadcast = call.state, not request.megagroup
    state.words.update((request.title, request.about))
    now = state.clock.now()
    channel = state.channels.add(call.account, request.title, request.about, now, broadcast)
    told = post_service(call, channel, types.MessageActionChannelCreate(request.title))
    return telling.updates(call, [types.UpdateChannel(channel.channel_id), told], channel)


@answers(channels.GetChannelsRequest)
def get_channels(call: Call, request: channels.GetChannelsRequest) -> types.messages.Chats:
    found = [channel_of(call, one) for one in request.id]
    return types.messages.Chats([telling.channel(call, one) for one in found])


@answers(channels.GetFullChannelRequest)
def get_full_channel(
    call: Call, request: channels.GetFullChannelRequest
) -> types.messages.ChatFull:
    channel = channel_of(call, request.channel)
    newest = channel.history.newest()
    full = types.ChannelFull(
        id=channel.channel_id,
        about=channel.about,
        read_inbox_max_id=newest.message_id if newest else 0,
        read_outbox_max_id=0,
        unread_count=0,
        chat_photo=types.PhotoEmpty(0),
        notify_settings=types.PeerNotifySettings(),
        bot_info=[],
        pts=channel.pts,
        can_view_participants=bool(channel.members[call.account.user_id].rights) or None,
        participants_count=len(channel.members),
        admins_count=len(channel.admins()),
        kicked_count=len(channel.kicked),
        banned_count=0,
        pinned_msg_id=channel.pinned[-1] if channel.pinned else None,
    )
    return types.messages.ChatFull(full, chats=[telling.channel(call, channel)], users=[])


@answers(channels.LeaveChannelRequest, writes=True)
def leave_channel(call: Call, request: channels.LeaveChannelRequest) -> types.Updates:
    channel = channel_of(call, request.channel)
    del channel.members[call.account.user_id]
    return telling.updates(call, [types.UpdateChannel(channel.channel_id)], channel)


@answers(channels.DeleteChannelRequest, users_only=True, writes=True)
def delete_channel(call: Call, request: channels.DeleteChannelRequest) -> types.Updates:
    channel = channel_of(call, request.channel)
    if channel.creator != call.account.user_id:
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    channel.is_deleted = True
    return telling.updates(call, [types.UpdateChannel(channel.channel_id)], channel)


@answers(channels.EditTitleRequest, writes=True)
def edit_title(call: Call, request: channels.EditTitleRequest) -> types.Updates:
    channel = channel_of(call, request.channel)
    require_right(call, channel, "change_info")
    if channel.title == request.title:
        raise RpcError(400, "CHAT_NOT_MODIFIED")
    call.state.words.add(request.title)
    channel.title = request.title
    told = post_service(call, channel, types.MessageActionChatEditTitle(request.title))
    return telling.updates(call, [told], channel)


@answers(messages.ToggleNoForwardsRequest, users_only=True, writes=True)
def toggle_noforwards(call: Call, request: messages.ToggleNoForwardsRequest) -> types.Updates:
    channel = channel_of(call, request.peer)
    require_right(call, channel, "change_info")
    channel.noforwards = request.enabled
    return telling.updates(call, [types.UpdateChannel(channel.channel_id)], channel)


def require_room(call: Call, account: Account) -> None:
    """Raises `RpcError` CHANNELS_TOO_MUCH if the account can be in no further channel."""
    switches = call.state.switches
    most = switches.channels_premium if account.premium else switches.channels_default
    if len(call.state.channels.of(account)) >= most:
        raise RpcError(400, "CHANNELS_TOO_MUCH")


def admit(call: Call, channel: Channel, account: Account, inviter: int) -> None:
    """Make the account a member. Raises `RpcError` CHANNELS_TOO_MUCH."""
    if account.user_id not in channel.members:
        require_room(call, account)
        channel.kicked.discard(account.user_id)
        channel.join(account, call.state.clock.now(), inviter)
