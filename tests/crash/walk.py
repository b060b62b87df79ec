"""kill -9 right before and right after every durable step of one operation.

`python -m tests.crash.walk SCENE FOLDER` walks one. Each kill is of a fork, and
another fork looks at what is left: that costs no start of Python.
"""

import contextlib
import functools
import itertools
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, func, select

from tests.blocks.room import until
from tests.crash.scenes import FIRST, SCENES, SECOND, Scene, make, opened
from tests.crash.steps import Step, Steps
from tests.tree import replay
from tgdav import app
from tgdav.app.drive import Drive
from tgdav.app.folder import SPOOL, STAGING
from tgdav.blocks.rows import snapshots
from tgdav.blocks.rows.tables import leases, packs
from tgdav.db import database
from tgdav.maintenance.course import Course
from tgdav.maintenance.fsck import SETTLED_S, fsck
from tgdav.maintenance.repair import repair
from tgdav.maintenance.turn import turn
from tgdav.tree.paths import parse

STEP_S = 30
"""The most that one fork may take."""
SWEPT_S = 5.0
UNHARMED = 0
_write = os.write  # as it is before any step is caught
Tell = Callable[[str], None]
Act = Callable[[Tell], None]


class Ended(NamedTuple):
    """How a fork ended, and what it told."""

    status: int
    told: list[str]


