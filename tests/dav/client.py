"""A WebDAV client that speaks WSGI in process: what a verb's test needs, no socket.

`client.put("/a/b.txt", b"…", check=201, if_match='"x"')`: a path as a person writes it,
not quoted; header fields as keywords.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one field of this name; None without it. Two are a failure."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} sent {len(values)} times"
        return values[0] if values else None

    @property
    def etag(self) -> str:
        etag = self.header("ETag")
        assert etag is not None
        return etag

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def xml(self) -> ElementTree.Element:
        return ElementTree.fromstring(self.body)


class Client:
    """Requests of one user. `user` is taken as verified: no password is asked."""

    def __init__(self, app: Callable[..., Iterable[bytes]], user: str = "ann") -> None:
        self.app = app
        self.user = user
        self.defaults: dict[str, Any] = {}
        """More of the environ for every request."""

    def as_user(self, user: str) -> "Client":
        return Client(self.app, user)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        check: int | Collection[int] | None = None,
        *,
        announced: int | None = None,
        read: bool = True,
        **headers: str,
    ) -> Answer:
        """Send it, read the answer to its end, close it.

        A `body` that is not bytes goes in chunks, unless `announced` gives it a
        Content-Length. `read=False` hangs up before the first byte of the answer.
        """
        environ = self.environ(method, path, body, announced, headers)
        begun: list[tuple[int, list[tuple[str, str]]]] = []

        def start_response(status: str, fields: list[tuple[str, str]], *_: Any) -> None:
            assert all(isinstance(value, str) for field in fields for value in field)
            begun.append((int(status.split(maxsplit=1)[0]), fields))

        pieces = self.app(environ, start_response)
        try:
            content = b"".join(map(bytes, pieces)) if read else b""
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
        assert len(begun) == 1, "start_response is called once"
        answer = Answer(*begun[0], content)
        self._require(answer, method, check)
        return answer

    def environ(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        announced: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """What a server would hand on for this request."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "drive.test",
            "SERVER_PORT": "80",
            "HTTP_HOST": "drive.test",
            "wsgi.url_scheme": "http",
            "wsgi.input": Upload([body] if isinstance(body, bytes) else body),
            "REMOTE_USER": self.user,
        }
        if announced is None and isinstance(body, bytes) and (body or method == "PUT"):
            announced = len(body)
        if announced is not None:
            environ["CONTENT_LENGTH"] = str(announced)
        elif not isinstance(body, bytes):
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        for name, value in (headers or {}).items():
            key = name.rstrip("_").upper()
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        return environ | self.defaults

    def _require(self, answer: Answer, method: str, check: int | Collection[int] | None) -> None:
        if check is not None:
            allowed = {check} if isinstance(check, int) else set(check)
            assert answer.status in allowed, f"{method}: {answer.status} {answer.body[:500]!r}"
        if method == "HEAD" or answer.status in (204, 304):
            assert answer.body == b""
        elif (length := answer.header("Content-Length")) is not None and answer.body:
            assert int(length) == len(answer.body)

    def get(self, path: str, check: Any = 200, **headers: Any) -> Answer:
        return self.request("GET", path, check=check, **headers)

    def head(self, path: str, check: Any = 200, **headers: Any) -> Answer:
        return self.request("HEAD", path, check=check, **headers)

    def put(
        self, path: str, body: bytes | Iterable[bytes] = b"", check: Any = (201, 204), **rest: Any
    ) -> Answer:
        return self.request("PUT", path, body, check, **rest)

    def patch(self, path: str, body: bytes = b"", check: Any = 204, **rest: Any) -> Answer:
        rest.setdefault("content_type", "application/x-sabredav-partialupdate")
        return self.request("PATCH", path, body, check, **rest)

    def mkcol(self, path: str, body: bytes = b"", check: Any = 201, **rest: Any) -> Answer:
        return self.request("MKCOL", path, body, check, **rest)

    def delete(self, path: str, check: Any = 204, **headers: Any) -> Answer:
        return self.request("DELETE", path, check=check, **headers)

    def copy(self, path: str, target: str, check: Any = 201, **headers: Any) -> Answer:
        return self.request("COPY", path, check=check, destination=target, **headers)

    def move(self, path: str, target: str, check: Any = 201, **headers: Any) -> Answer:
        return self.request("MOVE", path, check=check, destination=target, **headers)

    def propfind(
        self, path: str, body: bytes = b"", check: Any = 207, depth: str = "0", **headers: Any
    ) -> Answer:
        return self.request("PROPFIND", path, body, check, depth=depth, **headers)

    def proppatch(self, path: str, body: bytes, check: Any = 207, **headers: Any) -> Answer:
        return self.request("PROPPATCH", path, body, check, **headers)

    def lock(self, path: str, body: bytes = b"", check: Any = (200, 201), **rest: Any) -> Answer:
        return self.request("LOCK", path, body, check, **rest)

    def unlock(self, path: str, token: str, check: Any = 204, **headers: Any) -> Answer:
        return self.request("UNLOCK", path, check=check, lock_token=f"<{token}>", **headers)

    def options(self, path: str = "/", check: Any = 200, **headers: Any) -> Answer:
        return self.request("OPTIONS", path, check=check, **headers)


def never() -> Iterator[bytes]:
    """A body that must not be asked for."""
    raise AssertionError("the body was read")
    yield b""


class Upload:
    """`wsgi.input` over pieces that are made while they are read.

    An error that a piece's making raises is what the server's own stream would raise.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._rest = b""

    def read(self, size: int) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def readinto(self, space: memoryview) -> int:
        data = self.read(len(space))
        space[: len(data)] = data
        return len(data)
