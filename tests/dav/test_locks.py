"""LOCK and UNLOCK, and how locks show: the sequences of Explorer, Finder, Office, davfs2."""

import re

import pytest

from tests.dav.multistatus import D, responses

EXCLUSIVE = (
    b'<?xml version="1.0" encoding="utf-8"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/>'
    b"</D:lockscope><D:locktype><D:write/></D:locktype><D:owner><D:href>DESKTOP-1\\user</D:href>"
    b"</D:owner></D:lockinfo>"
)
SHARED = EXCLUSIVE.replace(b"exclusive", b"shared")
PATCH = (
    b'<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><v xmlns="urn:x">1</v></D:prop></D:set>'
    b"</D:propertyupdate>"
)
DISCOVERY = b'<D:propfind xmlns:D="DAV:"><D:prop><D:lockdiscovery/></D:prop></D:propfind>'


def lock(client, path: str, body: bytes = EXCLUSIVE, **headers: str) -> str:
    """The token."""
    answer = client.lock(path, body, **headers)
    token = answer.header("Lock-Token")
    assert token is not None
    assert token[1:-1] in answer.text
    return token[1:-1]


def seconds(answer) -> int:
    match = re.search(r"<D:timeout>Second-(\d+)</D:timeout>", answer.text)
    assert match is not None
    return int(match[1])


def tokens(client, path: str, depth: str = "0") -> list[list[str]]:
    """Of each node that is listed."""
    return [
        [e.text or "" for e in one.element.iterfind(f".//{D}locktoken/{D}href")]
        for one in responses(client.propfind(path, DISCOVERY, depth=depth))
    ]


@pytest.fixture
def file(client):
    client.put("/f", b"old")
    return "/f"


@pytest.fixture
def bob(client, users):
    users.add("bob", "secret")
    return client.as_user("bob")


def test_a_lock_keeps_others_out(client, file):
    token = lock(client, file, timeout="Second-3600")
    for method in ("PUT", "DELETE", "PROPPATCH", "LOCK"):
        body = {"PUT": b"new", "LOCK": EXCLUSIVE, "PROPPATCH": PATCH}.get(method, b"")
        client.request(method, file, body, check=423)
    client.move(file, "/g", check=423)
    client.request("PUT", file, b"new", check=204, **{"if": f"(<{token}>)"})
    assert client.get(file).body == b"new"


def test_the_answer_tells_all_of_the_lock(client, file):
    answer = client.lock(file, EXCLUSIVE, depth="0", check=200)
    active = answer.xml.find(f"{D}lockdiscovery/{D}activelock")
    assert active is not None
    assert active.find(f"{D}lockscope/{D}exclusive") is not None
    assert active.find(f"{D}locktype/{D}write") is not None
    assert active.findtext(D + "depth") == "0"
    assert active.findtext(f"{D}owner/{D}href") == "DESKTOP-1\\user"
    assert active.findtext(f"{D}lockroot/{D}href") == "/f"


def test_the_answer_to_a_refused_change_names_the_lock(client, file):
    lock(client, file)
    answer = client.put(file, b"new", check=423)
    assert answer.xml.findtext(f"{D}lock-token-submitted/{D}href") == "/f"


def test_the_answer_to_a_refused_lock_names_the_rival(client, file):
    lock(client, file)
    answer = client.lock(file, EXCLUSIVE, check=423)
    assert answer.xml.findtext(f"{D}no-conflicting-lock/{D}href") == "/f"


def test_a_lock_where_nothing_is_makes_an_empty_file(client):
    client.lock("/new", EXCLUSIVE, check=201)
    assert client.get("/new").body == b""
    (one,) = responses(client.propfind("/new"))
    assert not one.is_collection


@pytest.mark.parametrize(("path", "status"), [("/no/f", 409), ("/new/", 409), ("/a\x01", 400)])
def test_a_lock_where_nothing_can_be(client, path, status):
    client.lock(path, EXCLUSIVE, check=status)
    assert len(responses(client.propfind("/", depth="1"))) == 1


@pytest.mark.parametrize(
    ("timeout", "granted"),
    [
        ("Second-180", 180),
        ("Infinite, Second-600", 600),
        ("Second-4100000000", 3600),
        ("Second-99999999999999", 3600),
        ("Infinite", 3600),
        ("Second--5", 3600),
        ("Second-0", 1),
        ("garbage", 3600),
        ("", 3600),
    ],
)
def test_no_lock_lasts_longer_than_ours(client, file, timeout, granted):
    assert seconds(client.lock(file, EXCLUSIVE, timeout=timeout)) in (granted, granted - 1)


def test_a_lock_is_refreshed(client, file):
    token = lock(client, file, timeout="Second-60")
    answer = client.lock(file, check=200, timeout="Second-600", **{"if": f"(<{token}>)"})
    assert seconds(answer) in (600, 599)
    assert token in answer.text
    assert answer.header("Lock-Token") is None


def test_a_refresh_from_below_the_locked_directory(client):
    client.mkcol("/d")
    client.put("/d/f")
    token = lock(client, "/d")
    assert token in client.lock("/d/f", check=200, **{"if": f"(<{token}>)"}).text


def test_a_refresh_of_no_lock(client, file):
    client.lock(file, check=400)
    client.lock(file, check=412, **{"if": "(<urn:uuid:00000000-0000-0000-0000-000000000000>)"})


