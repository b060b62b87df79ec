"""The whole face in WsgiDAV's frame: who enters, what is refused before, what is told."""

import base64
import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.dav.client import Client
from tests.dav.conftest import page
from tests.dav.server.running import Peer, running
from tgdav.dav.app import build
from tgdav.dav.messages import DavOptions
from tgdav.dav.throttle import FREE
from tgdav.errors import DatabaseBusy, SettingsRefused
from tgdav.tree.tree import Tree

READING = ["GET", "HEAD", "OPTIONS", "PROPFIND"]
CHANGING = ["PUT", "DELETE", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "PROPPATCH", "POST"]


def authorization(name: str = "zoe", password: str = "her password") -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def make(tree: Tree) -> Callable[..., Client]:
    tree.users.add("zoe", "her password")

    def make(trusted_proxies: tuple[str, ...] = (), **options: Any) -> Client:
        client = Client(build(tree, DavOptions(page, **options), trusted_proxies))
        client.defaults = {"REMOTE_ADDR": "192.0.2.1", "QUERY_STRING": ""}
        return client

    return make


@pytest.fixture
def whole(make: Callable[..., Client]) -> Client:
    """As zoe, over the whole stack."""
    client = make()
    client.defaults["HTTP_AUTHORIZATION"] = authorization()
    return client


@pytest.fixture
def stranger(make: Callable[..., Client]) -> Client:
    return make()


def test_who_knows_the_password_enters(whole: Client) -> None:
    path = "/naïve ж.txt".encode().decode("latin-1")
    whole.put(path, b"content", check=201)
    assert whole.get(path).body == b"content"
    assert "/na%C3%AFve%20%D0%B6.txt" in whole.propfind("/", depth="1").text
    whole.options("*")


def test_no_query_keeps_who_knows_it_out(whole: Client) -> None:
    whole.defaults["QUERY_STRING"] = "next=/logout"
    whole.put("/f", b"x", check=201)
    assert whole.get("/f").body == b"x"


@pytest.mark.parametrize("method", READING + CHANGING)
def test_nobody_enters_without(stranger: Client, method: str) -> None:
    for path in ("/", "/missing"):
        answer = stranger.request(method, path, check=401)
        assert answer.header("WWW-Authenticate") == 'Basic realm="tgdav", charset="UTF-8"'
        assert answer.header("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!!",
        "Bearer x",
        "Digest x",
        'Digest username="zoe", realm="tgdav", nonce="x", uri="http://[", response="y"',
        "Digest " + "a=b," * 3000,
        authorization(password="wrong"),
        authorization(name="nobody"),
        authorization(name="zoe\0", password="her password"),
    ],
)
def test_nobody_enters_with_anything_else(stranger: Client, header: str) -> None:
    assert "WWW-Authenticate" in dict(stranger.get("/", check=401, authorization=header).headers)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"HTTP_AUTHORIZATION": "Basic !!!!"},
        {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b"no colon").decode()},
        {"HTTP_AUTHORIZATION": authorization(password="wrong")},
    ],
)
def test_nothing_is_kept_of_who_does_not_enter(stranger: Client, fields: dict[str, str]) -> None:
    def ask() -> weakref.ref[object]:
        environ = stranger.environ("GET", "/") | fields
        assert b"".join(map(bytes, stranger.app(environ, lambda *_: None))) == b"log in\n"
        return weakref.ref(environ["wsgi.input"])

    body = ask()
    gc.collect()
    assert body() is None


def test_no_header_says_who_somebody_is(stranger: Client) -> None:
    stranger.defaults["REMOTE_USER"] = "zoe"
    for name in ("x_forwarded_user", "remote_user", "x_remote_user", "wsgidav.auth.user_name"):
        stranger.get("/", check=401, **{name: "zoe"})


def test_guessers_are_told_to_wait(stranger: Client) -> None:
    for number in range(FREE):
        stranger.get("/", check=401, authorization=authorization(password=f"guess {number}"))
    answer = stranger.get("/", check=429, authorization=authorization(password="one more"))
    assert answer.header("Retry-After") == "1"
    stranger.defaults["REMOTE_ADDR"] = "192.0.2.2"
    stranger.get("/", check=200, authorization=authorization())


def test_a_trusted_proxy_is_not_the_guesser(make: Callable[..., Client]) -> None:
    proxied = make(trusted_proxies=("192.0.2.1",))
    for number in range(FREE + 1):
        wrong = authorization(password=f"guess {number}")
        proxied.get("/", check=(401, 429), authorization=wrong, x_forwarded_for="203.0.113.5")
    proxied.get("/", authorization=authorization(), x_forwarded_for="203.0.113.6")


@pytest.mark.parametrize(
    "path", ["/\xff\xfe", "/\xed\xa0\x80", "/..", "/a/../b", "/a/./b", "/a/..", "a", ""]
)
def test_paths_that_are_none(whole: Client, path: str) -> None:
    answer = whole.request("GET", path, check=400)
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"


def test_names_with_dots_are_names(whole: Client) -> None:
    for name in ("/.hidden", "/...", "/a..b", "/a."):
        whole.put(name, b"x", check=201)
        assert whole.get(name).body == b"x"


