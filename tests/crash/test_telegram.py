"""The drive's promises with Telegram as its only store, while much goes wrong."""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ask
from tests.telegram_drive import TelegramDrive, telegram_drive
from tests.telegram_server.process import TelegramServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 100
EAGER = {"TGDAV_STORE_FLUSH_AGE_S": "0.05", "TGDAV_STORE_PACK_SIZE": "1 MiB"}


@pytest.fixture(scope="module")
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        server.control("limits", messages_per_hour_user=1_000_000)
        yield server


def content(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


def packs_sent(server: TelegramServer) -> Counter[str]:
    """How many messages hold each pack."""
    return Counter(m["file_name"] for m in server.control("messages") if m["file_name"])


def put(drive: TelegramDrive, name: str, body: bytes) -> bool:
    """True if the save was answered."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return drive.serving.request("PUT", name, body)[0] in (201, 204)
    return False


def test_kills_and_lost_replies_make_no_second_message_and_lose_nothing(
    server: TelegramServer, tmp_path: Path
):
    chance = random.Random(11)
    kept: dict[str, bytes] = {}
    with telegram_drive(
        server, tmp_path / "drive", users=2, variables=EAGER, messages_per_hour=100_000
    ) as drive:
        server.control(
            "cut", method="messages.sendMedia", at="reply", byte=0, share=0.2, times=10_000
        )
        for kill in range(KILLS):
            name, size = f"/file-{kill % 9}", chance.choice([4096, 300_000, 3_000_000])
            body = content(kill, size)
            saver = threading.Thread(
                target=lambda name=name, body=body: (
                    put(drive, name, body) and kept.update({name: body})
                )
            )
            saver.start()
            time.sleep(chance.uniform(0, 0.6))
            drive.serving.kill()
            saver.join()
            drive.serving.start()
            status, _, found = drive.serving.request("GET", name)
            assert (status == 200) or name not in kept
            if status == 200:
                assert found in (kept.get(name), body)
                kept[name] = found
        server.control("forget_faults")
        drive.await_flush()
        drive.restart()
        for name, body in kept.items():
            assert drive.serving.request("GET", name)[2] == body
    assert set(packs_sent(server).values()) == {1}


@pytest.mark.parametrize("accounts", [{"users": 1}, {"users": 0, "bots": 1}], ids=["user", "bot"])
def test_ten_thousand_small_files_are_few_messages(
    server: TelegramServer, tmp_path: Path, accounts: dict[str, int]
):
    count, threads = 10_000, 8
    before = sum(packs_sent(server).values())
    # A slow machine under coverage saves for minutes: what is counted is not its flushes.
    patient = {"TGDAV_STORE_FLUSH_AGE_S": "300"}
    with telegram_drive(server, tmp_path / "drive", variables=patient, **accounts) as drive:

        def save(first: int) -> None:
            with drive.serving.connect() as connection:
                for number in range(first, count, threads):
                    status, _, _ = ask(connection, "PUT", f"/{number}", content(number, 4096))
                    assert status == 201

        savers = [threading.Thread(target=save, args=(n,)) for n in range(threads)]
        for saver in savers:
            saver.start()
        for saver in savers:
            saver.join()
        drive.await_flush()
        assert 1 <= sum(packs_sent(server).values()) - before <= 10
        facts = drive.facts()
        assert facts["messages_sent"] <= 10
        assert [account["flood_s"] for account in facts["accounts"]] == [0]
        for number in range(0, count, 997):
            assert drive.serving.request("GET", f"/{number}")[2] == content(number, 4096)


def test_one_of_four_banned_and_one_waiting_stop_nothing(server: TelegramServer, tmp_path: Path):
    size = 160 << 20
    body = content(5, size)
    with telegram_drive(server, tmp_path / "drive", users=4) as drive:
        assert put(drive, "/old", body)
        drive.await_flush()
        drive.restart()
        reading: list[bytes] = []
        reader = threading.Thread(
            target=lambda: reading.append(drive.serving.request("GET", "/old")[2])
        )
        server.control("shape", latency_s=0.05, account_bytes_s=30_000_000)
        reader.start()
        saver = threading.Thread(target=put, args=(drive, "/new", content(6, size)))
        saver.start()
        time.sleep(1.5)
        server.control("ban", account=drive.accounts[0])
        server.control(
            "fail",
            method="messages.sendMedia",
            account=drive.accounts[1],
            code=420,
            message="FLOOD_WAIT_300",
        )
        saver.join()
        reader.join()
        drive.await_flush(120)
        server.control("shape")
        assert reading == [body]
        assert drive.serving.request("GET", "/new")[2] == content(6, size)
        states = {a["no"]: a["state"] for a in drive.facts()["accounts"]}
        assert sorted(states.values()) == ["active", "active", "active", "banned"]
    assert set(packs_sent(server).values()) == {1}


def test_the_network_is_lost_in_the_middle_of_a_save(server: TelegramServer, tmp_path: Path):
    body = content(7, 40 << 20)
    with telegram_drive(server, tmp_path / "drive") as drive:
        server.control("refuse_connections", on=True)
        assert put(drive, "/file", body)
        time.sleep(3)
        facts = drive.facts()
        assert facts["spool_bytes"] > 0
        assert drive.serving.request("GET", "/file")[2] == body
        server.control("refuse_connections", on=False)
        drive.await_flush(120)
        drive.restart()
        assert drive.serving.request("GET", "/file")[2] == body


def test_telegram_sees_neither_names_nor_contents(server: TelegramServer, tmp_path: Path):
    canary, name = random.Random(3).randbytes(32), "canary-folder-7351"
    with telegram_drive(server, tmp_path / "drive") as drive:
        assert drive.serving.request("MKCOL", f"/{name}")[0] == 201
        assert put(drive, f"/{name}/canary-file-7351", canary * 1000)
        drive.await_flush()
        assert sum(packs_sent(server).values()) >= 1
    for needle in (canary, name.encode(), b"canary-file-7351", b"someone"):
        assert server.control("bytes_seen", needle_hex=needle.hex()) == 0
