"""PUT: kept whole or not at all, and refused before the body is asked for."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.dav.client import Client, never
from tgdav.dav.dates import SECOND
from tgdav.tree.tree import Tree

LOCK = (
    b'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
    b"<D:locktype><D:write/></D:locktype></D:lockinfo>"
)


def lock(client: Client, path: str) -> str:
    token = client.lock(path, LOCK, depth="0").header("Lock-Token")
    assert token is not None
    return token


def test_a_new_file_and_a_replaced_one(client: Client) -> None:
    made = client.put("/a.txt", b"one", check=201)
    assert client.get("/a.txt").body == b"one"
    replaced = client.put("/a.txt", b"two", check=204)
    got = client.get("/a.txt")
    assert got.body == b"two"
    assert made.etag != replaced.etag == got.etag
    assert made.etag[0] == made.etag[-1] == '"'
    assert replaced.header("Last-Modified") == got.header("Last-Modified")
    assert replaced.header("OC-ETag") == replaced.etag
    assert replaced.header("X-Tgdav-Durability") == "local"


def test_the_same_content_again_is_another_version(client: Client) -> None:
    assert client.put("/a", b"same").etag != client.put("/a", b"same").etag


@pytest.mark.parametrize("size", [0, 1, 70_000, 300_000, 3_000_000])
def test_bodies_of_all_sizes_in_chunks_and_with_a_length(client: Client, size: int) -> None:
    content = (hashlib.sha512(b"seed").digest() * (size // 64 + 1))[:size]
    client.put("/length", content, check=201)
    client.put("/chunks", (content[at : at + 8191] for at in range(0, size, 8191)), check=201)
    assert client.get("/length").body == content
    assert client.get("/chunks").body == content


def breaking(error: Exception) -> Iterator[bytes]:
    yield b"new " * 1000
    raise error


CUT: dict[str, Callable[[], dict[str, Any]]] = {
    "half": lambda: {"body": b"half", "announced": 8},
    "nothing": lambda: {"body": b"", "announced": 8},
    "reset": lambda: {"body": breaking(ConnectionResetError()), "announced": 8000},
    "silence": lambda: {"body": breaking(TimeoutError()), "announced": 8000},
    "bad chunk": lambda: {"body": breaking(ValueError("chunk size"))},
    "short": lambda: {"body": iter([b"half"]), "x_expected_entity_length": "8"},
    "long": lambda: {"body": iter([b"too much"]), "x_expected_entity_length": "4"},
    "checksum": lambda: {"body": b"one", "oc_checksum": "SHA1:" + "0" * 40},
    "digest": lambda: {"body": b"one", "content_md5": "AAAA"},
}


@pytest.mark.parametrize("cut", CUT)
def test_a_body_that_is_not_what_was_announced_changes_nothing(client: Client, cut: str) -> None:
    client.put("/new", check=400, **CUT[cut]())
    client.get("/new", check=404)
    etag = client.put("/old", b"old").etag
    client.put("/old", check=400, **CUT[cut]())
    assert client.get("/old").body == b"old"
    assert client.head("/old").etag == etag


@pytest.mark.parametrize(
    ("path", "status", "headers"),
    [
        ("/file", 412, {"if_match": '"other"'}),
        ("/file", 412, {"if_none_match": "*"}),
        ("/file", 412, {"if_unmodified_since": "Sat, 01 Jan 2000 00:00:00 GMT"}),
        ("/file", 412, {"if_": '(["other"])'}),
        ("/file", 415, {"content_encoding": "gzip"}),
        ("/file", 400, {"if_": "(("}),
        ("/file", 400, {"content_range": "bytes 3-1/*"}),
        ("/file", 400, {"content_range": "bytes 0-1/*"}),
        ("/new", 412, {"if_match": "*"}),
        ("/new", 412, {"if_match": '"x"'}),
        ("/new", 400, {"content_range": "bytes 0-99/200"}),
        ("/dir", 405, {}),
        ("/dir/", 405, {}),
        ("/new/", 405, {}),
        ("/", 405, {}),
        ("/missing/new", 409, {}),
        ("/file/below", 409, {}),
        ("/locked", 423, {}),
        ("/locked", 412, {"if_": "(<urn:uuid:00000000-0000-0000-0000-000000000000>)"}),
        ("/bad\x01name", 400, {}),
        ("/" + "n" * 256, 400, {}),
    ],
)
def test_what_is_refused_is_refused_before_the_body(
    client: Client, path: str, status: int, headers: dict[str, str]
) -> None:
    client.put("/file", b"old")
    client.mkcol("/dir")
    client.put("/locked", b"old")
    lock(client, "/locked")
    refused = client.put(path, never(), status, announced=100, **headers)
    assert (status == 405) is (refused.header("Allow") is not None)
    assert client.get("/file").body == client.get("/locked").body == b"old"
    client.get("/new", check=404)


def test_a_quota_is_asked_before_the_body(client: Client, tree: Tree) -> None:
    tree.users.add("tom", "tom's password", quota=1000)
    tom = client.as_user("tom")
    tom.put("/small", b"x" * 600)
    tom.put("/large", never(), 507, announced=600)
    tom.put("/large", never(), 507, x_expected_entity_length="600")
    tom.put("/large", never(), 507, announced=10, oc_total_length="600")
    tom.put("/large", iter([b"x" * 600]), 507)
    tom.get("/large", 404)
    tom.put("/other", b"x" * 300, 201)


@pytest.mark.parametrize("header", ["if_match", "if_none_match", "if"])
def test_conditions_are_decided_again_when_the_body_is_there(client: Client, header: str) -> None:
    etag = client.put("/f", b"old").etag
    path, value = {
        "if_match": ("/f", etag),
        "if_none_match": ("/new", "*"),
        "if": ("/f", f"([{etag}])"),
    }[header]

    def overtaken() -> Iterator[bytes]:
        yield b"sl"
        client.put(path, b"the winner")
        yield b"ow"

    client.put(path, overtaken(), 412, **{header: value})
    assert client.get(path).body == b"the winner"


def test_the_directory_may_go_while_the_body_comes(client: Client) -> None:
    client.mkcol("/dir")

    def body() -> Iterator[bytes]:
        yield b"first"
        client.delete("/dir")
        client.mkcol("/dir")
        yield b"second"

    client.put("/dir/f", body(), 409)
    client.get("/dir/f", 404)


def test_a_lock_may_come_while_the_body_does(client: Client) -> None:
    def body() -> Iterator[bytes]:
        yield b"first"
        lock(client, "/f")
        yield b"second"

    client.put("/f", b"old")
    client.put("/f", body(), 423)
    assert client.get("/f").body == b"old"


def test_a_locked_file_takes_its_owners_token_only(client: Client, tree: Tree) -> None:
    tree.users.add("bob", "bob's password")
    client.put("/f", b"1")
    token = lock(client, "/f")
    client.put("/f", b"2", 423)
    client.put("/f", b"2", 204, if_=f"({token})")
    client.put("/f", b"3", 204, if_=f"<http://drive.test/f> ({token})")
    client.put("/f", b"4", 412, if_=f"<http://drive.test/other> ({token})")
    client.as_user("bob").put("/f", b"5", (412, 423), if_=f"({token})")
    assert client.get("/f").body == b"3"


def test_office_sends_its_token_in_the_wrong_header(client: Client) -> None:
    client.put("/f.docx", b"1")
    token = lock(client, "/f.docx")
    word = "Microsoft Office Word 2016"
    client.put("/f.docx", b"2", 204, lock_token=token, user_agent=word)
    client.put("/f.docx", b"3", 423, lock_token=token, user_agent="curl/8")
    client.delete("/f.docx", 423, lock_token=token, user_agent=word)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1557126489", 1557126489), ("1557126489.5", 1557126489), ("-86400", -86400)],
)
def test_the_client_may_say_when_the_file_was_changed(
    client: Client, tree: Tree, value: str, seconds: int
) -> None:
    assert client.put("/f", b"x", x_oc_mtime=value).header("X-OC-MTime") == "accepted"
    node = tree.find(("f",))
    assert node is not None
    assert node.modified_ns // SECOND == seconds


@pytest.mark.parametrize("value", ["NaN", "1" + "0" * 30, "yesterday", ""])
def test_a_time_that_is_none_is_not_taken(client: Client, value: str) -> None:
    assert client.put("/f", b"x", 201, x_oc_mtime=value).header("X-OC-MTime") is None
    assert client.get("/f").body == b"x"


def test_a_checksum_is_kept_with_the_version(client: Client, tree: Tree) -> None:
    checksum = "SHA1:" + hashlib.sha1(b"one").hexdigest()
    client.put("/f", b"one", oc_checksum=checksum)
    assert tree.find(("f",)).checksum.startswith(checksum)
    client.put("/f", b"two")
    assert tree.find(("f",)).checksum == ""


@pytest.mark.parametrize(
    ("header", "body", "result"),
    [
        ("bytes 0-0/3", b"X", b"Xbc"),
        ("bytes 1-2/*", b"YZ", b"aYZ"),
        ("bytes 2-4/5", b"XYZ", b"abXYZ"),
        ("bytes 3-4/*", b"de", b"abcde"),
        ("bytes 5-5/6", b"f", b"abc\0\0f"),
        ("bytes 0-2/3", b"XYZ", b"XYZ"),
    ],
)
def test_a_part_goes_into_its_place(
    client: Client, header: str, body: bytes, result: bytes
) -> None:
    old = client.put("/f", b"abc").etag
    part = client.put("/f", body, 204, content_range=header)
    assert client.get("/f").body == result
    assert part.etag not in (old, "")
    client.put("/f", b"abc")
    client.put("/f", iter([body]), 204, content_range=header)
    assert client.get("/f").body == result


@pytest.mark.parametrize(
    ("header", "body"), [("bytes 0-2/3", b"ab"), ("bytes 0-2/*", b"abcd"), ("bytes 0-1/1", b"ab")]
)
def test_a_part_of_another_length_changes_nothing(client: Client, header: str, body: bytes) -> None:
    client.put("/f", b"123")
    client.put("/f", body, 400, content_range=header)
    client.put("/f", iter([body]), 400, content_range=header)
    assert client.get("/f").body == b"123"


def test_a_part_that_is_all_of_it_may_make_the_file(client: Client) -> None:
    client.put("/f", b"abc", 201, content_range="bytes 0-2/3")
    assert client.get("/f").body == b"abc"


def test_a_part_keeps_to_the_version_it_was_meant_for(client: Client) -> None:
    stale = client.put("/f", b"abc").etag
    client.put("/f", b"xyz")
    client.put("/f", b"A", 412, content_range="bytes 0-0/3", if_match=stale)
    assert client.get("/f").body == b"xyz"
