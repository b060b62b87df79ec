"""From WSGI to the verbs and back: who may what, and what every answer keeps to."""

import logging

import pytest

from tests.dav.client import Client, never
from tgdav.dav import options
from tgdav.dav.requests import VERBS
from tgdav.tree.tree import Tree

CHANGING = [method for method, verb in VERBS.items() if verb.changes]


def test_every_method_that_is_offered_is_carried_out(client: Client) -> None:
    assert tuple(VERBS) == options.METHODS


@pytest.mark.parametrize(
    ("method", "status"),
    [("POST", 405), ("TRACE", 405), ("CONNECT", 405), ("REPORT", 405), ("BREW", 501), ("get", 501)],
)
def test_methods_that_are_not_offered(client: Client, method: str, status: int) -> None:
    refused = client.request(method, "/", check=status)
    assert (status == 405) is (refused.header("Allow") == options.ALLOW)


def test_a_reader_reads_and_no_more(client: Client, tree: Tree) -> None:
    tree.users.add("eve", "eve's password", read_only=True)
    client.put("/f", b"content")
    eve = client.as_user("eve")
    assert eve.get("/f").body == b"content"
    eve.propfind("/")
    for method in CHANGING:
        eve.request(method, "/f", never(), 403, destination="/g")
    assert client.get("/f").body == b"content"


def test_a_user_sees_nothing_above_their_root(client: Client, tree: Tree) -> None:
    tree.users.add("tom", "tom's password", root="/home/tom")
    client.mkcol("/home")
    client.mkcol("/home/tom")
    tom = client.as_user("tom")
    tom.put("/f", b"tom's", 201)
    assert client.get("/home/tom/f").body == b"tom's"
    tom.get("/home/tom/f", 404)
    assert tom.get("/").text == "/ / True f"
    token = tom.lock("/f", LOCK, depth="0").header("Lock-Token")
    assert b">/f<" in tom.put("/f", b"x", 423).body
    tom.put("/f", b"x", 204, if_=f"<http://drive.test/f> ({token})")
    token = client.lock("/home", LOCK, depth="infinity", check=423)
    tom.delete("/f", 423)


LOCK = (
    b'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
    b"<D:locktype><D:write/></D:locktype></D:lockinfo>"
)


def test_a_lock_above_the_root_is_not_named(client: Client, tree: Tree) -> None:
    tree.users.add("tom", "tom's password", root="/secret/tom")
    client.mkcol("/secret")
    client.mkcol("/secret/tom")
    client.lock("/secret", LOCK, depth="infinity")
    body = client.as_user("tom").put("/f", b"x", 423).body
    assert b"<D:lock-token-submitted><D:href>/</D:href>" in body
    assert b"secret" not in body


def test_a_prefix_is_part_of_every_href(tree: Tree, make_client) -> None:
    client = make_client(prefix="/my drive")
    client.put("/f", b"x")
    token = client.lock("/f", LOCK, depth="0").header("Lock-Token")
    assert b">/my%20drive/f<" in client.put("/f", b"x", 423).body
    client.put("/f", b"x", 204, if_=f"<http://drive.test/my%20drive/f> ({token})")
    client.put("/f", b"x", 412, if_=f"<http://drive.test/f> ({token})")


@pytest.mark.parametrize("length", ["-5", "1_0", "+5", "0x5", "5, 5", "\uff15", "1" * 30])
def test_a_length_that_is_none(client: Client, length: str) -> None:
    client.defaults = {"CONTENT_LENGTH": length}
    client.put("/f", never(), 400, announced=1)
    client.defaults = {}
    client.get("/f", 404)


@pytest.mark.parametrize("path", ["/a\x00b", "/a\nb", "/a\x7fb", "/a/../b", "/a//b", "/\ufffe"])
def test_paths_that_no_drive_has(client: Client, path: str) -> None:
    for method in ("GET", "PUT", "MKCOL", "DELETE", "PROPFIND"):
        client.request(method, path, check=400, depth="0")


def test_what_was_not_foreseen_is_told_to_the_log_only(client, tree, monkeypatch, caplog) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the text of an exception")

    monkeypatch.setattr(tree, "find", broken)
    with caplog.at_level(logging.ERROR):
        answer = client.get("/f", 500)
    assert b"text of" not in answer.body
    assert "the text of an exception" in caplog.text


def test_an_answer_that_cannot_be_sent_lets_go_of_its_content(client: Client, tree: Tree) -> None:
    client.put("/f", b"x" * 3_000_000)

    def gone(*_: object) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        client.app(client.environ("GET", "/f"), gone)


def test_wsgidav_is_told_what_is_left_on_the_line(client: Client) -> None:
    refused = client.environ("PUT", "/none/f", b"body")
    client.app(refused, lambda *_: None)
    assert "wsgidav.all_input_read" not in refused
    taken = client.environ("PUT", "/f", b"body")
    client.app(taken, lambda *_: None)
    assert taken["wsgidav.all_input_read"]
