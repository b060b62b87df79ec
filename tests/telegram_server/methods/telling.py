"""What there is, as one login is shown it: with its own access hashes and file references."""

from collections.abc import Iterable
from datetime import UTC, datetime

from telethon.tl import types

from tests.telegram_server.methods.method import Call
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.channels import Channel
from tests.telegram_server.state.documents import Document
from tests.telegram_server.state.history import Message


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def user(call: Call, account: Account) -> types.User:
    is_self = account is call.account
    return types.User(
        id=account.user_id,
        is_self=is_self or None,
        bot=account.is_bot or None,
        bot_info_version=1 if account.is_bot else None,
        premium=account.premium or None,
        access_hash=call.login.access_hash("user", account.user_id),
        first_name=account.name,
        username=account.username,
        phone=account.phone if is_self and account.phone else None,
        deleted=account.is_banned or None,
    )


def users(call: Call, ids: Iterable[int]) -> list[types.User]:
    known = (call.state.accounts.get(one) for one in dict.fromkeys(ids))
    return [user(call, account) for account in known if account]


def channel(call: Call, channel: Channel) -> types.Channel:
    member = channel.members.get(call.account.user_id)
    return types.Channel(
        id=channel.channel_id,
        title=channel.title,
        photo=types.ChatPhotoEmpty(),
        date=date(member.joined if member else channel.date),
        creator=(channel.creator == call.account.user_id) or None,
        left=(member is None) or None,
        broadcast=channel.is_broadcast or None,
        megagroup=(not channel.is_broadcast) or None,
        noforwards=channel.noforwards or None,
        access_hash=call.login.access_hash("channel", channel.channel_id),
        admin_rights=member.rights if member else None,
    )


def document(call: Call, document: Document, message_id: int) -> types.Document:
    return types.Document(
        id=document.document_id,
        access_hash=call.login.access_hash("document", document.document_id),
        file_reference=call.state.references.make(call.login, document, message_id),
        date=date(document.date),
        mime_type=document.mime_type,
        size=document.size,
        dc_id=document.data_centre,
        attributes=[types.DocumentAttributeFilename(document.name)],
    )


def media(call: Call, shown: Document, message_id: int) -> types.MessageMediaDocument:
    return types.MessageMediaDocument(document=document(call, shown, message_id))


def message(call: Call, channel: Channel, shown: Message) -> types.TypeMessage:
    peer = types.PeerChannel(channel.channel_id)
    is_own = shown.by == call.account.user_id
    told = {
        "id": shown.message_id,
        "peer_id": peer,
        "date": date(shown.date),
        "out": is_own or None,
        "post": channel.is_broadcast or None,
        "silent": shown.silent or None,
        "from_id": None if channel.is_broadcast else types.PeerUser(shown.by),
    }
    if shown.action:
        reply = types.MessageReplyHeader(reply_to_msg_id=shown.pinned) if shown.pinned else None
        return types.MessageService(**told, action=shown.action, reply_to=reply)
    return types.Message(
        **told,
        message=shown.text,
        entities=shown.entities,
        media=media(call, shown.document, shown.message_id) if shown.document else None,
        pinned=(shown.message_id in channel.pinned) or None,
        noforwards=None,  # D: of a protected channel only the chat says so, not its messages
        fwd_from=shown.forward,
        views=1 if channel.is_broadcast else None,
        forwards=0 if channel.is_broadcast else None,
        edit_date=date(shown.edited) if shown.edited else None,
    )


def messages(
    call: Call, shown: Channel, found: list[types.TypeMessage], count: int
) -> types.messages.ChannelMessages:
    return types.messages.ChannelMessages(
        pts=shown.pts,
        count=count,
        messages=found,
        topics=[],
        chats=[channel(call, shown)],
        users=[],
    )


def updates(
    call: Call, told: list[types.TypeUpdate], *channels: Channel, about: Iterable[int] = ()
) -> types.Updates:
    return types.Updates(
        updates=told,
        users=users(call, about),
        chats=[channel(call, one) for one in channels],
        date=call.state.clock.date(),
        seq=0,
    )
