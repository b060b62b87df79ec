from hashlib import md5
from random import Random

import pytest
from telethon.tl import types
from telethon.tl.functions import channels, messages, upload

from tests.telegram_server.direct import PART, Direct, location, new_world
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.world import World

MIB = 1 << 20


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


def small(client: Direct, data: bytes, checksum: str = "", size: int = PART) -> types.InputFile:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    for number, part in enumerate(parts):
        client(upload.SaveFilePartRequest(5, number, part))
    return types.InputFile(5, len(parts), "small.bin", checksum)


def big(part: int, total: int, size: int) -> upload.SaveBigFilePartRequest:
    return upload.SaveBigFilePartRequest(9, part, total, bytes(size))


def pattern(size: int) -> bytes:
    return Random(1).randbytes(size)


def test_a_large_file_comes_back_as_it_went(client: Direct, peer: types.InputPeerChannel) -> None:
    data = pattern(3 * MIB + 12345)
    sent = client.send(peer, data)
    read = [client.read(sent, offset) for offset in range(0, 5 * MIB, MIB)]
    assert b"".join(read) == data
    assert [len(one) for one in read[-2:]] == [12345, 0]


def test_parts_come_in_any_order_and_may_come_twice(
    client: Direct, peer: types.InputPeerChannel
) -> None:
    data = pattern(2 * PART + 10)
    for number in (2, 0, 1, 0):
        part = data[number * PART : (number + 1) * PART]
        client(upload.SaveBigFilePartRequest(9, number, 3, part))
    sent = client.send(peer, file=types.InputFileBig(9, 3, "x"))
    assert client.read(sent) == data[:MIB]


def test_parts_of_every_allowed_size(client: Direct, peer: types.InputPeerChannel) -> None:
    data = pattern(300_000)
    for size in (1024, 32768, PART):
        sent = client.send(peer, file=client.save(data, part_size=size))
        assert client.read(sent) == data


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (big(0, 2, 0), "FILE_PART_EMPTY"),
        (big(0, 2, PART + 1024), "FILE_PART_TOO_BIG"),
        (big(0, 2, 1000), "FILE_PART_SIZE_INVALID"),
        (big(0, 2, 3 * 1024), "FILE_PART_SIZE_INVALID"),
        (big(2, 2, 1024), "FILE_PART_INVALID"),
        (big(-1, 2, 1024), "FILE_PART_INVALID"),
        (big(0, 0, 1024), "FILE_PARTS_INVALID"),
        (big(0, 4001, 1024), "FILE_PARTS_INVALID"),
        (upload.SaveFilePartRequest(9, 0, b""), "FILE_PART_EMPTY"),
    ],
)
def test_parts_that_are_refused(client: Direct, request_: object, answer: str) -> None:
    assert refused(client, request_) == f"400 {answer}"


def test_parts_are_of_one_size_and_one_count(client: Direct) -> None:
    client(big(0, 4, 2048))
    assert refused(client, big(1, 4, 1024)) == "400 FILE_PART_SIZE_CHANGED"
    assert refused(client, big(3, 4, 4096)) == "400 FILE_PART_SIZE_CHANGED"
    assert refused(client, big(1, 3, 2048)) == "400 FILE_PARTS_INVALID"
    assert client(big(3, 4, 5))


def test_premium_may_send_twice_the_parts(world: World, client: Direct) -> None:
    assert refused(client, big(0, 8000, 1024)) == "400 FILE_PARTS_INVALID"
    world.control("premium", {"account": client.account})
    assert client(big(0, 8000, 1024))


