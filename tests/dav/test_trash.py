"""`.trash`: what was deleted, to be looked into."""

import pytest

from tests.dav.multistatus import responses


@pytest.fixture
def thrown(client):
    client.mkcol("/d", check=201)
    client.put("/d/f ü", b"content", check=201)
    client.mkcol("/d/sub", check=201)
    client.put("/d/sub/g", b"deep", check=201)
    client.delete("/d", check=204)
    client.put("/x", b"x", check=201)
    client.delete("/x", check=204)
    return client


def listed(client, path):
    first, *rest = responses(client.propfind(path, depth="1"))
    assert first.is_collection
    return sorted(each.name for each in rest)


def test_it_is_not_listed_but_can_be_opened(thrown):
    assert listed(thrown, "/") == []
    entries = listed(thrown, "/.trash/")
    assert len(entries) == 2
    tops = {name: entry for entry in entries for name in listed(thrown, f"/.trash/{entry}/")}
    assert set(tops) == {"d", "x"}
    d = f"/.trash/{tops['d']}/d"
    assert listed(thrown, d) == ["f ü", "sub"]
    assert thrown.get(f"{d}/f ü", check=200).body == b"content"
    assert thrown.get(f"{d}/sub/g", check=206, range="bytes=1-2").body == b"ee"
    assert thrown.get(f"/.trash/{tops['x']}/x", check=200).body == b"x"
    assert "sub" in thrown.get(d + "/", check=200).text


def test_it_is_listed_where_that_is_wanted(make_client, thrown):
    client = make_client(show_trash=True)
    for name in ("!first", "last"):
        client.put(f"/{name}", b"", check=201)
    names = [each.name for each in responses(client.propfind("/", depth="1"))]
    assert names[1:] == ["!first", ".trash", "last"]
    assert ".trash" in client.get("/", check=200).text
    client.mkcol("/last.d", check=201)
    assert listed(client, "/last.d") == []


def test_entries_are_shown_in_pages(make_client, thrown, monkeypatch):
    from tgdav.dav import get, propfind

    monkeypatch.setattr(propfind, "PAGE", 2)
    monkeypatch.setattr(get, "LISTED", 2)
    client = make_client(show_trash=True)
    for number in range(5):
        client.put(f"/{number}", b"", check=201)
        client.delete(f"/{number}", check=204)
    for name in ("!", "+", "a", "b", "c"):
        client.put(f"/{name}", b"", check=201)
    assert listed(client, "/") == ["!", "+", ".trash", "a", "b", "c"]
    assert len(set(listed(client, "/.trash"))) == 7


@pytest.mark.parametrize(
    "path", ["/.trash/no such", "/.trash/2026-01-01 00.00.00 0000000001", "/.trash/x/y/z"]
)
def test_what_is_not_there_is_not_found(thrown, path):
    thrown.get(path, check=404)
    thrown.propfind(path, check=404)


def test_nothing_can_be_changed_in_it(thrown):
    (entry, *_) = listed(thrown, "/.trash/")
    (top,) = listed(thrown, f"/.trash/{entry}/")
    inside = f"/.trash/{entry}/{top}"
    for path in ("/.trash", f"/.trash/{entry}", inside, f"{inside}/new"):
        thrown.put(path, b"new", check=403)
        thrown.delete(path, check=403)
        thrown.mkcol(path, check=403)
        for method in ("COPY", "MOVE"):
            thrown.request(method, path, check=403, destination="/back")
        thrown.request("PROPPATCH", path, check=403)
    assert len(listed(thrown, "/.trash/")) == 2


def test_a_user_sees_what_was_below_their_root(thrown, room, users):
    from sqlalchemy import insert

    from tgdav.tree.tables import users as rows

    thrown.mkcol("/home", check=201)
    thrown.put("/home/h", b"home", check=201)
    thrown.delete("/home/h", check=204)
    row = {"name": "bob", "password": "", "read_only": False, "root": "/home", "created_ns": 0}
    room.db.write(lambda connection: connection.execute(insert(rows), row))
    bob = thrown.as_user("bob")
    (entry,) = listed(bob, "/.trash/")
    assert bob.get(f"/.trash/{entry}/h", check=200).body == b"home"
    for other in listed(thrown, "/.trash/"):
        bob.propfind(f"/.trash/{other}", check=207 if other == entry else 404)


def test_a_node_of_that_name_hides_it(thrown, room):
    thrown.put("/own", b"own", check=201)
    thrown.request("MOVE", "/own", check=201, destination="/.trash")
    assert thrown.get("/.trash", check=200).body == b"own"
    thrown.delete("/.trash", check=204)
    assert len(listed(thrown, "/.trash/")) == 3
