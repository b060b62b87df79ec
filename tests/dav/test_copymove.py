"""COPY and MOVE: names as clients write them, what is overwritten, what may not be."""

from urllib.parse import quote

import pytest

from tests.dav.multistatus import responses
from tests.dav.test_propfind import NAMES

BASE = "http://drive.test"


@pytest.fixture
def drive(client):
    client.mkcol("/src")
    client.mkcol("/src/sub")
    client.put("/src/a", b"aaa")
    client.put("/src/sub/b", b"bbb")
    return client


def test_a_file_is_copied(drive):
    drive.copy("/src/a", "/b", check=201)
    assert drive.get("/b").body == drive.get("/src/a").body == b"aaa"


def test_a_file_is_moved(drive):
    drive.move("/src/a", f"{BASE}/b", check=201)
    assert drive.get("/b").body == b"aaa"
    drive.get("/src/a", check=404)


@pytest.mark.parametrize("headers", [{}, {"depth": "infinity"}])
def test_a_directory_is_copied_whole(drive, headers):
    drive.copy("/src/", f"{BASE}/deep/", **headers)
    assert drive.get("/deep/sub/b").body == b"bbb"


def test_a_directory_is_copied_without_what_it_holds(drive):
    drive.copy("/src", "/shallow", depth="0")
    assert [one.href for one in responses(drive.propfind("/shallow", depth="1"))] == ["/shallow/"]


def test_a_directory_is_moved_without_slashes(drive):
    drive.move("/src", "/New%20folder", overwrite="F")
    assert drive.get("/New folder/sub/b").body == b"bbb"
    drive.propfind("/src", check=404)


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_what_is_there_is_replaced(drive, method):
    drive.put("/t", b"old")
    drive.request(method, "/src/a", destination="/t", check=204)
    assert drive.get("/t").body == b"aaa"


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_what_is_there_stays_without_overwrite(drive, method):
    drive.put("/t", b"old")
    drive.request(method, "/src/a", destination="/t", overwrite="F", check=412)
    assert drive.get("/t").body == b"old"
    assert drive.get("/src/a").body == b"aaa"


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_without_a_parent(drive, method):
    drive.request(method, "/src/a", destination="/no/t", check=409)
    drive.get("/src/a")


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_where_nothing_is(drive, method):
    for path in ("/missing", "/src/a/"):
        drive.request(method, path, destination="/t", check=404)


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("/src/", "/src/sub/x/"),
        ("/src", "/src"),
        ("/src/a", "/src/a"),
        ("/", "/src/x"),
        ("/src", "/"),
    ],
)
def test_no_node_is_put_onto_itself_or_below(drive, method, source, target):
    drive.request(method, source, destination=target, check=403)
    assert drive.get("/src/sub/b").body == b"bbb"


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"destination": ""}, 400),
        ({"destination": "t"}, 400),
        ({"destination": "http://["}, 400),
        ({"destination": "http://evil.test/t"}, 502),
        ({"destination": "https://drive.test/t"}, 502),
        ({"destination": "ftp://drive.test/t"}, 502),
        ({"destination": "http://evil.test/t", "x_forwarded_host": "evil.test"}, 502),
        ({"destination": "/../t"}, 400),
        ({"destination": "/..%2ft"}, 400),
        ({"destination": "/%ff"}, 400),
        ({"destination": "/a%01"}, 400),
        ({"destination": "/" + "a" * 300}, 400),
        ({"destination": "/t", "overwrite": "X"}, 400),
        ({"destination": "/t", "depth": "1"}, 400),
        ({"destination": "/t", "depth": ""}, 400),
    ],
)
def test_headers_that_say_nothing_clear(drive, method, headers, status):
    got = drive.request(method, "/src", **headers).status
    assert got == status or (got, status) == (502, 400)
    assert drive.get("/src/a").body == b"aaa"
    drive.propfind("/t", check=404)


def test_a_directory_is_not_moved_in_part(drive):
    drive.move("/src", "/t", depth="0", check=400)
    drive.get("/src/a")


@pytest.mark.parametrize("name", NAMES)
def test_the_name_in_the_destination_is_exact(drive, name):
    drive.put("/a", b"precious")
    drive.move("/src/a", f"{BASE}/{quote(name, safe='')}")
    assert drive.get("/" + name).body == b"aaa"
    assert drive.get("/a").body == b"precious"


@pytest.mark.parametrize("name", ["a;b.txt", "a#b.txt", "p(1).txt", "a+b"])
def test_signs_that_kde_leaves_as_they_are(drive, name):
    drive.move("/src/a", f"{BASE}/{name}")
    assert drive.get("/" + name).body == b"aaa"


def test_letters_that_nobody_encoded(drive):
    drive.move("/src/a", f"{BASE}/ёж".encode().decode("latin-1"))
    assert drive.get("/ёж").body == b"aaa"


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_properties_go_along(drive, method):
    drive.proppatch(
        "/src/sub",
        b'<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><v xmlns="urn:x">1</v></D:prop></D:set>'
        b"</D:propertyupdate>",
    )
    drive.request(method, "/src", destination="/t", check=201)
    (one,) = responses(drive.propfind("/t/sub"))
    assert one.values(200)["{urn:x}v"] == "1"


def test_case_only_rename(drive):
    drive.move("/src/a", "/src/A", overwrite="F")
    assert [one.name for one in responses(drive.propfind("/src", depth="1"))[1:]] == ["A", "sub"]


def test_a_user_moves_within_their_own_root(drive, users):
    users.add("bob", "secret", root="/src")
    bob = drive.as_user("bob")
    bob.move("/a", "/sub/a")
    assert drive.get("/src/sub/a").body == b"aaa"
    for source, target in (("/sub", "/"), ("/", "/sub/x"), ("/", "/x")):
        bob.move(source, target, check=403)
    assert drive.get("/src/sub/a").body == b"aaa"


def test_a_stale_condition(drive):
    for method in ("COPY", "MOVE"):
        drive.request(method, "/src/a", destination="/t", if_match='"stale"', check=412)
    drive.propfind("/t", check=404)


def test_a_true_condition(drive):
    etag = drive.get("/src/a").etag
    drive.copy("/src/a", "/t", if_match=etag)
    drive.move("/src/a", "/t2", if_match=etag)
