"""PROPPATCH: what is kept, what sets a time, what is protected, and that all of it fails."""

import hashlib

import pytest

from tests.dav.multistatus import D, responses

MICROSOFT = "{urn:schemas-microsoft-com:}"
WINDOWS_TIME = "Sat, 03 Feb 2018 04:05:06 GMT"
RCLONE_TIME = b'<lastmodified xmlns="DAV:">1557126489</lastmodified>'


def update(*steps: bytes) -> bytes:
    return (
        b'<?xml version="1.0" encoding="utf-8"?><D:propertyupdate xmlns:D="DAV:" '
        b'xmlns:Z="urn:schemas-microsoft-com:">' + b"".join(steps) + b"</D:propertyupdate>"
    )


def setting(*elements: bytes) -> bytes:
    return b"<D:set><D:prop>" + b"".join(elements) + b"</D:prop></D:set>"


def removing(*elements: bytes) -> bytes:
    return b"<D:remove><D:prop>" + b"".join(elements) + b"</D:prop></D:remove>"


def fates(client, path: str, *steps: bytes):
    (one,) = responses(client.proppatch(path, update(*steps)))
    return one


def everything(client, path: str):
    (one,) = responses(client.propfind(path))
    return one


@pytest.fixture
def file(client):
    client.put("/f.txt", b"x")
    return "/f.txt"


def test_a_property_is_kept_and_told(client, file):
    assert fates(client, file, setting(b'<v xmlns="urn:x">1 &lt; 2</v>')).names(200) == {"{urn:x}v"}
    assert everything(client, file).values(200)["{urn:x}v"] == "1 < 2"


def test_a_property_is_told_by_name(client, file):
    fates(client, file, setting(b'<v xmlns="urn:x">1</v>'))
    body = b'<D:propfind xmlns:D="DAV:"><D:prop><v xmlns="urn:x"/></D:prop></D:propfind>'
    (one,) = responses(client.propfind(file, body))
    assert one.values(200) == {"{urn:x}v": "1"}


def test_directories_keep_properties_too_also_below_a_listing(client):
    client.mkcol("/d")
    client.mkcol("/d/sub")
    fates(client, "/d/sub", setting(b'<v xmlns="urn:x">1</v>'))
    top, below = responses(client.propfind("/d", depth="1"))
    assert "{urn:x}v" not in top.names(200)
    assert below.values(200)["{urn:x}v"] == "1"


@pytest.mark.parametrize(
    "name",
    [
        b'<v xmlns=""/>',
        b'<v xmlns="DAV:"/>',
        b'<v xmlns="a&amp;b&quot;c"/>',
        b'<v xmlns="{"/>',
        b'<x:\xd0\xb8\xd0\xbc\xd1\x8f xmlns:x="u"/>',
        b'<v xmlns="http://example.org/#%20 ;?"/>',
        b"<xml:v/>",
    ],
)
def test_awkward_names(client, file, name):
    (asked,) = fates(client, file, setting(name)).names(200)
    assert asked in everything(client, file).names(200)
    names_only = b'<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>'
    (one,) = responses(client.propfind(file, names_only))
    assert asked in one.names(200)


def test_a_value_may_be_xml(client, file):
    fates(client, file, setting(b'<v xmlns="urn:x">a<y z="1"><D:b/>c</y>d</v>'))
    element = everything(client, file).elements(200)["{urn:x}v"]
    inner = element[0]
    assert (element.text, inner.tag, inner.get("z"), inner.tail) == ("a", "{urn:x}y", "1", "d")
    assert (inner[0].tag, inner[0].tail) == (D + "b", "c")


def test_the_language_in_scope_is_kept(client, file):
    body = (
        b'<D:propertyupdate xmlns:D="DAV:" xml:lang="de"><D:set><D:prop xml:lang="fr">'
        b'<v xmlns="urn:x">oui</v><w xmlns="urn:x" xml:lang="en">yes</w></D:prop></D:set>'
        b"</D:propertyupdate>"
    )
    client.proppatch(file, body)
    elements = everything(client, file).elements(200)
    lang = "{http://www.w3.org/XML/1998/namespace}lang"
    assert (elements["{urn:x}v"].get(lang), elements["{urn:x}w"].get(lang)) == ("fr", "en")


def test_steps_are_taken_in_their_order(client, file):
    v = b'<v xmlns="urn:x">%s</v>'
    fates(client, file, setting(v % b"1"), removing(v % b""), setting(v % b"2"))
    assert everything(client, file).values(200)["{urn:x}v"] == "2"
    fates(client, file, setting(v % b"3"), removing(v % b""))
    assert "{urn:x}v" not in everything(client, file).names(200)


def test_removing_what_is_not_there_is_no_error(client, file):
    assert fates(client, file, removing(b'<v xmlns="urn:x"/>')).names(200) == {"{urn:x}v"}


@pytest.mark.parametrize("local", ["getetag", "getcontentlength", "resourcetype", "lockdiscovery"])
@pytest.mark.parametrize("step", [setting, removing])
def test_protected_properties_fail_all_the_others(client, file, local, step):
    one = fates(client, file, setting(b'<v xmlns="urn:x">1</v>'), step(f"<D:{local}/>".encode()))
    assert one.names(403) == {D + local}
    assert one.condition(403) == D + "cannot-modify-protected-property"
    assert one.names(424) == {"{urn:x}v"}
    assert "{urn:x}v" not in everything(client, file).names(200)


