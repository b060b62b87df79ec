"""Paths as URLs write them, and back. Pure.

Names are compared as they are spelled: whatever is percent-encoded stays inside its
name, so "%3F", "%3B" and "%23" are characters of a name and never end it.
"""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from tgdav.dav.statuses import HttpError
from tgdav.tree.paths import Path, parse

SAFE = "/!$'()*,:@=~-._"
"""Kept as they are in hrefs. gvfs does not find a name whose parentheses are encoded."""

PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme and authority of the request, as the client knows this server."""

    scheme: str
    host: str

    def is_same(self, scheme: str, host: str) -> bool:
        scheme = scheme.lower()
        if scheme not in PORTS or scheme != self.scheme.lower():
            return False
        port = ":" + PORTS[scheme]
        return host.lower().removesuffix(port) == self.host.lower().removesuffix(port)


def href(base: str, path: Path, *, is_directory: bool) -> str:
    """`base` (quoted), then `path`; a directory ends with a slash."""
    href = base + "".join("/" + quoted(name) for name in path)
    return href + "/" if is_directory or not path else href


@lru_cache(4096)
def quoted(name: str) -> str:
    return quote(name, safe=SAFE)


def locate(url: str, origin: Origin, base: str) -> Path:
    """The path below `base` that `url` (absolute, or an absolute path) means.

    `url` is a header's value: characters are bytes. A raw "#" or ";" is part of the
    name, as KDE sends it. Raises `HttpError` 400 or 502, and `NameRefused`.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        path = url.strip()
    else:
        host, _, path = rest.partition("/")
        if not host:
            raise HttpError(400, "a URL without a host")
        if not origin.is_same(scheme, host):
            raise HttpError(502, "a URL of another server")
        path = "/" + path
    if not path.startswith("/") or path.startswith("//"):
        raise HttpError(400, "a URL whose path is not absolute")
    return parse(_below(_text(path), base).removesuffix("/") or "/")


def _text(path: str) -> str:
    if "%2f" in path.lower():
        raise HttpError(400, "a name with a slash in it")
    try:
        return unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
    except UnicodeError as error:
        raise HttpError(400, "a URL that is not UTF-8") from error


def _below(path: str, base: str) -> str:
    top = unquote_to_bytes(base).decode("utf-8")
    if path != top and not path.startswith(top + "/"):
        raise HttpError(502, "a URL outside the drive")
    return path[len(top) :]
