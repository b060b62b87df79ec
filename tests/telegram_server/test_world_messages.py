import pytest
from telethon.tl import types
from telethon.tl.functions import channels, messages

from tests.telegram_server.direct import Direct, new_world
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.world import World

EVERYTHING = types.InputMessagesFilterEmpty()


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def client(world: World) -> Direct:
    return Direct.user(world)


@pytest.fixture
def peer(client: Direct) -> types.InputPeerChannel:
    return client.channel()


def refused(client: Direct, request: object) -> str:
    with pytest.raises(RpcError) as caught:
        client(request)
    return f"{caught.value.code} {caught.value.message}"


def history(client: Direct, peer: types.InputPeerChannel, **told: int) -> list[int]:
    page: dict[str, int | None] = dict.fromkeys(("offset_id", "add_offset", "max_id", "min_id"), 0)
    page |= {"offset_date": None, "limit": 100, "hash": 0}
    return [one.id for one in client(messages.GetHistoryRequest(peer, **page | told)).messages]


def search(
    client: Direct, peer: types.InputPeerChannel, words: str = "", wanted: object = EVERYTHING
) -> list[int]:
    request = messages.SearchRequest(peer, words, wanted, None, None, 0, 0, 100, 0, 0, 0)
    return [one.id for one in client(request).messages]


def copying(message: types.Message) -> types.InputMediaDocument:
    document = message.media.document
    return types.InputMediaDocument(
        types.InputDocument(document.id, document.access_hash, document.file_reference)
    )


def test_a_sent_file_is_told_as_it_was_sent(client: Direct, peer: types.InputPeerChannel) -> None:
    sent = client.send(peer, b"x" * 1000, "a *plain* caption")
    (there,) = client.get(peer, sent.id)
    assert there.message == "a *plain* caption"
    assert there.post
    document = there.media.document
    assert (document.size, document.mime_type) == (1000, "application/octet-stream")
    assert document.attributes[0].file_name == "pack.bin"
    assert document.dc_id == 2


