"""A database that is locked, or restarted: 503 meanwhile, nothing lost, all goes on."""

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import own_server
from tests.serving import Serving, command, serving
from tgdav.db.engines import BUSY_S


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """As another program that writes into the database, and takes its time."""
    database = sqlite3.connect(data / "drive.db", isolation_level=None, timeout=BUSY_S)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.execute("ROLLBACK")
        database.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_locked_database_is_waited_for_and_then_said_to_be_busy(tmp_path: Path):
    """A minute of it is some times `BUSY_S`; so is a little more than that."""
    data = tmp_path / "drive"
    old, new = b"old" * 1000, os.urandom(100_000)
    with serving(data) as server:
        assert server.request("PUT", "/a", old)[0] == 201
        answers: list[int] = []
        with locked(data):
            waiting = threading.Thread(
                target=lambda: answers.append(server.request("PUT", "/waits", new)[0])
            )
            waiting.start()
            time.sleep(BUSY_S / 5)
        waiting.join()
        assert answers == [201]
        with locked(data):
            assert server.request("GET", "/a")[2] == old
            status, headers, _ = server.request("PUT", "/a", new)
            assert (status, int(headers["retry-after"]) > 0) == (503, True)
            assert server.request("GET", "/a")[2] == old
            assert command("user", "add", "bob", data=data, stdin="", check=False) == ""
        assert server.request("PUT", "/a", new)[0] == 204
        assert server.request("GET", "/a")[2] == server.request("GET", "/waits")[2] == new
        assert server.stop() == 0
    assert command("fsck", data=data) == "nothing found\n"


class Client(threading.Thread):
    """Saves one file again and again, reads it back, and knows what it may find."""

    def __init__(self, server: Serving, number: int, over: threading.Event) -> None:
        super().__init__()
        self.server, self.path, self.over = server, f"/{number}", over
        self.chance = random.Random(number)
        self.may_be: list[bytes | None] = [None]
        self.refused: set[int] = set()
        self.saved = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.over.is_set():
                self.save()
                self.read()
        except BaseException as error:
            self.error = error

    def save(self) -> None:
        body = self.chance.randbytes(self.chance.choice([300, 20_000, 400_000]))
        status, headers, _ = self.server.request("PUT", self.path, body)
        if status in (201, 204):
            self.may_be = [body]
            self.saved += 1
        else:
            self.refuse(status, headers)
            self.may_be.append(body)  # the answer to the commit may have been lost

    def read(self) -> None:
        status, headers, found = self.server.request("GET", self.path)
        if status in (200, 404):
            content = None if status == 404 else found
            assert content in self.may_be
            self.may_be = [content]
        else:
            self.refuse(status, headers)

    def refuse(self, status: int, headers: dict[str, str]) -> None:
        assert status == 503, status
        assert int(headers["retry-after"]) > 0
        self.refused.add(status)
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_restart_of_postgresql_under_load_is_503_meanwhile(tmp_path: Path, how: signal.Signals):
    with own_server(synchronous_commit="on") as postgres:
        url = postgres.url.render_as_string(hide_password=False)
        with serving(tmp_path / "drive", "--database", url) as server:
            over = threading.Event()
            clients = [Client(server, number, over) for number in range(4)]
            for client in clients:
                client.start()
            for _ in range(2):
                await_saves(clients)
                postgres.stop(how)
                time.sleep(1)
                postgres.start()
            await_saves(clients)
            over.set()
            for client in clients:
                client.join(60)
                if client.error:
                    raise client.error
                client.read()
            assert {503} == set().union(*(client.refused for client in clients))
            assert server.stop() == 0
        assert command("fsck", data=tmp_path / "drive") == "nothing found\n"


def await_saves(clients: list[Client], more: int = 5, within_s: float = 60) -> None:
    """Return when each has saved so many times more, or is wrong."""
    wanted = {client: client.saved + more for client in clients}
    give_up = time.monotonic() + within_s
    while any(client.saved < wanted[client] and not client.error for client in clients):
        assert time.monotonic() < give_up, [client.saved for client in clients]
        time.sleep(0.05)
