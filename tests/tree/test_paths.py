import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.errors import LimitReached, NameRefused
from tgdav.tree.paths import DEPTH_LIMIT, NAME_LIMIT, PATH_LIMIT, check_name, parse

SIGNS = st.characters(
    exclude_categories=["Cs"], exclude_characters="/\x7f\ufffe\uffff", min_codepoint=0x20
)
NAMES = st.text(SIGNS, min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))


@given(st.lists(NAMES, max_size=10).map(tuple))
def test_a_path_is_read_as_it_was_spelled(path):
    assert parse("/" + "/".join(path)) == path


@given(NAMES)
def test_a_name_that_a_path_may_have_is_a_name(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "text",
    ["", "a", "a/b", "//", "/a//b", "/a/", "/.", "/..", "/a/../b", "/a/./b"],
)
def test_what_is_no_path(text):
    with pytest.raises(NameRefused):
        parse(text)


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])
def test_signs_that_no_listing_could_show_are_refused(code):
    for refuse in (parse, check_name):
        with pytest.raises(NameRefused, match=f"U\\+{code:04X}"):
            refuse(("/" if refuse is parse else "") + f"a{chr(code)}b")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "x" * (NAME_LIMIT + 1), "ж" * 128])
def test_what_is_no_name(name):
    with pytest.raises(NameRefused):
        check_name(name)


@pytest.mark.parametrize("name", ["x" * NAME_LIMIT, "ж" * 127 + "x", "𝄞" * 63, "a.", " ", "..."])
def test_names_up_to_the_limit(name):
    assert parse(f"/{name}") == (check_name(name),)


def test_a_refusal_tells_the_number_and_not_the_name():
    with pytest.raises(NameRefused, match="255 bytes, not 510") as refusal:
        parse("/" + "ж" * 255)
    assert "ж" not in str(refusal.value)


def test_long_and_deep_paths():
    names = ("x" * 239,) * (PATH_LIMIT // 240)
    longest = "/" + "/".join(names) + "/" + "y" * (PATH_LIMIT % 240 - 1)
    assert parse(longest)[: len(names)] == names
    with pytest.raises(NameRefused, match=f"{PATH_LIMIT} bytes, not {PATH_LIMIT + 1}"):
        parse(longest + "y")
    assert len(parse("/a" * DEPTH_LIMIT)) == DEPTH_LIMIT
    with pytest.raises(LimitReached, match="not 101"):
        parse("/a" * (DEPTH_LIMIT + 1))
