"""The server in a process of its own, for a test."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SLOWEST_S = 60


class ControlError(Exception):
    """What a verb was answered instead of a result."""


class TelegramServer:
    """A context manager: the server runs within. Any thread.

    `ports` by data centre; `server` is where a new login goes; `key_pem` is the key to trust.
    """

    def __init__(self, folder: Path | None = None, data_centres: int = 2) -> None:
        self._arguments = [f"--dcs={data_centres}"]
        if folder is not None:
            self._arguments.append(f"--folder={folder}")
        self._lock = threading.Lock()

    def __enter__(self) -> "TelegramServer":
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.telegram_server", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,  # when we die it ends, too
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        line = self._process.stdout.readline()
        if not line:
            self._process.wait(SLOWEST_S)
            raise RuntimeError(f"the Telegram server did not start: {self._said()}")
        where = json.loads(line)
        self.ports = {int(no): port for no, port in where["data_centres"].items()}
        self.server = ("127.0.0.1", self.ports[min(2, len(self.ports))])
        self.key_path = Path(where["key"])
        self.key_pem = self.key_path.read_text()
        self._control = socket.create_connection(("127.0.0.1", where["control"]), SLOWEST_S)
        self._answers = self._control.makefile("rb")
        return self

    def __exit__(self, *_: object) -> None:
        """End it. Raises `RuntimeError` with what it complained of, if it did."""
        self._answers.close()
        self._control.close()
        self._process.terminate()
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(SLOWEST_S)
        finally:
            self._process.kill()
            self._process.wait()
            said = self._said()
            self._log.close()
        if said:
            raise RuntimeError(f"the Telegram server complained: {said}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def control(self, verb: str, **arguments: Any) -> Any:
        """What the verb returns. Raises `ControlError`."""
        order = json.dumps({"verb": verb, "arguments": arguments}).encode() + b"\n"
        with self._lock:
            self._control.sendall(order)
            answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise ControlError(f"{verb}: {answer['error']}")
        return answer["result"]

    def _said(self) -> str:
        self._log.seek(0, os.SEEK_SET)
        return self._log.read().decode(errors="replace")
