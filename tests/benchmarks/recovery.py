"""`python -m tests.benchmarks.recovery`: how long a lost drive of many files takes to come back."""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.blocks.room import content
from tests.maintenance import disaster
from tests.tree.drive import ADA
from tgdav.db import Database


def main() -> None:
    """Save so many files of 4 KiB, lose the machine, recover, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recovery")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--late", type=float, default=0.1, help="share saved after the snapshot")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments.files, int(arguments.files * arguments.late))


def measure(folder: Path, files: int, late: int) -> None:
    """Print what each step took."""
    sizes = {"pack_size": 32 << 20, "staging_limit": 1 << 30, "small_save": 16 << 20}
    db = Database.open(f"sqlite:///{folder / 'lost.db'}")
    lost = disaster.machine(db, folder / "lost", sizes=sizes)
    began = time.monotonic()
    _save_all(lost, range(files - late))
    lost.flush()
    print(f"{files - late:,} files saved in {time.monotonic() - began:,.0f} s", flush=True)
    began = time.monotonic()
    taken = lost.snapshots.take()
    print(
        f"snapshot: {time.monotonic() - began:,.1f} s, {taken.parts} packs, "
        f"{taken.bytes / 2**20:,.1f} MiB",
        flush=True,
    )
    _save_all(lost, range(files - late, files))
    lost.flush()
    again = Database.open(f"sqlite:///{folder / 'again.db'}")
    reads = len(lost.room.store.reads)
    began = time.monotonic()
    room = disaster.furnish(again, _made(folder / "again"), lost.room)
    done = disaster.recovering(again, room).run()
    took_s = time.monotonic() - began
    asked, allowed = len(lost.room.store.reads) - reads, files // 5000 + 200
    print(
        f"recover: {took_s:,.1f} s for {files:,} files, {done.replayed:,} changes replayed, "
        f"{asked:,} reads of the store (allowed: {allowed:,})"
    )
    assert (done.unsaved, done.lost_blocks) == (0, 0)
    lost.close()
    for each in (again, db):
        each.close()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _save_all(lost: disaster.Machine, numbers: range) -> None:
    for thousand in sorted({number // 1000 for number in numbers}):
        if lost.drive.tree.find((str(thousand),)) is None:
            lost.drive.mkdir(f"/{thousand}", ADA)
    with ThreadPoolExecutor(32) as threads:
        for saved in threads.map(lambda number: _save(lost, number), numbers):
            assert saved is None


def _save(lost: disaster.Machine, number: int) -> None:
    lost.drive.save(f"/{number // 1000}/{number}", content(4096, number))


if __name__ == "__main__":
    main()
