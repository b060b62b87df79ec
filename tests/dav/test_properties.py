"""Live properties that are told to some and not to others."""

import pytest

from tests.dav.multistatus import D, responses

QUOTA = (
    b'<D:propfind xmlns:D="DAV:"><D:prop><D:quota-available-bytes/><D:quota-used-bytes/>'
    b"</D:prop></D:propfind>"
)
FINDER = "WebDAVFS/3.0.0 (03008000) Darwin/{} (arm64)"


def test_free_space_is_told_of_directories(client):
    client.put("/f", b"x" * 1000)
    (one,) = responses(client.propfind("/", QUOTA))
    told = one.values(200)
    assert int(told[D + "quota-used-bytes"]) == 1000
    assert int(told[D + "quota-available-bytes"]) > 0
    (file,) = responses(client.propfind("/f", QUOTA))
    assert file.statuses == [404]


def test_a_users_quota_is_what_is_free(client, users):
    users.add("bob", "secret", quota=5000)
    bob = client.as_user("bob")
    bob.put("/f", b"x" * 1000)
    (one,) = responses(bob.propfind("/", QUOTA))
    assert one.values(200) == {D + "quota-used-bytes": "1000", D + "quota-available-bytes": "4000"}


def test_free_space_is_told_to_who_asks_for_it(client):
    assert b"quota" not in client.propfind("/").body


@pytest.mark.parametrize(
    ("darwin", "told"), [("23.4.0", 200), ("24.3.0", 200), ("24.4.0", 404), ("25.0.0", 404)]
)
def test_the_finder_that_waits_for_it_is_not_told_the_free_space(client, darwin, told):
    answer = client.propfind("/", QUOTA, user_agent=FINDER.format(darwin))
    assert responses(answer)[0].statuses == [told]


def test_the_operator_may_tell_every_finder(make_client):
    answer = make_client(quota_for_finder=True).propfind(
        "/", QUOTA, user_agent=FINDER.format("25.0.0")
    )
    assert responses(answer)[0].statuses == [200]


def test_everything_about_a_file_takes_half_a_kilobyte(client):
    client.mkcol("/d")
    empty = len(client.propfind("/d", depth="1").body)
    client.put("/d/report 2026.docx", b"x" * 5000)
    assert len(client.propfind("/d", depth="1").body) - empty <= 500


def test_locks_are_supported(client):
    body = b'<D:propfind xmlns:D="DAV:"><D:prop><D:supportedlock/></D:prop></D:propfind>'
    (one,) = responses(client.propfind("/", body))
    scopes = [e.tag for e in one.elements(200)[D + "supportedlock"].iterfind(f"*/{D}lockscope/*")]
    assert scopes == [D + "exclusive", D + "shared"]


def test_a_directory_is_one_for_clients_that_ask_for_a_type(client):
    (one,) = responses(client.propfind("/"))
    assert one.values(200)[D + "getcontenttype"] == "httpd/unix-directory"
    assert not {D + "getcontentlength", D + "getetag"} & one.names(200)


def test_a_file_says_whether_only_this_machine_has_it(client, room):
    asked = b'<d:durability xmlns:d="urn:tgdav"/>'
    body = b'<D:propfind xmlns:D="DAV:"><D:prop>' + asked + b"</D:prop></D:propfind>"

    def said() -> str:
        (one,) = responses(client.propfind("/f", body))
        return one.values(200)["{urn:tgdav}durability"]

    client.put("/f", b"x" * 1000)
    assert said() == "local"
    room.vault.flush()
    assert said() == "remote"
