"""Whom a request means, if this login may address them so.

A wrong access hash is CHANNEL_INVALID; a channel that one is not in is CHANNEL_PRIVATE.
"""

from telethon.tl import types

from tests.telegram_server.methods.method import Call
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.channels import Channel

CHANNEL_PEERS = (types.InputPeerChannel, types.InputChannel)
USER_PEERS = (types.InputPeerUser, types.InputUser)
SELF_PEERS = (types.InputPeerSelf, types.InputUserSelf)


def channel_of(call: Call, peer: object) -> Channel:
    """The channel, of which the account is a member.

    Raises `RpcError` PEER_ID_INVALID, CHANNEL_INVALID, CHANNEL_PRIVATE; for frozen accounts
    FROZEN_PARTICIPANT_MISSING in its place.
    """
    if not isinstance(peer, CHANNEL_PEERS):
        raise RpcError(400, "PEER_ID_INVALID")
    channel = call.state.channels.get(peer.channel_id)
    if channel is None or not _may_address(call, peer.channel_id, peer.access_hash):
        raise RpcError(400, "CHANNEL_INVALID")
    if channel.is_deleted or call.account.user_id not in channel.members:
        if call.account.frozen_until:
            raise RpcError(400, "FROZEN_PARTICIPANT_MISSING")
        raise RpcError(400, "CHANNEL_PRIVATE")
    return channel


def account_of(call: Call, peer: object) -> Account:
    """The user or bot. Raises `RpcError` USER_ID_INVALID."""
    if isinstance(peer, SELF_PEERS):
        return call.account
    if not isinstance(peer, USER_PEERS):
        raise RpcError(400, "USER_ID_INVALID")
    account = call.state.accounts.get(peer.user_id)
    if account is None or peer.access_hash != call.login.access_hash("user", peer.user_id):
        raise RpcError(400, "USER_ID_INVALID")
    return account


def require_right(call: Call, channel: Channel, *rights: str) -> None:
    """Raises `RpcError` CHAT_ADMIN_REQUIRED unless the account has one of the rights."""
    if not any(channel.may(call.account, right) for right in rights):
        raise RpcError(400, "CHAT_ADMIN_REQUIRED")


def require_voice(call: Call, channel: Channel) -> None:
    """Raises `RpcError` unless the account may post in the channel."""
    if call.account.is_spammer:
        raise RpcError(400, "PEER_FLOOD")
    if channel.channel_id in call.account.forbidden:
        raise RpcError(403, "CHAT_WRITE_FORBIDDEN")
    if channel.is_broadcast:
        require_right(call, channel, "post_messages")


def _may_address(call: Call, channel_id: int, access_hash: int) -> bool:
    if call.account.is_bot and access_hash == 0:
        return True  # D: bots may, for channels that they are in
    return access_hash == call.login.access_hash("channel", channel_id)
