"""A server in a thread with a small application behind it, and a client that says anything."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tgdav.dav.server import Server, ServerOptions

Environ = dict[str, Any]
HOST = "Host: drive.test\r\n"


@contextlib.contextmanager
def running(application: Callable[..., Iterable[bytes]], **options: Any) -> Iterator[Server]:
    """Serving on a free port until the block ends, and then stopped."""
    chosen: dict[str, Any] = {"threads": 8, "one_cpu": False, "linger_s": 0.3, "grace_s": 5.0}
    server = Server(application, ServerOptions(port=0, **(chosen | options)))
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    interim: list[int] = field(default_factory=list)
    is_whole: bool = True
    """As long as it said."""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        return self.header("Connection") == "close"


class Peer:
    """One connection, from an address of this machine (127.0.0.2 is another client)."""

    def __init__(
        self,
        server: Server,
        address: str = "127.0.0.1",
        timeout_s: float = 10,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket = socket.create_connection(
            server.bind_addr, timeout_s, source_address=(address, 0)
        )
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self._rest = b""

    def send(self, data: bytes | str) -> "Peer":
        self.socket.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def ask(self, method: str, path: str = "/", headers: str = "", body: bytes = b"") -> Answer:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"{method} {path} HTTP/1.1\r\n{HOST}{length}{headers}\r\n".encode() + body)
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer with the interim ones before it; how much of its body came."""
        interim = []
        while True:
            head = self._until(b"\r\n\r\n")
            line, *fields = head.decode("latin-1").split("\r\n")
            status = int(line.split()[1])
            if status >= 200:
                break
            interim.append(status)
        headers = [tuple(each.split(": ", 1)) for each in fields]
        answer = Answer(status, headers, b"", interim)  # type: ignore[arg-type]
        if method != "HEAD" and status not in (204, 304):
            self._read_body(answer)
        return answer

    def _read_body(self, answer: Answer) -> None:
        if answer.header("Transfer-Encoding") == "chunked":
            while size := int(self._until(b"\r\n") or b"0", 16):
                answer.body += self._exactly(size)
                assert self._until(b"\r\n") == b""
            assert self._until(b"\r\n") == b""
        elif length := answer.header("Content-Length"):
            answer.body = self._exactly(int(length))
            answer.is_whole = len(answer.body) == int(length)
        else:
            answer.body = self._exactly(1 << 30)

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(self._rest)
            self._rest += data
        found, self._rest = self._rest.split(end, 1)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size and (data := self.socket.recv(65536)):
            self._rest += data
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def is_closed(self, within_s: float = 5) -> bool:
        """The server hangs up without another word."""
        self.socket.settimeout(within_s)
        try:
            return not self._rest and self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def reset(self) -> None:
        """Hang up as a crashed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@dataclass
class Application:
    """Answers by what the path says, and notes what it read."""

    bodies: list[bytes] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    reading: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].strip("/") or "hello"
        return getattr(self, f"at_{path}")(environ, start)

    def at_hello(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """Looks at no body."""
        start("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    def at_keep(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """Reads the whole body, in pieces."""
        got = bytearray()
        try:
            while data := environ["wsgi.input"].read(65536):
                got += data
                self.reading.set()
        except Exception as error:
            self.broken.append(type(error).__name__)
            start("400 Bad Request", [("Content-Length", "0")])
            return []
        self.bodies.append(bytes(got))
        start("201 Created", [("Content-Length", "0")])
        return []

    def at_wait(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """Answers when told to."""
        self.reading.set()
        assert self.go_on.wait(20)
        return self.at_hello(environ, start)

    def at_refuse(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        start("401 Unauthorized", [("Content-Length", "2")])
        return [b"no"]


def eventually(is_so: Callable[[], bool], within_s: float = 5) -> bool:
    deadline = time.monotonic() + within_s
    while not (done := is_so()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return done
