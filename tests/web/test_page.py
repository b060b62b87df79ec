import html.parser
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from tgdav.tree.nodes import Node
from tgdav.web.page import HEADERS, page, readable

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


def node(name: str, size: int | None = 1) -> Node:
    version = None if size is None else 1
    return Node(2, 0, name, version, size or 0, "e", "", "owner", 0, 1_700_000_000 * 10**9)


class Seen(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def written(nodes: Iterable[Node], *, href: str = "/", is_root: bool = True) -> Seen:
    seen = Seen()
    seen.feed(b"".join(page(href, "/", is_root, nodes)).decode())
    return seen


@given(NAMES)
def test_no_name_becomes_markup(name: str):
    plain, odd = written([node("x")]), written([node(name)])
    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]
    assert [[key for key, _ in attrs] for _, attrs in odd.tags] == [
        [key for key, _ in attrs] for _, attrs in plain.tags
    ]
    assert name in odd.text


def test_links_are_paths_whatever_the_name_looks_like():
    seen = written([node("javascript:alert(1)"), node("a?b#c"), node("dir", None)])
    links = [dict(attrs)["href"] for tag, attrs in seen.tags if tag == "a"]
    assert links == ["/javascript%3Aalert%281%29", "/a%3Fb%23c", "/dir/"]


def test_below_the_root_there_is_a_way_up():
    # The page is also there without its last slash.
    for href, up in [("/a/", "/"), ("/a/b%22/", "/a/"), ("/drive/a%3F/b/", "/drive/a%3F/")]:
        assert ("a", [("href", up)]) in written([], href=href, is_root=False).tags
    assert not [tag for tag, _ in written([]).tags if tag == "a"]


def test_a_large_directory_comes_in_pieces():
    assert len(list(page("/", "/", True, (node(str(n)) for n in range(2000))))) == 5


def test_the_page_may_load_and_run_nothing():
    policy = dict(HEADERS)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_sizes_are_read_by_people():
    assert [readable(n) for n in (0, 1023, 1024, 1 << 30, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.0 GiB",
        "5.0 TiB",
    ]
