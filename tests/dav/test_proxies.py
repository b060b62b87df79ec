"""Only trusted proxies say who the client is."""

from typing import Any

import pytest

from tgdav.dav.proxies import Proxies
from tgdav.errors import SettingsRefused

PROXY, CLIENT = "10.0.0.1", "192.0.2.9"


def seen(trusted: tuple[str, ...], **claims: str) -> dict[str, Any]:
    environ = {
        "REMOTE_ADDR": PROXY,
        "HTTP_HOST": "inner:8080",
        "wsgi.url_scheme": "http",
        **{f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in claims.items()},
    }
    Proxies(trusted).see_through(environ)
    assert not [name for name in environ if "FORWARDED" in name]
    return environ


CLAIMS = {"for": CLIENT, "proto": "https", "host": "drive.test"}


@pytest.mark.parametrize("trusted", [(), ("10.0.0.2",), ("2001:db8::/32",)])
def test_strangers_are_not_believed(trusted: tuple[str, ...]) -> None:
    environ = seen(trusted, **CLAIMS)
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == (PROXY, "inner:8080")
    assert environ["wsgi.url_scheme"] == "http"


@pytest.mark.parametrize("trusted", [(PROXY,), ("10.0.0.0/8",), ("::1", "10.0.0.7/8")])
def test_trusted_ones_are(trusted: tuple[str, ...]) -> None:
    environ = seen(trusted, **CLAIMS)
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == (CLIENT, "drive.test")
    assert environ["wsgi.url_scheme"] == "https"


def test_a_proxy_that_says_nothing_changes_nothing() -> None:
    environ = seen((PROXY,))
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == (PROXY, "inner:8080")


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("203.0.113.5, 192.0.2.9", CLIENT),  # what the client claimed comes first
        ("192.0.2.9, 10.9.9.9", CLIENT),  # through two trusted proxies
        ("10.9.9.9", "10.9.9.9"),
        ("192.0.2.9, nonsense", CLIENT),
        (" 2001:DB8::1 ", "2001:db8::1"),
        ("", PROXY),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy(chain: str, expected: str) -> None:
    assert seen(("10.0.0.0/8",), **{"for": chain})["REMOTE_ADDR"] == expected


@pytest.mark.parametrize("claim", ["ftp", "https, http", "", "javascript"])
def test_other_schemes_are_not_believed(claim: str) -> None:
    assert seen((PROXY,), proto=claim)["wsgi.url_scheme"] == "http"


def test_mapped_addresses_are_what_they_map() -> None:
    assert Proxies((PROXY,)).trusts("::ffff:10.0.0.1")
    assert not Proxies((PROXY,)).trusts("somewhere")


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="trusted_proxies"):
        Proxies(("proxy.example",))
