"""A client that costs little: raw sockets, one thread per connection."""

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

PIECE = 1 << 20


class Refused(Exception):
    """An answer that is not the one the measurement needs."""


@dataclass(frozen=True)
class Target:
    """A server on this machine, and who asks."""

    port: int
    user: str
    password: str

    def authorization(self) -> str:
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class Connection:
    """One keep-alive connection."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket = _connect(target)
        self._common = (
            f"Host: 127.0.0.1:{target.port}\r\nAuthorization: {target.authorization()}\r\n"
        )
        self._space = memoryview(bytearray(PIECE))
        self._rest = b""

    def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[int, int]:
        """As `request`; again on a new connection if the server closed this idle one."""
        try:
            return self.request(method, path, headers, [body], len(body))
        except (Refused, ConnectionError):
            self._socket.close()
            self._socket, self._rest = _connect(self._target), b""
            return self.request(method, path, headers, [body], len(body))

    def request(
        self,
        method: str,
        path: str,
        headers: str = "",
        body: Iterable[bytes] = (),
        length: int | None = None,
    ) -> tuple[int, int]:
        """Ask; return status and body bytes received."""
        announced = "" if length is None else f"Content-Length: {length}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{self._common}{announced}{headers}\r\n".encode()
        pieces = iter(body)
        first = next(pieces, b"")
        if len(first) <= 65536:
            self._socket.sendall(head + first)
        else:
            self._socket.sendall(head)
            self._socket.sendall(first)
        for piece in pieces:
            self._socket.sendall(piece)
        return self._answer()

    def _answer(self) -> tuple[int, int]:
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head, rest = data[:end].lower(), data[end + 4 :]
        status = int(head[9:12])
        if b"\r\ntransfer-encoding: chunked" in head:
            return status, self._chunked(rest)
        length = 0
        if status not in (204, 304) and b"\r\ncontent-length:" in head:
            length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
        got = len(rest)
        while got < length:
            received = self._socket.recv_into(self._space)
            if not received:
                raise Refused(f"{got} of {length} bytes")
            got += received
        self._rest = b""
        return status, length

    def _chunked(self, data: bytes) -> int:
        """Count a chunked body; its last chunk ends the answer."""
        total = len(data)
        tail = data[-5:]
        while tail != b"0\r\n\r\n":
            piece = self._receive()
            total += len(piece)
            tail = (tail + piece)[-5:]
        self._rest = b""
        return total

    def _receive(self) -> bytes:
        data = self._socket.recv(262144)
        if not data:
            raise Refused("closed")
        return data

    def close(self) -> None:
        self._socket.close()


def _connect(target: Target) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", target.port), 120)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextlib.contextmanager
def connected(target: Target) -> Iterator[Connection]:
    connection = Connection(target)
    try:
        yield connection
    finally:
        connection.close()


def expect(answer: tuple[int, int], *statuses: int) -> int:
    """The body's bytes, if the status is one of `statuses`."""
    if answer[0] not in statuses:
        raise Refused(f"status {answer[0]}, wanted {statuses}")
    return answer[1]


def in_parallel(
    target: Target, connections: int, jobs: list[Callable[[Connection], None]]
) -> float:
    """Seconds that `jobs` take, shared by so many connections."""
    waiting = iter(jobs)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with connected(target) as connection:
                while True:
                    with lock:
                        job = next(waiting, None)
                    if job is None:
                        return
                    job(connection)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - started
