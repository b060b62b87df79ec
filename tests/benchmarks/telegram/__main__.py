"""`python -m tests.benchmarks.telegram`: 1 GiB there and back over MTProto, in one run.

The test server is a process of its own, 50 ms away. The caps are the server's. Telethon's
own ways carry an eighth of that, as they take so long.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cryptg
import psutil

from tests.benchmarks.load import connected, expect, in_parallel
from tests.benchmarks.measures import GIB, get, put_noise
from tests.telegram_drive import TelegramDrive, telegram_drive
from tests.telegram_server.process import TelegramServer

MB = 1_000_000
CAP = 30 * MB
LATENCY_S = 0.05

Figures = dict[str, float]


def there_and_back(drive: TelegramDrive, size: int) -> Figures:
    """PUT until Telegram alone has it; GET with nothing in memory."""

    def put() -> None:
        in_parallel(drive.target, 1, [put_noise("/big.bin", size, 1)])
        drive.flush()

    figures = taken(drive, "PUT", size, put)
    drive.restart()
    get_it = [get("/big.bin", size)]
    return figures | taken(drive, "GET", size, lambda: in_parallel(drive.target, 1, get_it))


def taken(drive: TelegramDrive, what: str, size: int, work: Callable[[], object]) -> Figures:
    """MB/s, the drive's CPU ms a MB, and how many cores it had busy, and all did."""
    cpu, busy, began = drive.cpu_s(), busy_s(), time.perf_counter()
    work()
    took = time.perf_counter() - began
    cpu, busy = drive.cpu_s() - cpu, busy_s() - busy
    return {
        f"{what} MB/s": size / MB / took,
        f"{what} CPU ms/MB": cpu * 1000 * MB / size,
        f"{what} cores": cpu / took,
        f"{what} cores, all": busy / took,
    }


def busy_s() -> float:
    """Seconds that this machine's cores were not idle."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def told(size: int, up_s: float, up_cpu_s: float, down_s: float, down_cpu_s: float) -> Figures:
    return {
        "PUT MB/s": size / MB / up_s,
        "PUT CPU ms/MB": up_cpu_s * 1000 * MB / size,
        "GET MB/s": size / MB / down_s,
        "GET CPU ms/MB": down_cpu_s * 1000 * MB / size,
    }


def of_drive(
    server: TelegramServer, folder: Path, size: int, *, users: int = 1, **telegram: object
) -> Figures:
    """One new drive's figures."""
    with telegram_drive(server, folder / f"{time.monotonic_ns()}", users=users, **telegram) as it:
        return there_and_back(it, size)


def of_peer(server: TelegramServer, way: str, size: int) -> Figures:
    """The same by Telethon itself, in a channel of its own."""
    phone = f"+99968{time.monotonic_ns() % 10**8:08d}"
    user = server.control("add_user", phone=phone)["user_id"]
    session = server.control("session", account=user)
    found = json.loads(run_peer(way, session, server.key_path, size))
    return told(size, found["up_s"], found["up_cpu_s"], found["down_s"], found["down_cpu_s"])


def run_peer(*arguments: object) -> str:
    """One of Telethon's own ways, in a process of its own: what it printed."""
    program = [sys.executable, "-m", "tests.benchmarks.telegram.peer"]
    done = subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, timeout=1800, check=True
    )
    return done.stdout


def first_byte(server: TelegramServer, folder: Path) -> Figures:
    """A cold range of 1,000 bytes, in ms: two round trips and one window are the aim."""
    taken = []
    with telegram_drive(server, folder / "first") as drive:
        in_parallel(drive.target, 1, [put_noise("/big.bin", 64 << 20, 1)])
        drive.await_flush()
        for turn in range(5):
            drive.restart()
            time.sleep(3)  # the accounts are connected
            with connected(drive.target) as connection:
                # The password is checked, which takes its time on purpose.
                expect(connection.ask("PROPFIND", "/big.bin", "Depth: 0\r\n"), 207)
                began = time.perf_counter()
                start = turn * (12 << 20) + 12345
                headers = f"Range: bytes={start}-{start + 999}\r\n"
                assert expect(connection.ask("GET", "/big.bin", headers), 206) == 1000
                taken.append((time.perf_counter() - began) * 1000)
    return {"first byte ms": statistics.median(taken)}


