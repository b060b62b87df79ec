"""What a verb is given and what it answers, free of servers and frameworks.

A verb is a function `handle(request) -> Reply`. It raises `statuses.HttpError` or an
error of `tgdav.errors`, and knows no status line, no start_response and no cheroot.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from tgdav.dav import urls
from tgdav.dav.if_header import IfHeader
from tgdav.dav.underway import Underway
from tgdav.errors import BodyIncomplete
from tgdav.tree.nodes import Node
from tgdav.tree.paths import Path
from tgdav.tree.permit import Permit
from tgdav.tree.tree import Tree
from tgdav.tree.users import User

Environ = dict[str, Any]
USER = "tgdav.user"
"""Where environ holds the `User` who logged in for this request."""
Piece = bytes | memoryview
"""Of an answer's body; void once the next one is asked for."""
Page = Callable[[str, str, bool, Iterable[Node]], Iterator[bytes]]
"""Writes a directory for a browser: quoted href, title, is it the root, its nodes."""


@dataclass(frozen=True, slots=True)
class DavOptions:
    """What the composition root decides about this face."""

    page: Page
    page_headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)
    """What a page is sent with: it says itself what it may load."""
    prefix: str = ""
    """Path below which a proxy publishes the drive; "" or "/a/b", not quoted."""
    durability: Literal["local", "remote"] = "local"
    """What an answered save has reached: this machine's disk, or the stores."""
    lock_s: int = 3600
    """Longest life of a lock."""
    quota_for_finder: bool = False
    """Answer macOS's question for free space, which delays its mounts by 90 s."""
    show_trash: bool = False
    """List `.trash` among what the top holds; it can be opened either way."""


class Headers(Mapping[str, str]):
    """The header fields of a request by name, whatever the case. Values are latin-1."""

    def __init__(self, environ: Environ) -> None:
        self._fields: dict[str, str] = {
            key.removeprefix("HTTP_").replace("_", "-").lower(): value
            for key, value in environ.items()
            # WSGI may say "absent" with an empty type or length.
            if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
        }

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end."""
        ...

    def readinto(self, space: memoryview, /) -> int:
        """As `read`, into `space`; how many bytes came."""
        ...


class Body:
    """The bytes of a request: once, in order, by one thread."""

    def __init__(self, stream: Readable, length: int | None) -> None:
        self.length = length
        """Announced bytes; None when only the stream's end will tell (chunked)."""
        self._stream = stream
        self._left = length
        self.is_read = length == 0
        """The last byte has been taken; nothing of this request is left on the line."""

    def read(self, size: int) -> bytes:
        """Some bytes, at most `size`; b"" at the end and only there.

        Raises `BodyIncomplete` when the client is gone, stalls or breaks its framing
        before the announced end.
        """
        if self.is_read or size <= 0:
            return b""
        if self._left is not None:
            size = min(size, self._left)
        try:
            data = self._stream.read(size)
        except (OSError, ValueError) as error:
            raise BodyIncomplete("the body broke off") from error
        self._count(len(data))
        return data

    def read_into(self, space: memoryview) -> int:
        """As `read`, into `space`; how many bytes came, 0 at the end and only there."""
        if self.is_read:
            return 0
        if self._left is not None:
            space = space[: self._left]
        try:
            count = self._stream.readinto(space)
        except (OSError, ValueError) as error:
            raise BodyIncomplete("the body broke off") from error
        self._count(count)
        return count

    def _count(self, taken: int) -> None:
        if self._left is None:
            self.is_read = taken == 0
            return
        if not taken:
            raise BodyIncomplete(f"{self._left} of {self.length} bytes did not come")
        self._left -= taken
        self.is_read = self._left == 0


@dataclass(frozen=True)
class Request:
    """One request of a user who may make it. Used by one thread."""

    tree: Tree
    options: DavOptions
    underway: Underway
    user: User
    permit: Permit
    """Who asks, with every lock token that was submitted."""
    method: str
    path: Path
    """Absolute in the drive: the user's root, then what the URL says."""
    is_collection_url: bool
    """The URL ends with a slash."""
    base: str
    """What hrefs begin with; quoted, without a trailing slash."""
    headers: Headers
    condition: IfHeader | None
    """The `If` header, understood but not yet decided."""
    body: Body
    environ: Environ

    def href(self, path: Path, *, is_directory: bool = False) -> str:
        """The absolute path of `path`'s URL, quoted; directories end with a slash.

        What lies above the user's root is not told: it is the root to them.
        """
        return urls.href(self.base, path[len(self.user.root) :], is_directory=is_directory)

    def locate(self, url: str) -> Path:
        """The path that a URL in a header means, absolute in the drive.

        Raises `HttpError`: 400 when it is no URL, 502 when it is another server's;
        `NameRefused` when no drive can keep such a name.
        """
        return self.user.root + urls.locate(url, self._origin, self.base)

    @cached_property
    def _origin(self) -> urls.Origin:
        host = self.headers.get("Host", "")
        return urls.Origin(self.environ["wsgi.url_scheme"], host)


@dataclass(slots=True)
class Reply:
    """The answer. The body is closed by who sends it, also if it is never sent.

    A body that is a list or tuple gets its Content-Length; any other is a stream whose
    length the verb must give if it knows it.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Iterable[Piece] = ()

    @property
    def length(self) -> int | None:
        """Bytes of the body, if they are all there."""
        if isinstance(self.body, Sequence):
            return sum(map(len, self.body))
        return None
