"""PROPFIND as clients send it: bodies of recorded requests, answers as they need them."""

from collections.abc import Iterator

import pytest

from tests.dav.client import Client
from tests.dav.multistatus import D, responses
from tgdav.dav import multistatus, propfind
from tgdav.tree import properties
from tgdav.tree.permit import Permit
from tgdav.tree.tree import Tree

ALLPROP = b'<D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>'


def named(*names: str, namespaces: str = "") -> bytes:
    inside = "".join(f"<{name}/>" for name in names)
    return (
        f'<D:propfind xmlns:D="DAV:" {namespaces}><D:prop>{inside}</D:prop></D:propfind>'
    ).encode()


@pytest.fixture
def tree_of_three(client):
    client.mkcol("/d")
    client.mkcol("/d/sub")
    client.put("/d/f.txt", b"hello")
    return client


def test_no_body_asks_for_everything(tree_of_three):
    (one,) = responses(tree_of_three.propfind("/d/f.txt"))
    assert one.href == "/d/f.txt"
    assert one.values(200)[D + "getcontentlength"] == "5"
    assert one.values(200)[D + "getcontenttype"] == "text/plain"
    assert one.values(200)[D + "displayname"] == "f.txt"
    assert one.names(404) == set()


def test_allprop_says_the_same(tree_of_three):
    assert (
        tree_of_three.propfind("/d/f.txt", ALLPROP).body == tree_of_three.propfind("/d/f.txt").body
    )


def test_the_etag_is_the_headers(tree_of_three):
    etag = tree_of_three.get("/d/f.txt").header("ETag")
    (one,) = responses(tree_of_three.propfind("/d/f.txt", named("D:getetag")))
    assert one.values(200) == {D + "getetag": etag}


def test_a_directory_and_what_it_holds(tree_of_three):
    found = responses(tree_of_three.propfind("/d", depth="1"))
    assert [one.href for one in found] == ["/d/", "/d/f.txt", "/d/sub/"]
    assert [one.is_collection for one in found] == [True, False, True]


def test_depth_zero_is_the_directory_alone(tree_of_three):
    assert [one.href for one in responses(tree_of_three.propfind("/d"))] == ["/d/"]


def test_depth_one_of_a_file_is_the_file(tree_of_three):
    found = responses(tree_of_three.propfind("/d/f.txt", depth="1"))
    assert [one.href for one in found] == ["/d/f.txt"]


@pytest.mark.parametrize("headers", [{"depth": "infinity"}, {"depth": "Infinity"}, {}])
def test_a_directory_has_no_infinite_listing(tree_of_three, headers):
    answer = tree_of_three.request("PROPFIND", "/d", **headers, check=403)
    assert answer.xml.find(D + "propfind-finite-depth") is not None


def test_a_file_is_as_deep_as_one_likes(tree_of_three):
    tree_of_three.propfind("/d/f.txt", depth="infinity")


@pytest.mark.parametrize("depth", ["", "2", "7", "1,noroot", "-1"])
def test_other_depths_are_refused(tree_of_three, depth):
    tree_of_three.propfind("/d", depth=depth, check=400)


@pytest.mark.parametrize("path", ["/missing", "/d/f.txt/below", "/d/f.txt/"])
def test_where_nothing_is(tree_of_three, path):
    tree_of_three.propfind(path, check=404)


def test_a_stale_condition(tree_of_three):
    tree_of_three.propfind("/d/f.txt", **{"if": '(["stale"])'}, check=412)


def test_what_is_not_there_is_told_apart(tree_of_three):
    body = named("D:getcontentlength", "D:resourcetype", "x:v", namespaces='xmlns:x="urn:x"')
    (one,) = responses(tree_of_three.propfind("/d", body))
    assert one.names(200) == {D + "resourcetype"}
    assert one.names(404) == {D + "getcontentlength", "{urn:x}v"}


def test_nothing_found_has_no_empty_success(tree_of_three):
    body = named("x:v", namespaces='xmlns:x="urn:x"')
    (one,) = responses(tree_of_three.propfind("/d", body))
    assert one.statuses == [404]