def test_a_send_names_the_part_that_is_missing(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    client(big(0, 3, 1024))
    client(big(2, 3, 10))
    request = client.sending(peer, types.InputFileBig(9, 3, "x"))
    assert refused(client, request) == "400 FILE_PART_1_MISSING"
    client(big(1, 3, 1024))
    world.control("lose_parts", {"part": 2})
    assert refused(client, request) == "400 FILE_PART_2_MISSING"
    single = client.save(b"single")
    world.control("lose_parts", {"part": 0})
    assert refused(client, client.sending(peer, single)) == "400 FILE_PART_0_MISSING"
    client(big(0, 3, 1024))
    client(big(2, 3, 10))
    request = client.sending(peer, types.InputFileBig(9, 2, "x"))
    assert refused(client, request) == "400 FILE_PARTS_INVALID"
    request = client.sending(peer, types.InputFileBig(404, 3, "x"))
    assert refused(client, request) == "400 FILE_PART_0_MISSING"


def test_small_files_have_a_checksum_and_a_bound(
    client: Direct, peer: types.InputPeerChannel
) -> None:
    data = pattern(PART + 10)
    file = small(client, data, md5(data).hexdigest())
    assert client.read(client.send(peer, file=file)) == data
    file.md5_checksum = "0" * 32
    assert refused(client, client.sending(peer, file)) == "400 MD5_CHECKSUM_INVALID"
    file = small(client, bytes(10 * MIB + 1))
    assert refused(client, client.sending(peer, file)) == "400 FILE_PARTS_INVALID"
    file = small(client, bytes(5000), size=3000)
    assert refused(client, client.sending(peer, file)).startswith("400 FILE_PART")


def test_parts_die(world: World, client: Direct, peer: types.InputPeerChannel) -> None:
    short, long = small(client, b"small"), client.save(b"big")
    world.control("clock", {"advance_s": 2 * 3600})
    assert refused(client, client.sending(peer, short)) == "400 FILE_PART_0_MISSING"
    assert client.send(peer, file=long)
    world.control("clock", {"advance_s": 23 * 3600})
    assert refused(client, client.sending(peer, long)) == "400 FILE_PART_0_MISSING"


def test_parts_are_of_the_login_that_saved_them(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    file = client.save(b"parts")
    other = Direct(world)
    world.state.logins.begin(other.caller, world.state.accounts.of(client.account))
    theirs = other.find(peer.channel_id)
    assert refused(other, other.sending(theirs, file)) == "400 FILE_PART_0_MISSING"
    world.control("limits", {"parts_shared_by_logins": True})
    file = client.save(b"parts")
    assert other.read(other.send(theirs, file=file)) == b"parts"


def test_a_save_may_be_answered_with_false(world: World, client: Direct) -> None:
    world.control("answer_false", {"times": 1})
    assert not client(big(0, 1, 10))
    assert client(big(0, 1, 10))


@pytest.mark.parametrize(
    ("offset", "limit", "precise", "answer"),
    [
        (0, 4096, False, None),
        (4096, 4096, False, None),
        (0, MIB, False, None),
        (3 * 1024, 5 * 1024, True, None),
        (1024, 4096, False, "OFFSET_INVALID"),
        (-4096, 4096, False, "OFFSET_INVALID"),
        (512, 1024, True, "OFFSET_INVALID"),
        (0, 3 * 4096, False, "LIMIT_INVALID"),
        (0, 2 * MIB, False, "LIMIT_INVALID"),
        (0, 0, False, "LIMIT_INVALID"),
        (0, 1000, True, "LIMIT_INVALID"),
        (512 * 1024, MIB, False, "LIMIT_INVALID"),
        (MIB - 1024, 2048, True, "LIMIT_INVALID"),
    ],
)
def test_ranges_that_may_be_asked_for(
    client: Direct,
    peer: types.InputPeerChannel,
    offset: int,
    limit: int,
    precise: bool,
    answer: str | None,
) -> None:
    data = pattern(2 * MIB)
    request = upload.GetFileRequest(location(client.send(peer, data)), offset, limit, precise)
    if answer:
        assert refused(client, request) == f"400 {answer}"
    else:
        assert client(request).bytes == data[offset : offset + limit]


def test_a_location_is_of_one_login(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer)
    other = Direct.user(world, "4915100000002")
    world.control("admit", {"channel": peer.channel_id, "account": other.account})
    request = upload.GetFileRequest(location(sent), 0, 4096)
    assert refused(other, request) == "400 LOCATION_INVALID"
    (theirs,) = other.get(other.find(peer.channel_id), sent.id)
    mixed = location(theirs)
    mixed.file_reference = location(sent).file_reference
    request = upload.GetFileRequest(mixed, 0, 4096)
    assert refused(other, request) == "400 FILE_REFERENCE_INVALID"
    assert other.read(theirs) == b"bytes of a pack"


def test_a_reference_expires_and_is_had_anew(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer)
    request = upload.GetFileRequest(location(sent), 0, 4096)
    world.control("expire_references", {})
    assert refused(client, request) == "400 FILE_REFERENCE_EXPIRED"
    (again,) = client.get(peer, sent.id)
    assert client.read(again) == b"bytes of a pack"
    world.control("reference_life", {"seconds": 60})
    world.control("clock", {"advance_s": 90})
    request = upload.GetFileRequest(location(again), 0, 4096)
    assert refused(client, request) == "400 FILE_REFERENCE_EXPIRED"
    request.location.file_reference = b""
    assert refused(client, request) == "400 FILE_REFERENCE_EMPTY"


def test_a_file_is_read_where_its_uploader_lives(world: World) -> None:
    far = Direct.user(world, "4915100000001", home=1)
    near = Direct.user(world, "4915100000002")
    peer = far.channel()
    sent = far.send(peer)
    assert sent.media.document.dc_id == 1
    world.control("admit", {"channel": peer.channel_id, "account": near.account})
    (theirs,) = near.get(near.find(peer.channel_id), sent.id)
    request = upload.GetFileRequest(location(theirs), 0, 4096)
    assert refused(near, request) == "303 FILE_MIGRATE_1"
    assert near.exported(1)(request).bytes == b"bytes of a pack"


def test_a_deleted_message_is_read_while_its_reference_lasts(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    sent, kept = client.send(peer), client.send(peer)
    client(channels.DeleteMessagesRequest(peer, [sent.id]))
    assert client.read(sent) == b"bytes of a pack"
    world.control("clock", {"advance_s": 4 * 3600})
    client.send(peer)
    assert client.read(client.get(peer, kept.id)[0]) == b"bytes of a pack"
    request = upload.GetFileRequest(location(sent), 0, 4096)
    assert refused(client, request) == "400 LOCATION_INVALID"


def test_a_bit_is_flipped_in_every_copy_and_nowhere_else(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    data = pattern(PART + 100)
    file = client.save(data)
    sent, apart = client.send(peer, file=file), client.send(peer, file=file)
    request = messages.ForwardMessagesRequest(peer, [sent.id], peer, random_id=[7])
    copy = client(request).updates[1].message
    told = {"channel": peer.channel_id, "id": sent.id}
    world.control("flip_bit", told | {"byte": PART + 7, "bit": 3})
    damaged = bytearray(data)
    damaged[PART + 7] ^= 8
    assert client.read(sent) == client.read(copy) == bytes(damaged)
    assert client.read(apart) == data
    with pytest.raises(ValueError, match="no byte"):
        world.control("flip_bit", told | {"byte": len(data)})


@pytest.mark.parametrize("announced", [True, False])
def test_a_truncated_file_ends_early(
    world: World, client: Direct, peer: types.InputPeerChannel, announced: bool
) -> None:
    data = pattern(MIB + 100)
    sent = client.send(peer, data)
    told = {"channel": peer.channel_id, "id": sent.id, "size": PART + 3}
    world.control("truncate", told | {"announced": announced})
    (again,) = client.get(peer, sent.id)
    assert again.media.document.size == (PART + 3 if announced else len(data))
    assert client.read(again) == data[: PART + 3]


def test_a_file_may_be_lost_and_a_stranger_may_send_one(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    sent = client.send(peer)
    told = {"channel": peer.channel_id, "by": client.account}
    strange = world.control("add_file", told | {"data_hex": b"strange".hex(), "caption": "x"})
    world.control("lose_file", {"channel": peer.channel_id, "id": sent.id})
    request = upload.GetFileRequest(location(client.get(peer, sent.id)[0]), 0, 4096)
    assert refused(client, request) == "400 LOCATION_INVALID"
    assert client.read(client.get(peer, strange)[0]) == b"strange"


def test_what_the_world_received_can_be_looked_for(
    world: World, client: Direct, peer: types.InputPeerChannel
) -> None:
    needle = b"a canary in a mine"

    def seen() -> object:
        return world.control("bytes_seen", {"needle_hex": needle.hex()})

    assert seen() == 0
    client.save(bytes(PART - 5) + needle + bytes(100))
    client.send(peer, needle + bytes(100) + needle, needle.decode())
    client.channel(f"of {needle.decode()}")
    assert seen() == 5
