"""channels.* of those who are in one: who they are, and making them admins."""

from telethon.tl import types
from telethon.tl.functions import channels

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.channels import admit
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import account_of, channel_of, require_right
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.channels import EVERY_RIGHT, Channel, Member


@answers(channels.InviteToChannelRequest, users_only=True, writes=True)
def invite_to_channel(
    call: Call, request: channels.InviteToChannelRequest
) -> types.messages.InvitedUsers:
    channel = channel_of(call, request.channel)
    require_right(call, channel, "invite_users")
    missing = []
    for account in [account_of(call, one) for one in request.users]:
        if account.is_bot and channel.is_broadcast:
            raise RpcError(400, "USER_BOT")  # bots can only be admins in channels
        if account.is_private:
            missing.append(types.MissingInvitee(account.user_id))
            continue
        admit(call, channel, account, call.account.user_id)
    updates = telling.updates(call, [types.UpdateChannel(channel.channel_id)], channel)
    return types.messages.InvitedUsers(updates, missing)


@answers(channels.EditAdminRequest, users_only=True, writes=True)
def edit_admin(call: Call, request: channels.EditAdminRequest) -> types.Updates:
    channel, account = channel_of(call, request.channel), account_of(call, request.user_id)
    require_right(call, channel, "add_admins")
    if call.account.is_fresh:
        raise RpcError(406, "FRESH_CHANGE_ADMINS_FORBIDDEN")
    if account.user_id == channel.creator:
        raise RpcError(400, "USER_CREATOR")
    rights = _granted(request.admin_rights)
    if rights:
        _require_own(call, channel, rights)
        _bring_in(call, channel, account)
    if member := channel.members.get(account.user_id):
        member.rights, member.promoter, member.rank = rights, call.account.user_id, request.rank
        if not rights and account.is_bot:
            del channel.members[account.user_id]
    told = [types.UpdateChannel(channel.channel_id)]
    return telling.updates(call, told, channel, about=[account.user_id])


@answers(channels.EditBannedRequest, writes=True)
def edit_banned(call: Call, request: channels.EditBannedRequest) -> types.Updates:
    channel, account = channel_of(call, request.channel), account_of(call, request.participant)
    require_right(call, channel, "ban_users")
    if account.user_id == channel.creator:
        raise RpcError(400, "USER_CREATOR")
    if request.banned_rights.view_messages:
        channel.members.pop(account.user_id, None)
        channel.kicked.add(account.user_id)
    else:
        channel.kicked.discard(account.user_id)
    return telling.updates(call, [types.UpdateChannel(channel.channel_id)], channel)


@answers(channels.GetParticipantsRequest)
def get_participants(
    call: Call, request: channels.GetParticipantsRequest
) -> types.channels.ChannelParticipants:
    channel = channel_of(call, request.channel)
    found = _filtered(channel, request.filter)
    if channel.is_broadcast and not channel.members[call.account.user_id].rights:
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    page = found[request.offset : request.offset + min(request.limit, 200)]
    return types.channels.ChannelParticipants(
        count=len(found),
        participants=[_participant(call, channel, member) for member in page],
        chats=[telling.channel(call, channel)],
        users=[telling.user(call, member.account) for member in page],
    )


@answers(channels.GetParticipantRequest)
def get_participant(
    call: Call, request: channels.GetParticipantRequest
) -> types.channels.ChannelParticipant:
    channel, account = channel_of(call, request.channel), account_of(call, request.participant)
    member = channel.members.get(account.user_id)
    if account is not call.account and not channel.members[call.account.user_id].rights:
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")
    if member is None:
        raise RpcError(400, "USER_NOT_PARTICIPANT")
    return types.channels.ChannelParticipant(
        _participant(call, channel, member),
        chats=[telling.channel(call, channel)],
        users=[telling.user(call, account)],
    )


def _granted(rights: types.ChatAdminRights) -> types.ChatAdminRights | None:
    """Only the rights that are given; None if none is."""
    given = {name: True for name, value in rights.to_dict().items() if value is True}
    return types.ChatAdminRights(**given) if given else None


def _require_own(call: Call, channel: Channel, rights: types.ChatAdminRights) -> None:
    """Nobody gives what they do not have."""
    for right in EVERY_RIGHT:
        if getattr(rights, right) and not channel.may(call.account, right):
            raise RpcError(403, "RIGHT_FORBIDDEN")


def _bring_in(call: Call, channel: Channel, account: Account) -> None:
    if account.user_id in channel.members:
        return
    if not channel.may(call.account, "invite_users"):
        raise RpcError(403, "CHAT_ADMIN_INVITE_REQUIRED")
    if account.is_private:
        raise RpcError(403, "USER_PRIVACY_RESTRICTED")
    admit(call, channel, account, call.account.user_id)


def _filtered(channel: Channel, wanted: types.TypeChannelParticipantsFilter) -> list[Member]:
    members = list(channel.members.values())
    if isinstance(wanted, types.ChannelParticipantsAdmins):
        return channel.admins()
    if isinstance(wanted, types.ChannelParticipantsBots):
        return [member for member in members if member.account.is_bot]
    if isinstance(wanted, types.ChannelParticipantsSearch):
        words = wanted.q.casefold()
        return [member for member in members if words in member.account.name.casefold()]
    return members if isinstance(wanted, types.ChannelParticipantsRecent) else []


def _participant(call: Call, channel: Channel, member: Member) -> types.TypeChannelParticipant:
    user_id, date = member.account.user_id, telling.date(member.joined)
    if user_id == channel.creator:
        return types.ChannelParticipantCreator(user_id, member.rights, member.rank)
    if member.rights:
        return types.ChannelParticipantAdmin(
            user_id,
            promoted_by=member.promoter,
            date=date,
            admin_rights=member.rights,
            can_edit=(member.promoter == call.account.user_id) or None,
            is_self=(member.account is call.account) or None,
            inviter_id=member.inviter if member.account is call.account else None,
            rank=member.rank,
        )
    if member.account is call.account:
        return types.ChannelParticipantSelf(user_id, member.inviter, date)
    return types.ChannelParticipant(user_id, date)
