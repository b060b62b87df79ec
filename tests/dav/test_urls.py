"""Paths to URLs and back: no character of a name is ever taken for syntax."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav.statuses import HttpError
from tgdav.dav.urls import Origin, href, locate
from tgdav.errors import NameRefused

HERE = Origin("http", "drive.test")

NAMES = st.text(
    st.characters(
        min_codepoint=0x20, max_codepoint=0x10FFFF, exclude_categories=["Cs", "Cn", "Cc"]
    ),
    min_size=1,
    max_size=20,
).filter(lambda name: "/" not in name and name not in (".", ".."))


@given(path=st.lists(NAMES, max_size=4).map(tuple), base=st.sampled_from(["", "/dav", "/a%20b/c"]))
def test_there_and_back(path, base):
    for is_directory in (False, True):
        url = href(base, path, is_directory=is_directory)
        assert url.isascii()
        assert locate(url, HERE, base) == path
        assert locate("http://drive.test" + url, HERE, base) == path


@pytest.mark.parametrize(
    "name", ["a?b", "a;b", "a#b", "a%b", "a%20b", "a+b", "a&b", "x(1)", "ж", "ü"]
)
def test_names_with_the_signs_of_urls(name):
    assert locate(href("", (name,), is_directory=False), HERE, "") == (name,)


def test_gvfs_needs_parentheses_and_upper_case_escapes():
    assert href("", ("x(1) ü.txt",), is_directory=False) == "/x(1)%20%C3%BC.txt"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/a;b#c.txt", "a;b#c.txt"),
        ("/\u00d0\u00b6", "ж"),
        ("HTTP://DRIVE.TEST:80/x", "x"),
    ],
)
def test_urls_as_clients_write_them(url, name):
    assert locate(url, HERE, "") == (name,)


def test_the_root():
    assert href("", (), is_directory=True) == "/"
    assert href("/dav", (), is_directory=True) == "/dav/"
    assert locate("/dav", HERE, "/dav") == ()
    assert locate("http://drive.test", HERE, "") == ()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("", 400),
        ("x", 400),
        ("http://", 400),
        ("http:///x", 400),
        ("//evil/x", 400),
        ("/%ff", 400),
        ("/a%2Fb", 400),
        ("http://evil/x", 502),
        ("http://drive.test:81/x", 502),
        ("https://drive.test/x", 502),
        ("ftp://drive.test/x", 502),
        ("http://u:p@drive.test/x", 502),
        ("/davx/y", 502),
        ("/", 502),
    ],
)
def test_urls_that_are_none_or_not_ours(url, status):
    with pytest.raises(HttpError) as caught:
        locate(url, HERE, "/dav" if status == 502 and url.startswith("/") else "")
    assert caught.value.status == status


@pytest.mark.parametrize("url", ["/a/../b", "/%2e%2e/b", "/a%00b", "/a//b"])
def test_names_that_cannot_be(url):
    with pytest.raises(NameRefused):
        locate(url, HERE, "")
