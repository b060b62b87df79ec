"""users.* and contacts.*: who somebody is, and how to address them."""

from telethon.tl import types
from telethon.tl.functions import contacts, users

from tests.telegram_server.methods import telling
from tests.telegram_server.methods.method import Call, answers
from tests.telegram_server.methods.peers import account_of
from tests.telegram_server.rpc import RpcError


@answers(users.GetUsersRequest)
def get_users(call: Call, request: users.GetUsersRequest) -> list[types.User]:
    return [telling.user(call, account_of(call, one)) for one in request.id]


@answers(users.GetFullUserRequest)
def get_full_user(call: Call, request: users.GetFullUserRequest) -> types.users.UserFull:
    account = account_of(call, request.id)
    full = types.UserFull(
        id=account.user_id,
        settings=types.PeerSettings(),
        notify_settings=types.PeerNotifySettings(),
        common_chats_count=0,
    )
    return types.users.UserFull(full, chats=[], users=[telling.user(call, account)])


@answers(contacts.ResolveUsernameRequest)
def resolve_username(
    call: Call, request: contacts.ResolveUsernameRequest
) -> types.contacts.ResolvedPeer:
    account = call.state.accounts.by_username(request.username)
    if account is None:
        raise RpcError(400, "USERNAME_NOT_OCCUPIED")
    peer = types.PeerUser(account.user_id)
    return types.contacts.ResolvedPeer(peer, chats=[], users=[telling.user(call, account)])


@answers(contacts.ResolvePhoneRequest, users_only=True)
def resolve_phone(call: Call, request: contacts.ResolvePhoneRequest) -> types.contacts.ResolvedPeer:
    account = call.state.accounts.by_phone(request.phone)
    if account is None:
        raise RpcError(400, "PHONE_NOT_OCCUPIED")
    peer = types.PeerUser(account.user_id)
    return types.contacts.ResolvedPeer(peer, chats=[], users=[telling.user(call, account)])


@answers(contacts.ImportContactsRequest, users_only=True)
def import_contacts(
    call: Call, request: contacts.ImportContactsRequest
) -> types.contacts.ImportedContacts:
    wanted = [(one, call.state.accounts.by_phone(one.phone)) for one in request.contacts]
    found = [(one, account) for one, account in wanted if account]
    return types.contacts.ImportedContacts(
        imported=[types.ImportedContact(account.user_id, one.client_id) for one, account in found],
        popular_invites=[],
        retry_contacts=[],
        users=[telling.user(call, account) for _, account in found],
    )