def test_explorers_four_properties(client, file):
    one = fates(
        client,
        file,
        setting(
            f"<Z:Win32CreationTime>{WINDOWS_TIME}</Z:Win32CreationTime>".encode(),
            b"<Z:Win32LastAccessTime>Sun, 04 Feb 2018 04:05:06 GMT</Z:Win32LastAccessTime>",
            f"<Z:Win32LastModifiedTime>{WINDOWS_TIME}</Z:Win32LastModifiedTime>".encode(),
            b"<Z:Win32FileAttributes>00000020</Z:Win32FileAttributes>",
        ),
    )
    assert one.statuses == [200]
    told = everything(client, file).values(200)
    assert told[D + "getlastmodified"] == WINDOWS_TIME
    assert told[D + "creationdate"] == "2018-02-03T04:05:06Z"
    assert told[MICROSOFT + "Win32FileAttributes"] == "00000020"
    assert told[MICROSOFT + "Win32LastAccessTime"] == "Sun, 04 Feb 2018 04:05:06 GMT"
    body = (
        b'<D:propfind xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:prop>'
        b"<Z:Win32CreationTime/><Z:Win32LastModifiedTime/></D:prop></D:propfind>"
    )
    (named,) = responses(client.propfind(file, body))
    assert set(named.values(200).values()) == {WINDOWS_TIME}


def test_explorers_time_does_not_outlive_a_save(client, file):
    fates(
        client,
        file,
        setting(f"<Z:Win32LastModifiedTime>{WINDOWS_TIME}</Z:Win32LastModifiedTime>".encode()),
    )
    client.put(file, b"new")
    body = (
        b'<D:propfind xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:"><D:prop>'
        b"<D:getlastmodified/><Z:Win32LastModifiedTime/></D:prop></D:propfind>"
    )
    (one,) = responses(client.propfind(file, body))
    assert len(set(one.values(200).values())) == 1
    assert WINDOWS_TIME not in one.values(200).values()


@pytest.mark.parametrize(
    "element",
    [RCLONE_TIME, b"<D:getlastmodified>Mon, 06 May 2019 07:08:09 GMT</D:getlastmodified>"],
)
def test_times_of_rclone_and_others(client, file, element):
    assert fates(client, file, setting(element)).statuses == [200]
    told = everything(client, file).values(200)
    assert told[D + "getlastmodified"] == "Mon, 06 May 2019 07:08:09 GMT"
    assert D + "lastmodified" not in told


@pytest.mark.parametrize(
    "time",
    [
        b"garbage",
        b"Fri, 31 Dec 99999 23:59:59 GMT",
        b"Mon, 01 Jan 2024 00:00:00 +99999999999999",
        b"",
    ],
)
def test_a_time_that_is_none(client, file, time):
    before = everything(client, file).values(200)
    one = fates(
        client, file, setting(b"<Z:Win32LastModifiedTime>%s</Z:Win32LastModifiedTime>" % time)
    )
    assert one.statuses == [409]
    assert everything(client, file).values(200) == before


def test_rclone_may_repeat_the_checksum_that_it_was_told(client):
    known = "SHA1:" + hashlib.sha1(b"one").hexdigest()
    client.put("/one", b"one", oc_checksum=known)
    element = (
        '<oc:checksums xmlns:oc="http://owncloud.org/ns"><oc:checksum>{}</oc:checksum>'
        "</oc:checksums>"
    )
    one = fates(client, "/one", setting(RCLONE_TIME, element.format(known).encode()))
    assert one.statuses == [200]
    other = element.format("SHA1:" + "0" * 40).encode()
    assert fates(client, "/one", setting(RCLONE_TIME, other)).statuses == [403, 424]


def test_rclone_is_told_the_checksum(client):
    known = "SHA1:" + hashlib.sha1(b"one").hexdigest()
    client.put("/one", b"one", oc_checksum=known)
    body = (
        b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop>'
        b"<oc:checksums/></d:prop></d:propfind>"
    )
    (one,) = responses(client.propfind("/one", body))
    owncloud = "{http://owncloud.org/ns}"
    element = one.elements(200)[owncloud + "checksums"]
    assert known in element.findtext(owncloud + "checksum").split()


def test_a_name_longer_than_the_tree_keeps(client, file):
    name = f"<{'n' * 600} xmlns='urn:x'/>".encode()
    assert fates(client, file, setting(b'<v xmlns="urn:x"/>', name)).statuses == [424, 507]


def test_more_properties_than_a_node_may_have(client, file):
    for start in range(0, 1000, 200):
        many = (b'<p%d xmlns="u:">v</p%d>' % (i, i) for i in range(start, start + 200))
        fates(client, file, setting(*many))
    client.proppatch(file, update(setting(b'<v xmlns="urn:x"/>')), check=507)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'<D:propertyupdate xmlns:D="DAV:"/>',
        b'<D:propertyupdate xmlns:D="DAV:"><D:foo/></D:propertyupdate>',
        b'<D:prop xmlns:D="DAV:"><D:set/></D:prop>',
    ],
)
def test_other_bodies_are_refused(client, file, body):
    client.proppatch(file, body, check=400)


def test_where_nothing_is(client):
    client.proppatch("/missing", update(setting(b'<v xmlns="urn:x"/>')), check=404)


def test_a_stale_condition(client, file):
    client.proppatch(file, update(setting(RCLONE_TIME)), if_match='"stale"', check=412)
