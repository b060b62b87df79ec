"""Invite links: made by admins, looked at and followed by others."""

from telethon.tl import types
from telethon.tl.functions import channels, messages

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.channels import admit
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import channel_of, require_right
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.channels import Channel

LINK = "https://t.me/+"


@answers(messages.ExportChatInviteRequest, writes=True)
def export_chat_invite(
    call: Call, request: messages.ExportChatInviteRequest
) -> types.ChatInviteExported:
    channel = channel_of(call, request.peer)
    require_right(call, channel, "invite_users")
    return types.ChatInviteExported(
        link=LINK + channel.invite(call.account),
        admin_id=call.account.user_id,
        date=call.state.clock.date(),
    )


@answers(messages.CheckChatInviteRequest, users_only=True)
def check_chat_invite(call: Call, request: messages.CheckChatInviteRequest) -> types.TypeChatInvite:
    channel = _invited(call, request.hash)
    if call.account.user_id in channel.members:
        return types.ChatInviteAlready(telling.channel(call, channel))
    return types.ChatInvite(
        title=channel.title,
        photo=types.PhotoEmpty(0),
        participants_count=len(channel.members),
        color=0,
        channel=True,
        broadcast=channel.is_broadcast or None,
        megagroup=(not channel.is_broadcast) or None,
        about=channel.about or None,
    )


@answers(messages.ImportChatInviteRequest, users_only=True, writes=True)
def import_chat_invite(
    call: Call, request: messages.ImportChatInviteRequest
) -> types.messages.ChatInviteJoinResultOk:
    channel = _invited(call, request.hash)
    if call.account.user_id in channel.members:
        raise RpcError(400, "USER_ALREADY_PARTICIPANT")
    admit(call, channel, call.account, channel.invites[request.hash])
    return _joined(call, channel)


@answers(channels.JoinChannelRequest, users_only=True, writes=True)
def join_channel(
    call: Call, request: channels.JoinChannelRequest
) -> types.messages.ChatInviteJoinResultOk:
    """A private channel is joined by nobody who is not in it already."""
    return _joined(call, channel_of(call, request.channel))


def _invited(call: Call, link: str) -> Channel:
    if not link:
        raise RpcError(400, "INVITE_HASH_EMPTY")
    channel = call.state.channels.by_invite(link)
    if channel is None:
        raise RpcError(400, "INVITE_HASH_EXPIRED")
    if call.account.user_id in channel.kicked:
        raise RpcError(400, "INVITE_HASH_EXPIRED")
    return channel


def _joined(call: Call, channel: Channel) -> types.messages.ChatInviteJoinResultOk:
    told = [types.UpdateChannel(channel.channel_id)]
    return types.messages.ChatInviteJoinResultOk(telling.updates(call, told, channel))