@pytest.mark.parametrize("headers", [{"brief": "t"}, {"prefer": "respond-async, return=minimal"}])
def test_brief_clients_are_not_told_what_is_missing(tree_of_three, headers):
    body = named("x:v", namespaces='xmlns:x="urn:x"')
    answer = tree_of_three.propfind("/d", body, **headers)
    (one,) = responses(answer)
    assert one.statuses == [200]
    assert answer.header("Preference-Applied") == "return=minimal"


def test_nothing_asked_for_is_still_an_answer(tree_of_three):
    (one,) = responses(tree_of_three.propfind("/d", named()))
    assert one.statuses == [200]
    assert one.names(200) == set()


def test_names_only(tree_of_three):
    body = b'<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>'
    tree_of_three.proppatch(
        "/d/f.txt",
        b'<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><v xmlns="urn:x">1</v></D:prop></D:set>'
        b"</D:propertyupdate>",
    )
    (one,) = responses(tree_of_three.propfind("/d/f.txt", body))
    assert {D + "getcontentlength", D + "supportedlock", "{urn:x}v"} <= one.names(200)
    assert not any(one.values(200).values())


def test_allprop_can_include_more(tree_of_three):
    body = (
        b'<D:propfind xmlns:D="DAV:"><D:allprop/><D:include><D:quota-used-bytes/>'
        b"<D:supportedlock/><D:no-such/></D:include></D:propfind>"
    )
    (one,) = responses(tree_of_three.propfind("/d", body))
    assert {D + "quota-used-bytes", D + "supportedlock", D + "displayname"} <= one.names(200)


@pytest.mark.parametrize(
    "body",
    [
        b"<a/>",
        b'<D:propfind xmlns:D="DAV:"/>',
        b'<D:propfind xmlns:D="DAV:"><D:allprop/><D:propname/><D:prop/></D:propfind>',
        b'<D:prop xmlns:D="DAV:"/>',
    ],
)
def test_other_elements_are_refused(tree_of_three, body):
    tree_of_three.propfind("/d", body, check=400)


def test_elements_of_the_future_are_passed_over(tree_of_three):
    body = b'<D:propfind xmlns:D="DAV:"><D:new/><D:prop><D:getetag/></D:prop></D:propfind>'
    (one,) = responses(tree_of_three.propfind("/d/f.txt", body))
    assert one.names(200) == {D + "getetag"}


def test_a_body_in_chunks_is_read(tree_of_three):
    body = named("D:getetag")
    (one,) = responses(tree_of_three.propfind("/d/f.txt", iter([body[:10], body[10:]])))
    assert one.names(200) == {D + "getetag"}


def test_a_long_body_is_refused_before_it_is_read(tree_of_three):
    # Nothing more than one byte ever comes: reading on would be a 400.
    tree_of_three.propfind("/d", b"x", announced=(64 << 10) + 1, check=413)


def test_a_long_body_in_chunks_is_read_no_further_than_the_bound(tree_of_three):
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield b" " * 4096

    tree_of_three.propfind("/d", endless(), check=413)
    assert asked <= 20


def test_a_coded_body_is_refused(tree_of_three):
    tree_of_three.propfind("/d", b"x", content_encoding="gzip", check=415)


@pytest.mark.parametrize(
    "body",
    [
        named(*(f"D:{'n' * 200}{i}" for i in range(60))),
        named("x:v", namespaces=f"xmlns:x='{'&amp;' * 2000}'"),
        named("x:v", namespaces=f"xmlns:x='{'Ж' * 5000}'"),
    ],
    ids=["many", "longer when they are quoted", "longer when they are encoded"],
)
def test_names_that_make_long_answers_are_refused(tree_of_three, body):
    tree_of_three.propfind("/d", body, check=413)


NAMES = [
    "a%b", "a%20b", "a#b", "a?b", "a;b", "a&b", "a+b", "a=b", "a,b", "a:b", "a@b", "a!b", "a'b",
    'a"b', "a[b]", "a{b}", "a~b", "a^b", "a`b", "a|b", "a*b", "a<b>", "a$b", "a b", "p(1)",
    "trailing ", "dot.", "..x", "CON", "Отчёт 2026.txt", "😀.txt", "\u202egpj.exe", "\\",
]  # fmt: skip


