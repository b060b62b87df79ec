"""With two copies of all: accounts are banned, a channel is deleted, and nobody has to act."""

import contextlib
import json
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving import command
from tests.telegram_drive import TelegramDrive, telegram_drive
from tests.telegram_server.process import TelegramServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EAGER = {"TGDAV_STORE_FLUSH_AGE_S": "0.05", "TGDAV_STORE_PACK_SIZE": "1 MiB"}
_SHORT = """
    SELECT count(*) FROM packs WHERE 2 > (
        SELECT count(*) FROM replicas JOIN stores ON stores.no = replicas.store
        WHERE replicas.pack = packs.no AND replicas.state = 'sound' AND stores.state = 'active'
        AND stores.kind = 'telegram'
    )
"""


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


def content(number: int) -> bytes:
    return random.Random(number).randbytes(300_000 if number % 2 else 3_000_000)


def all_is_readable(drive: TelegramDrive, count: int) -> bool:
    return all(drive.serving.request("GET", f"/{n}")[2] == content(n) for n in range(count))


def await_copies(drive: TelegramDrive, meanwhile: Callable[[], object]) -> None:
    """Return when each pack has its two sound replicas."""
    deadline = time.monotonic() + 300
    with contextlib.closing(sqlite3.connect(drive.serving.data / "drive.db")) as database:
        while database.execute(_SHORT).fetchone()[0]:
            assert time.monotonic() < deadline
            meanwhile()
            time.sleep(0.5)


def channels_by_pack(server: TelegramServer) -> dict[str, set[int]]:
    """The channels that are there and hold each pack."""
    there = {one["channel"] for one in server.control("channels") if not one["is_deleted"]}
    found: dict[str, set[int]] = defaultdict(set)
    for message in server.control("messages"):
        if message["file_name"]:
            found[message["file_name"]] |= {message["channel"]} & there
    return found


def test_two_of_four_banned_and_one_of_two_channels_deleted(server: TelegramServer, tmp_path: Path):
    with telegram_drive(server, tmp_path / "drive", users=4, copies=2, variables=EAGER) as drive:
        for n in range(8):
            assert drive.serving.request("PUT", f"/{n}", content(n))[0] == 201
        drive.await_flush()
        await_copies(drive, lambda: None)
        first, second = server.control("channels")
        assert first["creator"] != second["creator"]

        server.control("ban", account=first["creator"])
        server.control("ban", account=second["creator"])
        server.control("delete_channel", channel=first["channel"])
        assert all_is_readable(drive, 8)
        assert drive.serving.request("PUT", "/8", content(8))[0] == 201
        await_copies(drive, lambda: all_is_readable(drive, 9) or pytest.fail("unreadable"))
        assert all_is_readable(drive, 9)

        held = channels_by_pack(server)
        assert {len(places) for places in held.values()} == {2}
        facts = drive.facts()
        states = sorted(account["state"] for account in facts["accounts"])
        assert states == ["active", "active", "banned", "banned"]
        assert [channel["state"] for channel in facts["channels"]] == ["lost", "active", "active"]
        there = [one for one in server.control("channels") if not one["is_deleted"]]
        alive = set(drive.accounts) - {first["creator"], second["creator"]}
        assert all(alive <= set(one["admins"]) for one in there)
        drive.restart()
        assert all_is_readable(drive, 9)
        drive.serving.stop()
        found = json.loads(command("fsck", "--json", data=drive.serving.data))
        assert found == {"found": {}, "named": []}