def test_a_random_id_makes_one_message_for_ever(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    request = client.sending(peer, client.save(b"pack"), random_id=77)
    first = client(request)
    world.control("clock", {"advance_s": 10**8})
    again = client(request)
    assert again.updates[0] == first.updates[0]
    assert again.updates[1].message.id == first.updates[1].message.id
    assert again.updates[1].pts_count == 0
    assert len(world.control("messages", {})) == 1


def test_a_random_id_counts_by_peer_and_by_account(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    other = Direct.user(world, "4915100000002")
    world.control("admit", {"channel": peer.channel_id, "account": other.account, "admin": True})
    client.send(peer, random_id=5)
    client.send(client.channel("more"), random_id=5)
    other.send(other.find(peer.channel_id), random_id=5)
    assert len(world.control("messages", {})) == 3


def test_a_repeat_while_the_first_is_under_way(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    world.control("limits", {"send_takes_s": 10})
    request = client.sending(peer, client.save(b"pack"), random_id=5)
    client(request)
    assert refused(client, request) == "500 RANDOM_ID_DUPLICATE"
    world.control("clock", {"advance_s": 11})
    assert client(request).updates[0].id == 2


@pytest.mark.parametrize("answer", ["id", "new", "error"])
def test_a_repeat_after_the_message_was_deleted(
    world: World, client: Direct, peer: types.InputPeerChannel, answer: str
) -> None:
    world.control("limits", {"repeat_after_delete": answer})
    request = client.sending(peer, client.save(b"pack"), random_id=5)
    client(request)
    client(channels.DeleteMessagesRequest(peer, [2]))
    if answer == "error":
        assert refused(client, request) == "400 MESSAGE_ID_INVALID"
    else:
        told = client(request).updates
        assert [one.id for one in told[:1]] == [2 if answer == "id" else 3]
        assert len(told) == (1 if answer == "id" else 2)


def test_a_random_id_of_nothing_is_none(client: Direct, peer: types.InputPeerChannel) -> None:
    request = client.sending(peer, client.save(b"pack"), random_id=1)
    request.random_id = 0
    assert refused(client, request) == "400 RANDOM_ID_INVALID"


def test_captions_are_as_long_as_the_account_may_make_them(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    request = client.sending(peer, client.save(b"pack"), "x" * 1025)
    assert refused(client, request) == "400 MEDIA_CAPTION_TOO_LONG"
    world.control("premium", {"account": client.account})
    assert client(request)
    client.send(peer, caption="x" * 1024)


def test_looking_up_what_is_not_there(client: Direct, peer: types.InputPeerChannel) -> None:
    sent = client.send(peer)
    client(channels.DeleteMessagesRequest(peer, [sent.id]))
    found = client.get(peer, sent.id, 99, 1)
    assert [type(one).__name__ for one in found] == [
        "MessageEmpty",
        "MessageEmpty",
        "MessageService",
    ]
    assert [one.id for one in found] == [sent.id, 99, 1]
    many = channels.GetMessagesRequest(peer, [types.InputMessageID(1)] * 101)
    assert refused(client, many) == "400 LIMIT_INVALID"
    none = channels.GetMessagesRequest(peer, [])
    assert refused(client, none) == "400 MESSAGE_IDS_EMPTY"


def test_history_in_both_directions(client: Direct, peer: types.InputPeerChannel) -> None:
    for _ in range(9):
        client.send(peer)
    client(channels.DeleteMessagesRequest(peer, [4, 7]))
    assert history(client, peer) == [10, 9, 8, 6, 5, 3, 2, 1]
    assert history(client, peer, limit=3) == [10, 9, 8]
    assert history(client, peer, offset_id=8, limit=3) == [6, 5, 3]
    assert history(client, peer, offset_id=4, add_offset=-3, limit=3) == [8, 6, 5]
    assert history(client, peer, offset_id=1, add_offset=-100) == [10, 9, 8, 6, 5, 3, 2, 1]
    assert history(client, peer, min_id=5, max_id=9) == [8, 6]


def test_old_messages_of_a_large_channel_are_out_of_reach(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    client.send(peer)
    world.control("limits", {"messages_served": 50})
    assert world.control("fill", {"channel": peer.channel_id, "count": 100}) == 103
    assert client.send(peer).id == 103
    assert history(client, peer) == [103]
    assert isinstance(client.get(peer, 2)[0], types.MessageEmpty)


def test_a_search_finds_words_documents_and_what_is_pinned(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    client.send(peer, caption="pack one")
    client.send(peer, caption="pack two")
    client(messages.SendMessageRequest(peer, "only words"))
    client(messages.UpdatePinnedMessageRequest(peer, 3, silent=True))
    assert search(client, peer, "PACK") == [3, 2]
    assert search(client, peer, "words") == [4]
    assert search(client, peer, "pack.bin") == [3, 2]
    assert search(client, peer, wanted=types.InputMessagesFilterDocument()) == [3, 2]
    assert search(client, peer, wanted=types.InputMessagesFilterPinned()) == [3]
    world.control("limits", {"search_lag_s": 60})
    assert search(client, peer, "pack") == []


def test_pinning_takes_a_number_and_unpinning_none(
    client: Direct, peer: types.InputPeerChannel
) -> None:
    def pinned() -> int | None:
        return client(channels.GetFullChannelRequest(peer)).full_chat.pinned_msg_id

    first, second = client.send(peer).id, client.send(peer).id
    client(messages.UpdatePinnedMessageRequest(peer, first))
    service = client.get(peer, second + 1)[0]
    assert isinstance(service.action, types.MessageActionPinMessage)
    assert service.reply_to.reply_to_msg_id == first
    request = messages.UpdatePinnedMessageRequest(peer, second)
    client(request)
    assert pinned() == second
    assert client.get(peer, second)[0].pinned
    assert refused(client, request) == "400 CHAT_NOT_MODIFIED"
    client(messages.UpdatePinnedMessageRequest(peer, second, unpin=True))
    assert pinned() == first
    client(channels.DeleteMessagesRequest(peer, [first]))
    assert pinned() is None
    assert client.send(peer).id == second + 3


def test_editing_changes_caption_and_file(client: Direct, peer: types.InputPeerChannel) -> None:
    sent = client.send(peer, caption="old")
    request = messages.EditMessageRequest(peer, sent.id, message="new")
    told = client(request).updates[0]
    assert isinstance(told, types.UpdateEditChannelMessage)
    assert told.message.message == "new"
    assert refused(client, request) == "400 MESSAGE_NOT_MODIFIED"
    name = types.DocumentAttributeFilename("other.bin")
    media = types.InputMediaUploadedDocument(client.save(b"other"), "text/plain", [name])
    client(messages.EditMessageRequest(peer, sent.id, media=media))
    (there,) = client.get(peer, sent.id)
    assert (there.message, client.read(there)) == ("new", b"other")
    assert there.edit_date
    request = messages.EditMessageRequest(peer, 99, message="new")
    assert refused(client, request) == "400 MESSAGE_ID_INVALID"


def test_forwarding_copies_without_bytes(client: Direct, peer: types.InputPeerChannel) -> None:
    target = client.channel("copies")
    sent = [client.send(peer, b"one", "1"), client.send(peer, b"two", "2")]
    ids = [one.id for one in sent]
    request = messages.ForwardMessagesRequest(peer, [*ids, 99], target, random_id=[7, 8, 9])
    request.drop_author = True
    told = client(request).updates
    assert [one.random_id for one in told if isinstance(one, types.UpdateMessageID)] == [7, 8]
    copies = client.get(target, 2, 3)
    assert [one.media.document.id for one in copies] == [one.media.document.id for one in sent]
    assert [one.message for one in copies] == ["1", "2"]
    assert copies[0].fwd_from is None
    assert len(client(request).updates) == 4
    client(channels.DeleteMessagesRequest(peer, ids))
    assert client.read(client.get(target, 2)[0]) == b"one"
    many = messages.ForwardMessagesRequest(peer, [1] * 101, target, random_id=list(range(101)))
    assert refused(client, many) == "400 LIMIT_INVALID"


def test_a_forward_names_its_source_and_may_drop_the_caption(
    client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer, caption="caption")
    request = messages.ForwardMessagesRequest(peer, [sent.id], peer, random_id=[7])
    request.drop_media_captions = True
    copy = client(request).updates[1].message
    assert copy.message == ""
    assert copy.fwd_from.channel_post == sent.id


def test_a_document_is_sent_again_with_another_caption(
    client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer, caption="first")
    request = messages.SendMediaRequest(peer, copying(sent), "second", random_id=9)
    copy = client(request).updates[1].message
    assert (copy.message, copy.media.document.id) == ("second", sent.media.document.id)
    assert copy.id != sent.id


def test_an_old_reference_sends_nothing(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer)
    world.control("expire_references", {})
    request = messages.SendMediaRequest(peer, copying(sent), "", random_id=9)
    assert refused(client, request) == "400 FILE_REFERENCE_EXPIRED"


def test_an_uploaded_document_is_sent_later(client: Direct, peer: types.InputPeerChannel) -> None:
    media = client.sending(peer, client.save(b"later")).media
    shown = client(messages.UploadMediaRequest(peer, media))
    wanted = copying(types.Message(id=0, peer_id=None, media=shown))
    sent = client(messages.SendMediaRequest(peer, wanted, "", random_id=9)).updates[1].message
    assert client.read(sent) == b"later"


def test_a_protected_channel_gives_no_copies(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer)
    world.control("protect", {"channel": peer.channel_id})
    request = messages.ForwardMessagesRequest(peer, [sent.id], peer, random_id=[7])
    assert refused(client, request) == "400 CHAT_FORWARDS_RESTRICTED"
    request = messages.SendMediaRequest(peer, copying(sent), "", random_id=8)
    assert refused(client, request) == "400 CHAT_FORWARDS_RESTRICTED"
    client(messages.ToggleNoForwardsRequest(peer, enabled=False))
    assert client(request)


def test_deleting_is_for_admins_and_authors(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    ids = [client.send(peer).id for _ in range(3)]
    told = client(channels.DeleteMessagesRequest(peer, [*ids[:2], 99]))
    assert told.pts_count == 2
    other = Direct.user(world, "4915100000002")
    world.control("admit", {"channel": peer.channel_id, "account": other.account})
    theirs = other.find(peer.channel_id)
    request = channels.DeleteMessagesRequest(theirs, ids)
    assert refused(other, request) == "403 MESSAGE_DELETE_FORBIDDEN"
    many = channels.DeleteMessagesRequest(peer, list(range(1, 102)))
    assert refused(client, many) == "400 LIMIT_INVALID"
