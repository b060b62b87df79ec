"""Preconditions: RFC 9110, 13 in its order, and the If header on the tree's real locks."""

import pytest

from tests.dav.client import Client
from tgdav.dav.dates import SECOND, http_date
from tgdav.tree.tree import Tree

LOCK = (
    '<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:{}/></D:lockscope>'
    "<D:locktype><D:write/></D:locktype></D:lockinfo>"
)
CHANGED = 1_500_000_000
LATER, EARLIER = http_date((CHANGED + 1) * SECOND), http_date((CHANGED - 1) * SECOND)
SAME = http_date(CHANGED * SECOND)


@pytest.fixture
def etag(client: Client) -> str:
    """Of /f, changed at `CHANGED`."""
    return client.put("/f", b"content", x_oc_mtime=f"{CHANGED}.7").etag


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"if_match": "E"}),
        (200, {"if_match": "*"}),
        (200, {"if_match": '"x", E'}),
        (412, {"if_match": '"x"'}),
        (412, {"if_match": "W/E"}),
        (412, {"if_match": "garbage"}),
        (412, {"if_match": ""}),
        (304, {"if_none_match": "E"}),
        (304, {"if_none_match": "W/E"}),
        (304, {"if_none_match": '"x", E'}),
        (304, {"if_none_match": "*"}),
        (200, {"if_none_match": '"x"'}),
        (200, {"if_none_match": "garbage"}),
        (304, {"if_modified_since": SAME}),
        (304, {"if_modified_since": LATER}),
        (200, {"if_modified_since": EARLIER}),
        (200, {"if_unmodified_since": SAME}),
        (200, {"if_unmodified_since": LATER}),
        (412, {"if_unmodified_since": EARLIER}),
        (200, {"if_modified_since": "garbage"}),
        (200, {"if_modified_since": "Fri, 31 Dec 99999 23:59:59 GMT"}),
        (200, {"if_unmodified_since": "Fri, 31 Feb 2017 00:00:00 GMT"}),
        (200, {"if_modified_since": "\xff\xfe"}),
        # An ETag outweighs a date.
        (200, {"if_match": "E", "if_unmodified_since": EARLIER}),
        (412, {"if_match": '"x"', "if_unmodified_since": LATER}),
        (200, {"if_none_match": '"x"', "if_modified_since": LATER}),
        (304, {"if_none_match": "E", "if_modified_since": EARLIER}),
        # What must match comes before what must not.
        (412, {"if_match": '"x"', "if_none_match": "E"}),
        (412, {"if_unmodified_since": EARLIER, "if_none_match": "E"}),
        (304, {"if_match": "E", "if_none_match": "E"}),
        (412, {"if": "([E] <urn:x>)"}),
        (200, {"if": "([E])"}),
        (412, {"if": "(Not [E])"}),
    ],
)
def test_reading(client: Client, etag: str, status: int, headers: dict[str, str]) -> None:
    headers = {
        name: value.replace("E", etag, 1) if "GMT" not in value else value
        for name, value in headers.items()
    }
    for method in ("GET", "HEAD"):
        answer = client.request(method, "/f", check=status, **headers)
        if status == 304:
            assert answer.etag == etag
            assert answer.header("Last-Modified") == SAME


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (204, {"if_match": "E"}),
        (412, {"if_match": '"x"'}),
        (412, {"if_none_match": "E"}),
        (412, {"if_none_match": "*"}),
        (204, {"if_none_match": '"x"'}),
        (412, {"if_unmodified_since": EARLIER}),
        (204, {"if_unmodified_since": SAME}),
        (204, {"if_unmodified_since": "garbage"}),
        (204, {"if_modified_since": LATER}),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_changing(
    client: Client, etag: str, status: int, headers: dict[str, str], method: str
) -> None:
    headers = {
        name: value.replace("E", etag, 1) if "GMT" not in value else value
        for name, value in headers.items()
    }
    client.request(method, "/f", b"new" if method == "PUT" else b"", status, **headers)


def token_of(client: Client, path: str, depth: str = "0", scope: str = "exclusive") -> str:
    token = client.lock(path, LOCK.format(scope).encode(), depth=depth).header("Lock-Token")
    assert token is not None
    return token


def test_a_token_and_an_etag(client: Client, etag: str) -> None:
    token = token_of(client, "/f")
    client.put("/f", b"1", 412, if_=f'({token} ["x"])')
    client.put("/f", b"1", 412, if_=f"({token} Not [{etag}])")
    client.put("/f", b"1", 423, if_=f"([{etag}])")
    client.put("/f", b"1", 204, if_=f"({token} [{etag}])")
    client.put("/f", b"2", 204, if_=f"([{etag}]) ({token} Not <DAV:no-lock>)")


def test_a_token_of_the_directory_above(client: Client) -> None:
    client.mkcol("/d")
    token = token_of(client, "/d", depth="infinity")
    client.put("/d/f", b"1", 423)
    client.put("/d/f", b"1", 201, if_=f"({token})")
    client.put("/d/f", b"2", 204, if_=f"</d> ({token})")
    client.put("/d/f", b"2", 204, if_=f"<http://drive.test/d/> ({token})")


def test_a_lock_on_the_directory_alone_guards_its_names(client: Client) -> None:
    client.mkcol("/d")
    token = token_of(client, "/d", depth="0")
    client.put("/d/f", b"1", 423)
    client.put("/d/f", b"1", 412, if_=f"({token})")
    client.put("/d/f", b"1", 201, if_=f"</d> ({token})")
    client.put("/d/f", b"2", 204)


def test_an_unknown_token_is_false_and_not_an_error(client: Client, etag: str) -> None:
    client.put("/f", b"1", 412, if_="(<urn:uuid:nobody>)")
    client.put("/f", b"1", 412, if_="<http://drive.test/f> (<urn:uuid:nobody>)")
    client.put("/f", b"1", 204, if_="(Not <urn:uuid:nobody>)")
    client.put("/f", b"1", 204, if_="(<urn:uuid:nobody>) (Not <DAV:no-lock>)")


def test_resources_that_are_not_ours_have_no_state(client: Client, etag: str) -> None:
    client.put("/f", b"1", 412, if_=f"<http://elsewhere/f> ([{etag}])")
    client.put("/f", b"1", 412, if_=f"<nonsense> ([{etag}])")
    client.put("/f", b"1", 412, if_=f"</a%00b> ([{etag}])")
    client.put("/f", b"1", 204, if_=f"</missing> (Not [{etag}])")


def test_the_etag_of_another_resource(client: Client, etag: str) -> None:
    client.put("/g", b"1", 201, if_=f"</f> ([{etag}])")
    client.put("/g", b"1", 412, if_=f"</f> (Not [{etag}])")


def test_shared_locks_need_one_of_their_tokens(client: Client, tree: Tree) -> None:
    tree.users.add("bob", "bob's password")
    client.put("/f", b"1")
    mine = token_of(client, "/f", scope="shared")
    other = token_of(client.as_user("bob"), "/f", scope="shared")
    client.put("/f", b"2", 423)
    client.put("/f", b"2", 204, if_=f"({mine})")
    client.put("/f", b"3", (412, 423), if_=f"({other})")


@pytest.mark.parametrize("value", ["(" * 60000, "<http://x> (<t>)" * 3700, "garbage", ""])
def test_an_if_header_that_cannot_be_read(client: Client, etag: str, value: str) -> None:
    client.put("/f", b"1", 400, if_=value)
    client.get("/f", 400, if_=value)
    assert client.get("/f").body == b"content"
