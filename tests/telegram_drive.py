"""A served drive whose only store is a test server's channels: for clients, kills, benchmarks."""

import contextlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.load import Target
from tests.serving import PASSWORD, USER, Serving, command
from tests.telegram_server.process import TelegramServer

NUMBERS = itertools.count(1)
"""Of phones, as many drives may share a server."""
API_ID, API_HASH = 4321, "0123456789abcdef0123456789abcdef"

_WAITING = """
    SELECT (SELECT count(*) FROM staged) + (
        SELECT count(*) FROM replicas JOIN stores ON stores.no = replicas.store
        WHERE stores.kind <> 'telegram'
    )
"""


def settings(server: TelegramServer, *, cached: bool, **telegram: object) -> str:
    """The drive's settings file; without a cache all that is read comes from Telegram."""
    host, port = server.server
    more = "".join(f"{name} = {value}\n" for name, value in telegram.items())
    return (
        f'[telegram]\napi_id = {API_ID}\napi_hash = "{API_HASH}"\nserver = "{host}:{port}"\n'
        f'server_key = "{server.key_path}"\n{more}'
        + ("" if cached else "[cache]\nmemory = 0\ndisk = 0\n")
    )


class TelegramDrive:
    """One drive, its server process, and its accounts' user ids."""

    def __init__(self, serving: Serving, accounts: list[int]) -> None:
        self.serving = serving
        self.accounts = accounts

    @property
    def target(self) -> Target:
        return Target(self.serving.port, USER, PASSWORD)

    def facts(self) -> dict[str, Any]:
        """What `tgdav status` tells."""
        facts: dict[str, Any] = json.loads(command("status", "--json", data=self.serving.data))
        return facts

    def cpu_s(self) -> float:
        """Processor seconds of the drive's process so far."""
        times = psutil.Process(self.serving.pid).cpu_times()
        return times.user + times.system

    def await_flush(self, within_s: float = 600) -> None:
        """Return when nothing is on this machine only."""
        deadline = time.monotonic() + within_s
        with contextlib.closing(sqlite3.connect(self.serving.data / "drive.db")) as database:
            while database.execute(_WAITING).fetchone()[0]:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def flush(self) -> None:
        """The same now, and not when the last few bytes have got old."""
        command("flush", data=self.serving.data)

    def restart(self) -> None:
        """Forget what is in memory."""
        self.serving.stop()
        self.serving.start()


@contextlib.contextmanager
def telegram_drive(
    server: TelegramServer,
    data: Path,
    *,
    users: int = 1,
    bots: int = 0,
    copies: int = 1,
    cached: bool = False,
    variables: dict[str, str] | None = None,
    **telegram: object,
) -> Iterator[TelegramDrive]:
    """A new drive that Telegram alone keeps, in a store for each copy; its process ends with it.

    Bots cannot make channels: without users the stores are channels of a stranger's.
    """
    data.mkdir(parents=True)
    told = settings(server, cached=cached, **telegram) + f"[store]\ncopies = {copies}\n"
    (data / "tgdav.toml").write_text(told)
    serving = Serving(data, **(variables or {})).start()
    try:
        command("user", "add", USER, "--password-stdin", data=data, stdin=PASSWORD)
        accounts = [add_account(server, data) for _ in range(users)]
        accounts += [add_bot(server, data) for _ in range(bots)]
        for copy in range(copies):
            title = f"packs {copy}" if copy else "packs"
            where = ["--create", title] if users else ["--channel", channel_of(server, accounts)]
            command("store", "add", "telegram", *where, data=data)
        command("store", "drain", "1", data=data)
        yield TelegramDrive(serving, accounts)
    finally:
        if serving.process is not None and serving.process.poll() is None:
            serving.stop()


def add_account(server: TelegramServer, data: Path, **of_user: object) -> int:
    """Log a new user of the test server in; its user id."""
    phone = f"+99967{next(NUMBERS):06d}"
    user = server.control("add_user", phone=phone, **of_user)["user_id"]
    session = server.control("session", account=user)
    command("account", "add", "--session-stdin", data=data, stdin=session)
    return int(user)


def add_bot(server: TelegramServer, data: Path) -> int:
    """Log a new bot of the test server in; its user id."""
    bot = server.control("add_bot", name=f"drive{next(NUMBERS)}_bot")
    command("account", "add", "--bot-token-stdin", data=data, stdin=bot["token"])
    return int(bot["user_id"])


def channel_of(server: TelegramServer, admins: list[int]) -> str:
    """A new channel that somebody else made for these; its id."""
    made_by = server.control("add_user", phone=f"+99967{next(NUMBERS):06d}")["user_id"]
    made = server.control("make_channel", account=made_by, title="packs", admins=admins)
    return str(made["id"])