def test_a_lock_is_given_up(client, file):
    token = lock(client, file)
    client.unlock(file, token)
    client.put(file, b"new")
    client.unlock(file, token, check=409)


def test_a_token_without_brackets_is_understood(client, file):
    client.request("UNLOCK", file, lock_token=lock(client, file), check=204)


def test_unlocking_what_is_not_locked_so(client, file):
    lock(client, file)
    answer = client.unlock(file, "urn:uuid:00000000-0000-0000-0000-000000000000", check=409)
    assert answer.xml.find(D + "lock-token-matches-request-uri") is not None
    client.request("UNLOCK", file, check=400)
    client.unlock("/missing", "urn:x", check=404)


def test_another_users_token_opens_nothing(client, bob, file):
    token = lock(client, file)
    theirs = {"if": f"(<{token}>)"}
    for method in ("PUT", "DELETE"):
        bob.request(method, file, b"", check=(403, 412, 423), **theirs)
    bob.move(file, "/g", check=(403, 412, 423), **theirs)
    bob.unlock(file, token, check=403)
    bob.lock(file, check=412, **theirs)
    assert client.get(file).body == b"old"


def test_shared_locks_stand_together(client, bob, file):
    first = lock(client, file, SHARED)
    second = lock(bob, file, SHARED)
    assert sorted(tokens(client, file)[0]) == sorted([first, second])
    client.lock(file, EXCLUSIVE, check=423)


@pytest.mark.parametrize(
    "body",
    [
        b'<D:lockinfo xmlns:D="DAV:"/>',
        b"<a>",
        EXCLUSIVE.replace(b"<D:exclusive/>", b""),
        EXCLUSIVE.replace(b"<D:exclusive/>", b"<D:exclusive/><D:shared/>"),
        EXCLUSIVE.replace(b"<D:write/>", b"<D:read/>"),
        EXCLUSIVE.replace(b"lockinfo", b"locking"),
    ],
)
def test_other_bodies_are_refused(client, file, body):
    client.lock(file, body, check=400)
    assert tokens(client, file) == [[]]


def test_a_depth_between_is_refused(client, file):
    client.lock(file, EXCLUSIVE, depth="1", check=400)


def test_a_long_owner_is_refused(client, file):
    client.lock(file, EXCLUSIVE.replace(b"user", b"u" * 5000), check=413)


def test_comments_in_the_body(client, file):
    client.lock(file, EXCLUSIVE.replace(b"<D:locktype>", b"<!-- c --><D:locktype>"), check=200)


def test_an_owner_that_is_text(client, file):
    plain = EXCLUSIVE.replace(b"<D:href>DESKTOP-1\\user</D:href>", b"a &lt; b")
    assert "a &lt; b" in client.lock(file, plain).text


def test_no_owner(client, file):
    body = re.sub(rb"<D:owner>.*</D:owner>", b"", EXCLUSIVE)
    assert client.lock(file, body).xml.find(f".//{D}owner") is None


def test_members_show_the_lock_of_their_directory(client):
    client.mkcol("/d")
    client.put("/d/a")
    client.put("/d/b")
    client.mkcol("/d/sub")
    token = lock(client, "/d", SHARED)
    own = lock(client, "/d/b", SHARED, depth="0")
    assert tokens(client, "/d", depth="1") == [[token], [token], [token, own], [token]]
    assert tokens(client, "/d/a") == [[token]]


def test_members_do_not_show_a_lock_of_depth_zero(client):
    client.mkcol("/d")
    client.put("/d/a")
    token = lock(client, "/d", depth="0")
    assert tokens(client, "/d", depth="1") == [[token], []]
    client.put("/d/new", check=423)
    client.put("/d/a", b"free")


def test_a_listing_shows_locks_only_where_some_are(client, file):
    assert b"lockdiscovery" not in client.propfind(file).body
    lock(client, file)
    assert b"activelock" in client.propfind(file).body
    assert b"activelock" in client.propfind("/", depth="1").body


def test_no_lock_is_an_empty_element(client, file):
    (one,) = responses(client.propfind(file, DISCOVERY))
    assert one.values(200) == {D + "lockdiscovery": ""}


def test_a_moved_node_is_not_locked_any_more(client, file):
    token = lock(client, file)
    client.move(file, "/g", **{"if": f"(<{token}>)"})
    client.put(file, b"new", check=201)
    client.put("/g", b"new", check=204)


def test_a_locked_child_keeps_the_directory(client):
    client.mkcol("/d")
    client.put("/d/f", b"x")
    lock(client, "/d/f")
    answer = client.delete("/d", check=423)
    assert answer.xml.findtext(f"{D}lock-token-submitted/{D}href") == "/d/f"
    client.move("/d", "/e", check=423)
    assert client.get("/d/f").body == b"x"


def test_a_lock_above_the_users_root_is_told_as_theirs(client, users):
    client.mkcol("/home")
    client.mkcol("/home/eve")
    client.put("/home/eve/f")
    token = lock(client, "/home")
    users.add("eve", "secret", root="/home/eve")
    eve = client.as_user("eve")
    assert tokens(eve, "/f") == [[token]]
    assert "home" not in eve.propfind("/f", DISCOVERY).text
    assert "home" not in eve.put("/f", b"", check=423).text
