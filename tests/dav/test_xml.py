"""Bodies in: what is read, what is refused, and that nothing is expanded or fetched."""

import pytest

from tgdav.dav import xml
from tgdav.dav.statuses import HttpError

LOL = (
    b'<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"]>"
)


def refusal(data: bytes) -> int:
    with pytest.raises(HttpError) as raised:
        xml.parse(data)
    return raised.value.status


def test_comments_and_instructions_leave_no_trace():
    root = xml.parse(b'<a xmlns="u:"><!-- c --><?pi x?><b/><!-- d --></a>')
    assert [child.tag for child in root] == ["{u:}b"]


def test_utf16_is_read():
    assert xml.parse('<?xml version="1.0" encoding="utf-16"?><a>ё</a>'.encode("utf-16")).text == "ё"


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\x00\x01\x02",
        b"<a>",
        b'<x:propfind xmlns:x=""/>',
        b'<?xml version="1.0" encoding="utf-7"?>+ADw-a/+AD4-',
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b"<!DOCTYPE a []>",
        b"<a/><a/>",
        b"<a>\xff</a>",
    ],
)
def test_what_is_not_xml_is_refused(data):
    assert refusal(data) == 400


@pytest.mark.parametrize(
    "data",
    [
        LOL + b"<p>&j;</p>",
        b'<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>',
        b'<!DOCTYPE p SYSTEM "http://127.0.0.1:9/x.dtd"><p/>',
        b'<!DOCTYPE p [<!ENTITY % e SYSTEM "http://127.0.0.1:9/x">%e;]><p/>',
        b"<!DOCTYPE p><p/>",
    ],
)
def test_a_document_type_is_refused(data):
    assert refusal(data) == 400


def test_depth_has_a_bound():
    deepest = xml.DEPTH_LIMIT
    xml.parse(b"<a>" * deepest + b"</a>" * deepest)
    assert refusal(b"<a>" * (deepest + 1) + b"</a>" * (deepest + 1)) == 400


def test_the_number_of_elements_has_a_bound():
    xml.parse(b"<a>" + b"<b/>" * (xml.ELEMENT_LIMIT - 1) + b"</a>")
    assert refusal(b"<a>" + b"<b/>" * xml.ELEMENT_LIMIT + b"</a>") == 413


def test_an_element_stands_by_itself_as_text():
    root = xml.parse(
        b'<D:p xmlns:D="DAV:" xmlns:z="z:&amp;&quot;"><z:v a="1">x<D:b/>y</z:v>tail</D:p>'
    )
    text = xml.text_of(root[0])
    again = xml.parse(text.encode())
    assert (again.tag, again.get("a"), again.text, again.tail) == ('{z:&"}v', "1", "x", None)
    assert (again[0].tag, again[0].tail) == ("{DAV:}b", "y")
    assert root[0].tail == "tail"


@pytest.mark.parametrize("name", ["{DAV:}getetag", "{urn:x}v", "plain", '{a"&<>\n}b'])
def test_a_name_becomes_an_empty_element(name):
    text = f'<x xmlns:D="DAV:">{xml.empty_element(name)}</x>'
    assert [child.tag for child in xml.parse(text.encode())] == [name]
