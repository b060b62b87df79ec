"""The drive behind the proxies of deploy/, with the headers that they send."""

import re
from pathlib import Path

import pytest

from tests.dav.client import Client
from tests.dav.conftest import page
from tests.dav.test_app import authorization
from tgdav.dav.app import build
from tgdav.dav.messages import DavOptions
from tgdav.dav.throttle import FREE
from tgdav.settings import load
from tgdav.tree.tree import Tree

DEPLOY = Path(__file__).parents[2] / "deploy"
HERE, CLIENT, NAME = "127.0.0.1", "203.0.113.5", "drive.example.org"
LOCK = (
    b'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
    b"<D:locktype><D:write/></D:locktype></D:lockinfo>"
)


def environment(text: str) -> dict[str, str]:
    """The options that the unit or the compose file sets."""
    return dict(re.findall(r"^\s*(?:Environment=)?(TGDAV_\w+)(?:=|: )(.+)$", text, re.MULTILINE))


def sent_by_nginx() -> dict[str, str]:
    """The header fields that the shipped nginx.conf has nginx send, of a request over TLS."""
    shipped = (DEPLOY / "nginx.conf").read_text()
    values = {"$host": NAME, "$remote_addr": CLIENT, "$scheme": "https", '""': ""}
    return {
        name: values[value]
        for name, value in re.findall(r"proxy_set_header (\S+) (\S+);", shipped)
        if values[value]
    }


def sent_by_caddy() -> dict[str, str]:
    """What Caddy's reverse_proxy sends of itself, whatever the client claimed."""
    sent = {"Host": NAME, "X-Forwarded-Host": NAME}
    return sent | {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"}


def caddy() -> str:
    return re.findall(r"ipv4_address: ([\d.]+)", (DEPLOY / "compose.yaml").read_text())[0]


def behind(tree: Tree, tmp_path: Path, file: str, proxy: str, sent: dict[str, str]) -> Client:
    """A client of the drive as `file` has it served, through `proxy`."""
    options = load(tmp_path, environment((DEPLOY / file).read_text())).server
    client = Client(build(tree, DavOptions(page), options.trusted_proxies))
    client.defaults = {"REMOTE_ADDR": proxy, "HTTP_AUTHORIZATION": authorization()}
    client.defaults |= {f"HTTP_{name.upper().replace('-', '_')}": sent[name] for name in sent}
    return client


@pytest.fixture(params=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, tree: Tree, tmp_path: Path) -> Client:
    tree.users.add("zoe", "her password")
    if request.param == "nginx":
        return behind(tree, tmp_path, "tgdav.service", HERE, sent_by_nginx())
    return behind(tree, tmp_path, "compose.yaml", caddy(), sent_by_caddy())


def test_a_copy_goes_to_a_url_of_the_proxy(proxied: Client) -> None:
    proxied.put("/f", b"x", check=201)
    proxied.copy("/f", f"https://{NAME}/copy", check=201)
    assert proxied.get("/copy").body == b"x"


def test_a_rename_goes_to_a_url_of_the_proxy(proxied: Client) -> None:
    proxied.put("/f", b"x", check=201)
    proxied.move("/f", f"https://{NAME}/moved", check=201)
    assert proxied.get("/moved").body == b"x"


def test_a_locked_save_names_a_url_of_the_proxy(proxied: Client) -> None:
    proxied.put("/f", b"x", check=201)
    token = proxied.lock("/f", LOCK).header("Lock-Token")
    proxied.put("/f", b"y", check=423)
    proxied.put("/f", b"y", check=204, if_=f"<https://{NAME}/f> ({token})")


def test_clients_behind_the_proxy_are_told_apart(proxied: Client) -> None:
    known = proxied.defaults
    proxied.defaults = known | {"HTTP_AUTHORIZATION": authorization(password="guess")}
    for _ in range(FREE):
        proxied.get("/", check=401)
    proxied.defaults = known
    proxied.get("/", check=429)
    proxied.defaults = known | {"HTTP_X_FORWARDED_FOR": "203.0.113.6"}
    proxied.get("/", check=200)


def test_the_shipped_proxy_is_the_one_that_is_trusted() -> None:
    passed_to = re.search(r"proxy_pass http://([\d.]+):", (DEPLOY / "nginx.conf").read_text())
    assert passed_to is not None
    assert passed_to[1] == HERE