def test_every_name_is_listed_once_and_comes_back_as_it_is(client):
    client.mkcol("/names")
    for name in NAMES:
        client.put(f"/names/{name}", b"x", check=201)
    found = responses(client.propfind("/names", depth="1"))[1:]
    assert sorted(one.name for one in found) == sorted(NAMES)
    assert {one.name: one.values(200)[D + "displayname"] for one in found} == {
        name: name for name in NAMES
    }


def test_hrefs_keep_parentheses_and_write_large_letters(client):
    client.put("/x(1) ü.txt", b"x")
    assert responses(client.propfind("/x(1) ü.txt"))[0].href == "/x(1)%20%C3%BC.txt"


def test_more_than_a_page_comes_in_order(client, monkeypatch):
    monkeypatch.setattr(propfind, "PAGE", 3)
    client.mkcol("/many")
    for number in range(7):
        client.put(f"/many/{number}", b"x")
    hrefs = [one.href for one in responses(client.propfind("/many", depth="1"))]
    assert hrefs == ["/many/", *(f"/many/{number}" for number in range(7))]


def pieces(client: Client, path: str, body: bytes = b"") -> Iterator[bytes]:
    environ = client.environ("PROPFIND", path, body, headers={"depth": "1"})
    return iter(client.app(environ, lambda *_: None))


def test_what_is_longer_than_a_piece_is_streamed(client, monkeypatch):
    client.mkcol("/d")
    for number in range(9):
        client.put(f"/d/{number}", b"x")
    whole = client.propfind("/d", depth="1")
    assert whole.header("Content-Length") is not None
    monkeypatch.setattr(multistatus, "PIECE", 1000)
    streamed = client.propfind("/d", depth="1")
    assert streamed.header("Content-Length") is None
    assert streamed.body == whole.body
    sizes = [len(piece) for piece in pieces(client, "/d")]
    assert len(sizes) > 3
    assert max(sizes) < 2000


class TestLargeProperties:
    """A megabyte on each of a few files, which a page of nodes would hold at once."""

    COUNT = 12

    @pytest.fixture
    def large(self, client: Client, tree: Tree) -> Client:
        client.mkcol("/d")
        client.put("/d/0")
        values = {f"{{u}}{n}": f"<v xmlns='u'>{'v' * 64000}</v>" for n in range(16)}
        tree.properties.change(("d", "0"), Permit("ann"), values, ())
        for number in range(1, self.COUNT):
            client.copy("/d/0", f"/d/{number}")
        return client

    @pytest.fixture
    def read(self, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many bytes of values were read at once."""
        read, of = [], tree.properties.of

        def noted(nodes: list[int]) -> dict[int, dict[str, str]]:
            found = of(nodes)
            read.append(sum(len(value) for each in found.values() for value in each.values()))
            return found

        monkeypatch.setattr(tree.properties, "of", noted)
        return read

    def test_no_more_is_held_than_one_node_may_have(self, large: Client, read: list[int]) -> None:
        sizes = [len(piece) for piece in pieces(large, "/d")]
        assert sum(sizes) > self.COUNT * 1024000
        assert max(sizes) < multistatus.PIECE + properties.NODE_LIMIT
        assert sum(read) == self.COUNT * 16 * len(f"<v xmlns='u'>{'v' * 64000}</v>")
        assert max(read) <= properties.NODE_LIMIT

    def test_nothing_is_read_before_it_is_sent(self, large: Client, read: list[int]) -> None:
        begun = pieces(large, "/d")
        next(begun)
        assert sum(read) <= 2 * properties.NODE_LIMIT
        assert len(b"".join(begun)) > (self.COUNT - 2) * 1024000


def test_the_root_has_no_name(client):
    (one,) = responses(client.propfind("/"))
    assert one.href == "/"
    assert D + "displayname" not in one.names(200)


def test_a_user_sees_the_drive_from_their_own_root(client, users):
    client.mkcol("/home")
    client.mkcol("/home/bob")
    client.put("/home/bob/f", b"x")
    users.add("bob", "secret", root="/home/bob")
    found = responses(client.as_user("bob").propfind("/", depth="1"))
    assert [one.href for one in found] == ["/", "/f"]
