import pytest
from telethon.tl import types
from telethon.tl.functions import channels, contacts, messages

from tests.telegram_server.direct import Direct, new_world
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.world import World

ADMIN = types.ChatAdminRights(post_messages=True, edit_messages=True, delete_messages=True)


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def owner(world: World) -> Direct:
    return Direct.user(world, "4915100000001")


@pytest.fixture
def other(world: World) -> Direct:
    return Direct.user(world, "4915100000002")


def refused(client: Direct, request: object) -> str:
    with pytest.raises(RpcError) as caught:
        client(request)
    return f"{caught.value.code} {caught.value.message}"


def join(owner: Direct, peer: types.InputPeerChannel, other: Direct) -> types.InputPeerChannel:
    link = owner(messages.ExportChatInviteRequest(peer)).link
    assert link.startswith("https://t.me/+")
    told = other(messages.ImportChatInviteRequest(link.removeprefix("https://t.me/+")))
    joined = told.updates.chats[0]
    return types.InputPeerChannel(joined.id, joined.access_hash)


def known(client: Direct, peer: types.InputPeerChannel, user_id: int) -> types.InputUser:
    """How the client may address a member."""
    request = channels.GetParticipantsRequest(peer, types.ChannelParticipantsRecent(), 0, 100, 0)
    user = next(one for one in client(request).users if one.id == user_id)
    return types.InputUser(user.id, user.access_hash)


def test_a_new_channel_is_its_creators_and_begins_with_a_service_message(owner: Direct) -> None:
    peer = owner.channel("packs")
    first = owner.get(peer, 1)[0]
    assert first.action.title == "packs"
    full = owner(channels.GetFullChannelRequest(peer)).full_chat
    assert (full.participants_count, full.admins_count, full.pinned_msg_id) == (1, 1, None)
    chat = owner(channels.GetChannelsRequest([peer])).chats[0]
    assert chat.creator
    assert chat.broadcast
    assert chat.admin_rights.post_messages


def test_a_channel_numbers_its_own_messages(owner: Direct, other: Direct) -> None:
    first, second = owner.channel("one"), owner.channel("two")
    theirs = join(owner, first, other)
    owner(channels.EditAdminRequest(first, known(owner, first, other.account), ADMIN, ""))
    ids = [owner.send(first).id, other.send(theirs).id, owner.send(second).id, owner.send(first).id]
    assert ids == [2, 3, 2, 4]


def test_an_access_hash_is_of_one_login(world: World, owner: Direct, other: Direct) -> None:
    peer = owner.channel()
    join(owner, peer, other)
    assert refused(other, channels.GetFullChannelRequest(peer)) == "400 CHANNEL_INVALID"
    world.control("session", {"account": owner.account})
    second = Direct(world, caller=world.mint_key(2)[0])
    world.state.logins.begin(second.caller, world.state.accounts.of(owner.account))
    assert refused(second, channels.GetFullChannelRequest(peer)) == "400 CHANNEL_INVALID"
    assert second.find(peer.channel_id).access_hash != peer.access_hash


def test_a_link_lets_in_whom_it_is_shown_to(owner: Direct, other: Direct) -> None:
    peer = owner.channel("packs")
    link = owner(messages.ExportChatInviteRequest(peer)).link.removeprefix("https://t.me/+")
    assert other(messages.CheckChatInviteRequest(link)).title == "packs"
    other(messages.ImportChatInviteRequest(link))
    assert other(messages.CheckChatInviteRequest(link)).chat.id == peer.channel_id
    request = messages.ImportChatInviteRequest(link)
    assert refused(other, request) == "400 USER_ALREADY_PARTICIPANT"
    request = messages.ImportChatInviteRequest("nonsense")
    assert refused(other, request) == "400 INVITE_HASH_EXPIRED"


def test_a_member_reads_and_only_an_admin_posts(owner: Direct, other: Direct) -> None:
    peer = owner.channel()
    message = owner.send(peer)
    theirs = join(owner, peer, other)
    assert other.read(other.get(theirs, message.id)[0]) == b"bytes of a pack"
    request = other.sending(theirs, other.save(b"parts"))
    assert refused(other, request) == "400 CHAT_ADMIN_REQUIRED"
    owner(channels.EditAdminRequest(peer, known(owner, peer, other.account), ADMIN, ""))
    assert other(request)
    request = channels.GetParticipantsRequest(peer, types.ChannelParticipantsAdmins(), 0, 100, 0)
    assert {one.user_id for one in owner(request).participants} == {owner.account, other.account}
    request = channels.GetParticipantRequest(theirs, types.InputPeerSelf())
    assert other(request).participant.admin_rights.post_messages


def test_making_admins_may_be_refused(world: World, owner: Direct, other: Direct) -> None:
    peer = owner.channel()
    theirs = join(owner, peer, other)
    them = known(owner, peer, other.account)
    world.control("fresh", {"account": owner.account})
    request = channels.EditAdminRequest(peer, them, ADMIN, "")
    assert refused(owner, request) == "406 FRESH_CHANGE_ADMINS_FORBIDDEN"
    world.control("fresh", {"account": owner.account, "on": False})
    owner(request)
    request = channels.EditAdminRequest(theirs, types.InputUserSelf(), ADMIN, "")
    assert refused(other, request) == "400 CHAT_ADMIN_REQUIRED"
    owner(channels.EditAdminRequest(peer, them, types.ChatAdminRights(add_admins=True), ""))
    assert refused(other, request) == "403 RIGHT_FORBIDDEN"


