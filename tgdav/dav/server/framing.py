"""The head of a request (RFC 9112): bytes to meaning, or a refusal. Pure.

Strict wherever two readers of one head could disagree: where a body ends is never
guessed. Knows no socket, no method's meaning and no node.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

HEAD_LIMIT = 32 << 10
"""Bytes of a head."""
TARGET_LIMIT = 8 << 10
"""Bytes of a request's target."""
FIELDS_LIMIT = 100
NAME_LIMIT = 128
LENGTH_DIGITS = 18

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE = re.compile(r"([A-Z][A-Z-]{0,31}) ([^\x00-\x20\x7f]+) HTTP/1\.(\d)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/\d\.\d")
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")

_ONCE = frozenset(
    {
        "HTTP_HOST",
        "HTTP_AUTHORIZATION",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_RANGE",
        "HTTP_CONTENT_RANGE",
        "HTTP_DEPTH",
        "HTTP_DESTINATION",
        "HTTP_OVERWRITE",
        "HTTP_IF",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
    }
)
"""Fields of which a second one contradicts the first; others are lists, and are joined."""


class HeadRefused(Exception):
    """A head that is answered with `status` and no look at what it asks for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Head:
    """What a request says before its body."""

    method: str
    target: str
    """As it was sent."""
    path: str
    """Unquoted, one character a byte, as WSGI has it."""
    query: str
    is_11: bool
    """HTTP/1.1: chunks and interim answers are understood."""
    fields: dict[str, str]
    """By their names in a WSGI environ."""
    length: int | None
    """Bytes of the body; None: it comes in chunks."""
    stays: bool
    """The client would send another request on this connection."""
    expects_continue: bool
    """The client may hold its body back until it is asked for."""


def parse(data: bytes) -> Head:
    """The meaning of a head that ended with an empty line (not in `data`).

    Raises `HeadRefused`.
    """
    require_lines(data)
    if _CONTROL.search(data) or data.count(b"\r") != data.count(b"\n"):
        raise HeadRefused(400, "a control character in the head")
    if b"\n " in data or b"\n\t" in data:
        raise HeadRefused(400, "a folded line in the head")
    line, *lines = data.decode("latin-1").split("\r\n")
    method, target, is_11 = _request_line(line)
    fields = _fields(lines)
    host = _host(fields, is_11)
    path, query = _path(method, target, host)
    return Head(
        method=method,
        target=target,
        path=path,
        query=query,
        is_11=is_11,
        fields=fields,
        length=_length(fields, is_11),
        stays=_stays(fields.get("HTTP_CONNECTION"), is_11),
        expects_continue=_expects_continue(fields.get("HTTP_EXPECT"), is_11),
    )


def require_lines(data: bytes) -> None:
    """Refuse a head, or the beginning of one, that is too long or ends lines otherwise."""
    if data.count(b"\n") != data.count(b"\r\n"):
        raise HeadRefused(400, "a line that does not end with CR LF")
    line = data.find(b"\r\n")
    if (line if line >= 0 else len(data)) > TARGET_LIMIT + NAME_LIMIT:
        raise HeadRefused(414, "the URL is too long")
    if len(data) > HEAD_LIMIT:
        raise HeadRefused(431, "the head is too long")


def _request_line(line: str) -> tuple[str, str, bool]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise _line_refusal(line)
    method, target, minor = match.groups()
    if len(target) > TARGET_LIMIT:
        raise HeadRefused(414, "the URL is too long")
    return method, target, minor != "0"


def _line_refusal(line: str) -> HeadRefused:
    method, _, rest = line.partition(" ")
    target, _, version = rest.partition(" ")
    if not (_TOKEN.fullmatch(method) and target and _VERSION.fullmatch(version)):
        return HeadRefused(400, "the request line cannot be read")
    if not version.startswith("HTTP/1."):
        return HeadRefused(505, "HTTP/1.1 is spoken here")
    return HeadRefused(501, "this method is not known")


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > FIELDS_LIMIT:
        raise HeadRefused(431, "the head has too many lines")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or len(name) > NAME_LIMIT:
            raise HeadRefused(400, "a line of the head cannot be read")
        key = _key(name)
        value = value.strip(" \t")
        if key not in fields:
            fields[key] = value
        elif key in _ONCE:
            raise HeadRefused(400, "a line of the head is there twice")
        else:
            fields[key] += ", " + value
    # A name with "_" would come out as the one with "-" that a proxy sets or removes.
    fields.pop("", None)
    return fields


@lru_cache(512)
def _key(name: str) -> str:
    """The field's name in an environ; "" for one that is not passed on."""
    if not _TOKEN.fullmatch(name):
        raise HeadRefused(400, "a line of the head cannot be read")
    if "_" in name:
        return ""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else "HTTP_" + key


def _host(fields: dict[str, str], is_11: bool) -> str:
    host = fields.get("HTTP_HOST")
    if host is None and is_11:
        raise HeadRefused(400, "a request without Host")
    if host and not _HOST.fullmatch(host):
        raise HeadRefused(400, "a Host that is none")
    return host or ""


def _path(method: str, target: str, host: str) -> tuple[str, str]:
    if target == "*" and method == "OPTIONS":
        return "*", ""
    if not target.startswith("/"):
        target = _origin_form(target, host)
    path, _, query = target.partition("?")
    if "#" in target:
        raise HeadRefused(400, "a URL with a fragment")
    if "%" not in path:
        return path, query
    if "%2f" in path.lower():
        raise HeadRefused(400, "a name with a slash in it")
    return unquote(path, "latin-1"), query


def _origin_form(target: str, host: str) -> str:
    """The path and query of an absolute URL (RFC 9112, 3.2.2), if it is one of ours."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise HeadRefused(400, "the URL cannot be read")
    authority, _, path = rest.partition("/")
    if authority.lower() != host.lower():
        raise HeadRefused(421, "a URL of another server")
    return "/" + path


def _length(fields: dict[str, str], is_11: bool) -> int | None:
    coding = fields.get("HTTP_TRANSFER_ENCODING")
    text = fields.get("CONTENT_LENGTH")
    if coding is None:
        return 0 if text is None else _number(text)
    if text is not None or not is_11:
        raise HeadRefused(400, "the length of the body is told in two ways")
    if coding.lower() != "chunked":
        raise HeadRefused(501, "a transfer coding that is not known")
    return None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise HeadRefused(400, "a Content-Length that is no length")
    if len(text) > LENGTH_DIGITS:
        raise HeadRefused(413, "the body is too long")
    return int(text)


def _stays(connection: str | None, is_11: bool) -> bool:
    if connection is None:
        return is_11
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options if is_11 else "keep-alive" in options


def _expects_continue(expect: str | None, is_11: bool) -> bool:
    if expect is None:
        return False
    if expect.lower() != "100-continue":
        raise HeadRefused(417, "an expectation that is not known")
    return is_11
