"""gc against writers: what was answered is readable, whatever is collected meanwhile.

`TGDAV_TEST_STRESS_S` is for how many seconds, if for longer than twenty collections take.
`pytest -s` then shows what was done.
"""

import os
import random
import threading
import time
from collections import Counter

import pytest

from tests.blocks.room import content
from tests.maintenance.conftest import ignore
from tests.tree.drive import ADA
from tgdav.blocks.rows import uptime
from tgdav.errors import AlreadyExists, Busy, NotFound
from tgdav.maintenance.expire import expire
from tgdav.maintenance.gc import Graces, gc
from tgdav.tree.paths import parse

ROUNDS = 20
MOST_S = 60
LASTS_S = float(os.environ.get("TGDAV_TEST_STRESS_S", "0"))
WRITERS = 3
SIZES = (300, 900, 3000, 20_000, 150_000)
CONTENTS = [content(size, seed=size + seed) for size in SIZES for seed in range(8)]
"""More than there are files, so that blocks are let go; few, so that saves find them again."""


class Writer(threading.Thread):
    """Saves, copies, deletes and restores in a directory of its own, and remembers what it has."""

    def __init__(self, drive, number, over):
        super().__init__()
        self.drive, self.top, self.over = drive, f"/{number}", over
        self.random = random.Random(number)
        self.kept = {}
        self.done = Counter()
        self.error = None

    def run(self):
        try:
            self.drive.mkdir(self.top)
            while not self.over.is_set():
                try:
                    self.step()
                except (Busy, NotFound, AlreadyExists):
                    self.done["refused"] += 1
        except BaseException as error:
            self.error = error

    def step(self):
        path = f"{self.top}/{self.random.randrange(6)}"
        did = self.random.choice(["save", "save", "delete", "copy", "read", "restore"])
        if did == "save":
            wanted = self.random.choice(CONTENTS)
            self.drive.save(path, wanted)
            self.kept[path] = wanted
        elif did == "delete" and path in self.kept:
            self.drive.delete(path)
            del self.kept[path]
        elif did == "copy" and self.kept:
            source = self.random.choice(list(self.kept))
            if source != path:
                self.drive.copy(source, path)
                self.kept[path] = self.kept[source]
        elif did == "read" and path in self.kept:
            assert self.drive.read(path) == self.kept[path]
        elif did == "restore":
            self.restore(path)
        self.done[did] += 1

    def restore(self, path):
        if path in self.kept:
            return
        entries = self.drive.tree.trash.entries((self.top[1:],))
        if entries:
            entry = self.random.choice(entries)
            self.drive.tree.trash.restore(entry.no, ADA, parse(path))
            self.kept[path] = self.drive.read(path)
            assert self.kept[path] in CONTENTS


class Collector(threading.Thread):
    """gc and expiry without a pause, with graces of a part of a second."""

    def __init__(self, drive, over):
        super().__init__()
        self.drive, self.over = drive, over
        self.rounds = self.collected = self.dropped = self.rewritten = self.dead_versions = 0
        self.error = None

    def run(self):
        before = time.monotonic()
        try:
            last, give_up = before + LASTS_S, before + max(MOST_S, LASTS_S)
            while (now := time.monotonic()) < give_up:
                if self.rounds >= ROUNDS and now > last:
                    break
                uptime.add(self.drive.db, int((now - before) * 1e9))
                before = now
                self.round()
        except BaseException as error:
            self.error = error
        finally:
            self.over.set()

    def figures(self):
        names = ("rounds", "collected", "dropped", "rewritten", "dead_versions")
        return {name: getattr(self, name) for name in names}

    def round(self):
        time.sleep(0.3)
        done = expire(self.drive.db, self.drive.tree.trash, ignore, keep_s=0.3, grace_s=0.3)
        self.dead_versions += done.versions_dropped
        found = gc(
            self.drive.room.vault.workshop,
            ignore,
            graces=Graces(age_s=0.4, uptime_s=0.3, waste_share=0.2),
            dry=False,
            yes=True,
        )
        self.collected += found.collected_blocks
        self.dropped += found.dropped_packs
        self.rewritten += found.rewritten_packs
        self.rounds += 1


@pytest.mark.slow
@pytest.mark.timeout(LASTS_S + 300)
def test_no_answered_file_becomes_unreadable(drive):
    over = threading.Event()
    drive.room.vault.start()
    writers = [Writer(drive, number, over) for number in range(WRITERS)]
    collector = Collector(drive, over)
    for thread in (*writers, collector):
        thread.start()
    for thread in (*writers, collector):
        thread.join(LASTS_S + 120)
        assert not thread.is_alive()
        if thread.error:
            raise thread.error
    done = sum((writer.done for writer in writers), Counter())
    print(f"writers {dict(done)}, collector {collector.figures()}")
    assert collector.collected > 0
    assert collector.dropped > 0
    assert collector.rewritten > 0
    assert collector.dead_versions > 0
    for writer in writers:
        for path, wanted in writer.kept.items():
            assert drive.read(path) == wanted
    found = drive.found()
    assert {path for path, data in found.items() if data is not None} == {
        path for writer in writers for path in writer.kept
    }