def test_a_bot_comes_in_as_an_admin_and_needs_no_access_hash(world: World, owner: Direct) -> None:
    peer, bot = owner.channel(), Direct.bot(world, "packs_bot")
    found = owner(contacts.ResolveUsernameRequest("packs_bot")).users[0]
    user = types.InputUser(found.id, found.access_hash)
    assert refused(owner, channels.InviteToChannelRequest(peer, [user])) == "400 USER_BOT"
    nameless = types.InputPeerChannel(peer.channel_id, 0)
    request = channels.GetFullChannelRequest(nameless)
    assert refused(bot, request) == "400 CHANNEL_PRIVATE"
    owner(channels.EditAdminRequest(peer, user, ADMIN, ""))
    message = bot.send(nameless)
    assert bot.read(bot.get(nameless, message.id)[0]) == b"bytes of a pack"
    assert refused(owner, channels.GetFullChannelRequest(nameless)) == "400 CHANNEL_INVALID"
    request = messages.GetHistoryRequest(nameless, 0, None, 0, 100, 0, 0, 0)
    assert refused(bot, request) == "400 BOT_METHOD_INVALID"
    request = messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 100, 0)
    assert refused(bot, request) == "400 BOT_METHOD_INVALID"


def test_users_are_invited_unless_they_are_private(
    world: World, owner: Direct, other: Direct
) -> None:
    peer = owner.channel()
    found = owner(contacts.ResolvePhoneRequest("4915100000002")).users[0]
    user = types.InputUser(found.id, found.access_hash)
    world.control("private", {"account": other.account})
    told = owner(channels.InviteToChannelRequest(peer, [user]))
    assert [one.user_id for one in told.missing_invitees] == [other.account]
    world.control("private", {"account": other.account, "on": False})
    assert not owner(channels.InviteToChannelRequest(peer, [user])).missing_invitees
    assert other.find(peer.channel_id)


def test_a_channel_is_out_of_reach_once_one_is_out(
    world: World, owner: Direct, other: Direct
) -> None:
    peer = owner.channel()
    theirs = join(owner, peer, other)
    request = channels.GetFullChannelRequest(theirs)
    world.control("kick", {"channel": peer.channel_id, "account": other.account})
    assert refused(other, request) == "400 CHANNEL_PRIVATE"
    world.control("freeze", {"account": other.account})
    assert refused(other, request) == "400 FROZEN_PARTICIPANT_MISSING"
    owner(channels.LeaveChannelRequest(peer))
    assert refused(owner, channels.JoinChannelRequest(peer)) == "400 CHANNEL_PRIVATE"


def test_a_deleted_channel_is_nobodys(world: World, owner: Direct, other: Direct) -> None:
    peer, second = owner.channel(), owner.channel()
    theirs = join(owner, peer, other)
    assert refused(other, channels.DeleteChannelRequest(theirs)) == "400 CHAT_ADMIN_REQUIRED"
    owner(channels.DeleteChannelRequest(peer))
    assert refused(other, channels.GetFullChannelRequest(theirs)) == "400 CHANNEL_PRIVATE"
    world.control("delete_channel", {"channel": second.channel_id})
    assert refused(owner, channels.GetFullChannelRequest(second)) == "400 CHANNEL_PRIVATE"
    told = world.control("channels", {})
    assert [one["is_deleted"] for one in told] == [True, True]


def test_writing_is_forbidden_in_ways_of_its_own(world: World, owner: Direct) -> None:
    peer = owner.channel()
    file = owner.save(b"parts")
    told = {"account": owner.account, "channel": peer.channel_id}
    world.control("restrict", told)
    assert refused(owner, owner.sending(peer, file)) == "403 CHAT_WRITE_FORBIDDEN"
    world.control("restrict", told | {"on": False})
    world.control("peer_flood", {"account": owner.account})
    assert refused(owner, owner.sending(peer, file)) == "400 PEER_FLOOD"
    request = channels.CreateChannelRequest("more", "", broadcast=True)
    assert refused(owner, request) == "403 USER_RESTRICTED"


def test_an_account_is_in_so_many_channels(world: World, owner: Direct) -> None:
    world.control("limits", {"channels_default": 2})
    owner.channel()
    owner.channel()
    request = channels.CreateChannelRequest("more", "", broadcast=True)
    assert refused(owner, request) == "400 CHANNELS_TOO_MUCH"


def test_dialogs_come_newest_first_in_pages(owner: Direct) -> None:
    peers = [owner.channel(str(number)) for number in range(5)]
    page = owner(messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 3, 0))
    assert (page.count, [one.title for one in page.chats]) == (5, ["4", "3", "2"])
    rest = owner(messages.GetDialogsRequest(None, 0, peers[2], 3, 0))
    assert [one.title for one in rest.chats] == ["1", "0"]


def test_a_channel_made_by_a_verb_is_the_accounts(world: World, owner: Direct) -> None:
    made = world.control("make_channel", {"account": owner.account, "title": "made"})
    sent = owner.send(types.InputPeerChannel(made["id"], made["access_hash"]))
    assert sent.id == 2