def shares(server: TelegramServer, folder: Path, size: int) -> Figures:
    """What four accounts do when one is banned and another waits, of what they did before.

    Two of four still save and three read: 0.5 and 0.75 are their shares.
    """
    with telegram_drive(server, folder / "shares", users=4) as drive:
        rates = []
        for turn in range(2):

            def put(path: str = f"/{turn}.bin", seed: int = turn) -> None:
                in_parallel(drive.target, 1, [put_noise(path, size, seed)])
                drive.flush()

            fetch = get("/0.bin", size)
            rates.append(
                taken(drive, "PUT", size, put)
                | taken(
                    drive, "GET", size, lambda fetch=fetch: in_parallel(drive.target, 1, [fetch])
                )
            )
            server.control("ban", account=drive.accounts[0])
            flood = {"method": "messages.sendMedia", "code": 420, "message": "FLOOD_WAIT_300"}
            server.control("fail", account=drive.accounts[1], **flood)
    before, after = rates
    return {f"{way}: share": after[f"{way} MB/s"] / before[f"{way} MB/s"] for way in ("PUT", "GET")}


def ciphers_alone() -> Figures:
    """What MTProto's SHA-256 and AES-IGE take by themselves: no program can take less."""

    def ms_per_mb(work: Callable[[bytes, bytes, bytes], bytes], size: int) -> float:
        data, key, iv = os.urandom(size), os.urandom(32), os.urandom(32)
        taken = []
        for _ in range(100):
            began = time.thread_time()
            hashlib.sha256(data).digest()
            work(data, key, iv)
            taken.append(time.thread_time() - began)
        return statistics.median(taken) * 1000 * MB / size

    return {
        "PUT CPU ms/MB": ms_per_mb(cryptg.encrypt_ige, 512 << 10),
        "GET CPU ms/MB": ms_per_mb(cryptg.decrypt_ige, 1 << 20),
    }


def plan(server: TelegramServer, folder: Path, size: int) -> dict[str, Callable[[], Figures]]:
    """What is measured, by name; each sets the server's caps for itself."""

    def shaped(work: Callable[[], Figures], **caps: int) -> Callable[[], Figures]:
        def measure() -> Figures:
            server.control("shape", latency_s=LATENCY_S, **caps)
            return work()

        return measure

    less = size // 8
    one = {"connection_bytes_s": CAP}
    each = {"account_bytes_s": CAP}
    drive, peer = of_drive, of_peer
    return {
        "a. one sender of 30 MB/s: tgdav": shaped(
            lambda: drive(server, folder, size, senders=1), **one
        ),
        "a. one sender of 30 MB/s: Telethon": shaped(lambda: peer(server, "stock", less), **one),
        "b. accounts of 30 MB/s: 1": shaped(lambda: drive(server, folder, size, users=1), **each),
        "b. accounts of 30 MB/s: 2": shaped(lambda: drive(server, folder, size, users=2), **each),
        "b. accounts of 30 MB/s: 4": shaped(lambda: drive(server, folder, size, users=4), **each),
        "b. account of 30 MB/s: Telethon": shaped(lambda: peer(server, "stock", less), **each),
        "b. account of 30 MB/s: recipe": shaped(lambda: peer(server, "recipe", less), **each),
        "c. no cap: tgdav, 1 account": shaped(lambda: drive(server, folder, size)),
        "c. no cap: tgdav, 4 accounts": shaped(lambda: drive(server, folder, size, users=4)),
        "c. no cap: Telethon": shaped(lambda: peer(server, "stock", less)),
        "c. no cap: recipe": shaped(lambda: peer(server, "recipe", less)),
        "c. MTProto's ciphers alone": ciphers_alone,
        "d. one of 4 banned, one waits": shaped(
            lambda: shares(server, folder, size // 4), account_bytes_s=CAP // 2
        ),
        "first byte": shaped(lambda: first_byte(server, folder)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.telegram", description=__doc__
    )
    parser.add_argument("measure", nargs="*", help="begins of what to measure: a, b, c, d, first")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 takes a tenth of the GiB")
    parser.add_argument("--folder", type=Path, help="where drives keep their data")
    arguments = parser.parse_args()
    size = int(GIB * arguments.scale)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, TelegramServer() as server:
        measured = plan(server, Path(folder), size)
        print(f"{os.cpu_count()} cores, {size / MB:,.0f} MB, {LATENCY_S * 1000:.0f} ms\n")
        for name, measure in measured.items():
            if not arguments.measure or name.startswith(tuple(arguments.measure)):
                figures = "  ".join(f"{what} {value:,.1f}" for what, value in measure().items())
                print(f"{name:38} {figures}", flush=True)


if __name__ == "__main__":
    main()
