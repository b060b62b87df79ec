"""A real `tgdav serve` in a process of its own, and a small client for it."""

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

USER, PASSWORD = "someone", "their-password"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("TGDAV_")}


def command(*arguments: str, data: Path, stdin: str = "", check: bool = True) -> str:
    """Run a tgdav command on the drive in `data`; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tgdav", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Serving:
    """A serving process; it can be stopped, killed and started again on its folder."""

    def __init__(self, data: Path, *arguments: str, **variables: str) -> None:
        self.data = data
        self.arguments = arguments
        self.port = free_port()
        self.variables = variables
        self.log = data.with_name(data.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, timeout_s: float = 30) -> "Serving":
        program = [sys.executable, "-m", "tgdav", "serve"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*program, "--data", str(self.data), "--port", str(self.port), *self.arguments],
                stdout=log,
                stderr=log,
                env=ENVIRONMENT | self.variables,
            )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError), self.connect() as connection:
                connection.close()
                return self
            time.sleep(0.02)
        raise TimeoutError(self.log.read_text())

    def kill(self) -> None:
        """End it as a power cut would: at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    @contextlib.contextmanager
    def connect(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.connect()
        try:
            yield connection
        finally:
            connection.close()

    def raw(self) -> socket.socket:
        """A bare connection, for what no client library would send."""
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers, body."""
        with self.connect() as connection:
            return ask(connection, method, path, body, **headers)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes = b"",
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """One request on `connection`; `_` in a header's name stands for `-`."""
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Authorization": authorization(), **spelled})
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content


def authorization(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.contextmanager
def serving(data: Path, *arguments: str, **variables: str) -> Iterator[Serving]:
    """A fresh drive with one user, served; its process ends with the block."""
    server = Serving(data, *arguments, **variables).start()
    try:
        command("user", "add", USER, "--password-stdin", data=data, stdin=PASSWORD)
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(30)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait(30)