def forked(work: Callable[[Tell], None]) -> Ended:
    """Have a fork do `work`; what that raises is told."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        signal.alarm(STEP_S)
        status = UNHARMED
        try:
            work(lambda line: void(_write(writing, f"{line}\n".encode())))
        except BaseException:
            _write(writing, traceback.format_exc().encode())
            status = 1
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        told = lines.read().splitlines()
    return Ended(os.waitpid(child, 0)[1], told)


def void(_: object) -> None:
    pass


class Drives:
    """The scene's drive as it is before the operation, and a copy of it to be harmed."""

    def __init__(self, folder: Path) -> None:
        self._made = folder / "made"
        self.folder = folder / "harmed"
        self.url = ""

    def make(self, scene: Scene) -> None:
        make(self._made, "", scene)

    def copy(self) -> None:
        """A fresh copy, in place of the one before."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._made, self.folder)


class Walk:
    """One scene's walk, in a process of one thread."""

    def __init__(self, scene: Scene, drives: Drives) -> None:
        self._scene = scene
        self._drives = drives

    def steps(self) -> Iterator[tuple[str, str]]:
        """Each step by name, and what is wrong after a kill there; "" if nothing is."""
        total = self._prepare()
        for number in itertools.count(1):
            for when in ("before", "after"):
                self._drives.copy()
                killed = forked(partial(self._act, number, when))
                if killed.status == UNHARMED:
                    return
                *answered, step = killed.told
                name = f"{self._scene.name} {number} of {total}, {step}"
                if killed.status == signal.SIGKILL:
                    looked = forked(partial(self._look, answered))
                    yield name, "" if looked.status == UNHARMED else str(looked)
                else:
                    yield name, str(killed)

    def _prepare(self) -> int:
        """Make the drive, and see that it is fit for this; how many steps there are."""
        # Statements are compiled once, here, and not in each fork: that is most of the time.
        database.make_engine = functools.cache(database.make_engine)
        self._drives.make(self._scene)
        self._drives.copy()
        self._look([], void)
        until(lambda: threading.active_count() == 1)  # only this one is in a fork
        self._drives.copy()
        counted = forked(partial(self._act, 0, "before"))
        assert counted.status == UNHARMED, counted
        return int(counted.told[-1])

    def _act(self, number: int, when: str, tell: Tell) -> None:
        """Begin the operation and die at that step; or end it, and tell how many there were."""

        def die(step: Step) -> None:
            tell(f"{step.when} {step.name}")
            os.kill(os.getpid(), signal.SIGKILL)

        steps = Steps(range(number, number + 1), when, die)
        with self._acting() as act:
            steps.catch()
            act(tell)
            tell(str(steps.count))
            os._exit(UNHARMED)

    @contextlib.contextmanager
    def _acting(self) -> Iterator[Act]:
        """Everything is ready for the operation; calling what comes out does it."""
        with opened(self._drives.folder, self._drives.url) as drive:
            yield partial(self._scene.act, drive)

    def _look(self, answered: list[str], _tell: Tell) -> None:
        """Assert what must be so after the kill; go on, and that nothing is left of it."""
        with opened(self._drives.folder, self._drives.url) as drive:
            found = list(fsck(drive.vault.workshop))
            assert {finding.kind for finding in found} <= self._scene.may_find, found
            self._require_whole(drive, answered)
            end_leases(drive)
        self._go_on()

    def _go_on(self) -> None:
        """Serve, repair, do the operation again; assert that then all is as it should be."""
        scene, folder, url = self._scene, self._drives.folder, self._drives.url
        with app.alone(folder), opened(folder, url, serving=True) as drive:
            with turn(drive.db):
                repair(drive.vault.workshop, drive.scratch, Course(), settled_s=0)
            scene.act(drive, void)
            drive.vault.flush()
            until(lambda: not packs_in(self._store(SPOOL)), SWEPT_S)
            assert self._contents(drive) == {path: scene.after.get(path) for path in self._paths}
            settled_ns = time.time_ns() + int(2 * SETTLED_S * 1e9)
            found = list(fsck(drive.vault.workshop, clock=lambda: settled_ns))
            assert not found, found
            if not has_snapshot(drive):  # else the journal's older rows are gone
                replay.check(drive.db)
            self._require_no_strays(drive)
        assert not list((folder / STAGING).iterdir())

    def _require_no_strays(self, drive: Drive) -> None:
        """Each store has its packs and no other file, not even half of one."""
        with drive.db.read() as connection:
            wanted = connection.scalars(select(func.count()).select_from(packs)).one()
        for store in map(self._store, (FIRST, SECOND)):
            assert len(packs_in(store)) == wanted, packs_in(store)

    def _store(self, name: str) -> Path:
        """Where the drive's store, or its spool, is."""
        return self._drives.folder / name

    def _require_whole(self, drive: Drive, answered: list[str]) -> None:
        """What was answered is there; what was not is there whole, or what it replaces is."""
        for path, data in self._contents(drive).items():
            old, new = self._scene.before.get(path), self._scene.after.get(path)
            assert data in ([new] if path in answered else [old, new]), path

    def _contents(self, drive: Drive) -> dict[str, bytes | None]:
        """Every file that the scene knows, as it reads; None if it is not there."""
        return {path: read(drive, path) for path in self._paths}

    @property
    def _paths(self) -> set[str]:
        return {*self._scene.before, *self._scene.after}


def has_snapshot(drive: Drive) -> bool:
    with drive.db.read() as connection:
        return snapshots.newest(connection) is not None


def read(drive: Drive, path: str) -> bytes | None:
    node = drive.tree.find(parse(path))
    if node is None:
        return None
    with closing(drive.tree.reading(node, 0, node.size)) as reading:
        return b"".join(map(bytes, reading))


def end_leases(drive: Drive) -> None:
    """As if so much time had passed that what the killed process had is over."""
    drive.db.write(lambda connection: connection.execute(delete(leases)))


def packs_in(store: Path) -> list[Path]:
    """Files in a store's folder, unfinished ones too."""
    return list(store.glob("??/*"))


def tell_steps(walk: Walk) -> int:
    """Walk; say each step, and what is wrong; 1 if anything is."""
    bad = 0
    for step, wrong in walk.steps():
        print(step, f"\n{wrong}" if wrong else "", flush=True)
        bad += bool(wrong)
    return int(bad > 0)


def main(kind: type[Walk], name: str, folder: str) -> int:
    """Walk this scene; 1 if anything is wrong."""
    logging.disable(logging.CRITICAL)
    return tell_steps(kind(SCENES[name], Drives(Path(folder))))


if __name__ == "__main__":
    sys.exit(main(Walk, *sys.argv[1:]))