def test_only_the_server_has_a_star(whole: Client) -> None:
    whole.request("PROPFIND", "*", check=400)


class TestPrefix:
    @pytest.fixture
    def below(self, make: Callable[..., Client]) -> Client:
        client = make(prefix="/my drive")
        client.defaults["HTTP_AUTHORIZATION"] = authorization()
        return client

    def test_is_part_of_every_url(self, below: Client) -> None:
        below.put("/my drive/my drive", b"x", check=201)
        assert (
            b"<D:href>/my%20drive/my%20drive</D:href>"
            in below.propfind("/my drive", depth="1").body
        )
        below.move("/my drive/my drive", "/my%20drive/b", check=201)
        below.get("/my drive/b")
        below.options("*")

    def test_what_is_outside_is_nothing(self, below: Client) -> None:
        for path in ("/", "/my", "/my drivel", "/b"):
            below.get(path, check=404)


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://drive.test.evil.example"},
        {"sec_fetch_site": "cross-site"},
    ],
)
def test_other_sites_pages_change_nothing(whole: Client, fields: dict[str, str]) -> None:
    whole.put("/f", b"x")
    for method in CHANGING:
        whole.request(method, "/f", check=403, **fields)
    for method in READING:
        answer = whole.request(method, "/f", check=(200, 207), depth="0", **fields)
        assert not [name for name, _ in answer.headers if "Access-Control" in name]


def test_our_own_page_may(whole: Client) -> None:
    whole.put("/f", b"x", origin="http://drive.test", sec_fetch_site="same-origin")


def test_errors_tell_nothing_of_us(
    whole: Client, tree: Tree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setattr(tree.users, "get", fail)
    answer = whole.get("/", check=500)
    assert answer.body == b"the server went wrong\n"
    assert caplog.records[0].exc_info


def test_a_busy_database_is_a_503(
    whole: Client, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise DatabaseBusy("the database is busy", 3)

    monkeypatch.setattr(tree.users, "get", busy)
    assert whole.get("/", check=503).header("Retry-After") == "3"


def test_wsgidav_keeps_silent(whole: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    whole.put("/secret name", b"x")
    whole.get("/")
    whole.defaults["HTTP_AUTHORIZATION"] = authorization(password="wrong")
    whole.get("/", check=401)
    assert not [each for each in caplog.records if each.name.startswith("wsgidav")]
    assert "secret name" not in caplog.text


def test_a_proxy_without_an_address(make: Callable[..., Client]) -> None:
    with pytest.raises(SettingsRefused):
        make(trusted_proxies=("proxy.example",))


class TestOverTheWire:
    """The same with the server in front."""

    @pytest.fixture
    def peer(self, make: Callable[..., Client]) -> Iterator[Peer]:
        headers = (("Content-Type", "text/html"), ("Content-Security-Policy", "style-src 'self'"))
        with running(make(page_headers=headers).app) as server, Peer(server) as peer:
            yield peer

    LOGIN = f"Authorization: {authorization()}\r\n"

    def test_many_requests_on_one_connection(self, peer: Peer) -> None:
        body = bytes(range(256)) * 1000
        assert peer.ask("PUT", "/f", self.LOGIN, body).status == 201
        assert peer.ask("GET", "/f", self.LOGIN).body == body
        assert peer.ask("HEAD", "/f", self.LOGIN).status == 200
        assert peer.ask("PROPFIND", "/", self.LOGIN + "Depth: 1\r\n").status == 207
        assert peer.ask("GET", "/", self.LOGIN).header("Transfer-Encoding") == "chunked"
        assert peer.ask("GET", "/").status == 401
        assert peer.ask("GET", "/none", self.LOGIN).status == 404
        assert peer.ask("DELETE", "/f", self.LOGIN).status == 204

    def test_the_page_says_itself_what_it_may_load(self, peer: Peer) -> None:
        assert peer.ask("PUT", "/f.html", self.LOGIN, b"<script>").status == 201
        page, file = (peer.ask("GET", path, self.LOGIN) for path in ("/", "/f.html"))
        assert page.header("Content-Security-Policy") == "style-src 'self'"
        assert page.header("Content-Disposition") is None
        assert "sandbox" in str(file.header("Content-Security-Policy"))
        assert file.header("Content-Disposition") == "attachment"

    def test_nothing_is_asked_of_who_may_not(self, peer: Peer) -> None:
        expecting = "Expect: 100-continue\r\nContent-Length: 100\r\n"
        answer = peer.ask("PUT", "/f", expecting)
        assert (answer.status, answer.interim) == (401, [])

    def test_nothing_is_asked_for_what_cannot_be_kept(self, peer: Peer) -> None:
        expecting = self.LOGIN + "Expect: 100-continue\r\nContent-Length: 100\r\n"
        answer = peer.ask("PUT", "/missing/f", expecting)
        assert (answer.status, answer.interim) == (409, [])

    def test_a_cut_save_leaves_nothing(self, peer: Peer) -> None:
        request = f"PUT /f HTTP/1.1\r\nHost: a\r\n{self.LOGIN}Content-Length: 100000\r\n\r\n"
        peer.send(request + "x" * 50000).socket.shutdown(1)
        assert peer.answer().status == 400
        peer.socket.close()
