"""Proxies that are believed: who the client is, and how it reached us.

Whatever else names itself a proxy is a client, and what it says of others is dropped.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tgdav.errors import SettingsRefused

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")


class Proxies:
    """The addresses and networks (`10.0.0.0/8`) of trusted proxies."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        """Raises `SettingsRefused` for what is no address."""
        try:
            self._networks = [ipaddress.ip_network(each, strict=False) for each in addresses]
        except ValueError as error:
            raise SettingsRefused(f"trusted_proxies: {error}") from error
        self.trusts = lru_cache(1024)(self._trusts)
        """Whether this address is one of them."""

    def _trusts(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def see_through(self, environ: dict[str, Any]) -> None:
        """Make `environ` that of the client behind a trusted proxy; forget other claims."""
        claimed = {name: environ.pop(name, "") for name in _FORWARDED}
        if not self.trusts(environ["REMOTE_ADDR"]):
            return
        scheme = claimed["HTTP_X_FORWARDED_PROTO"].strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        host = claimed["HTTP_X_FORWARDED_HOST"].strip()
        if host and "," not in host:
            environ["HTTP_HOST"] = host
        environ["REMOTE_ADDR"] = self._client(
            environ["REMOTE_ADDR"], claimed["HTTP_X_FORWARDED_FOR"]
        )

    def _client(self, nearest: str, chain: str) -> str:
        """The last address that no trusted proxy wrote of itself."""
        for address in reversed(chain.split(",")):
            if not self.trusts(nearest):
                break
            nearest = _address(address) or nearest
        return nearest


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None
