"""A disk that is full from one durable step of an operation on, or in that step alone.

`python -m tests.crash.full SCENE FOLDER` walks one: every write, sync, new file, new folder
and commit. What fails is refused with an error of ours, what was kept is there meanwhile,
and the same process goes on when there is room.
"""

import errno
import itertools
import os
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial

from tests.crash.scenes import opened
from tests.crash.steps import ROOM, Step, Steps
from tests.crash.walk import UNHARMED, Tell, Walk, end_leases, forked, main, void
from tgdav.errors import TgdavError


class Filling(Walk):
    """One scene's walk with a disk that fills up."""

    def steps(self) -> Iterator[tuple[str, str]]:
        """Each step by name, and what is wrong when the disk is full there."""
        self._prepare()
        for number in itertools.count(1):
            for lasts in (False, True):
                self._drives.copy()
                ended = forked(partial(self._fill, number, lasts=lasts))
                if not ended.told:
                    assert ended.status == UNHARMED, ended
                    return
                name = f"{self._scene.name} {number}, {ended.told[0]}"
                yield name, "" if ended.status == UNHARMED else str(ended)

    def _fill(self, number: int, tell: Tell, *, lasts: bool) -> None:
        """Act while the disk is full; look; act again, with room; look at what is left."""
        steps, refused = self._refusing(number, tell, lasts=lasts)
        answered: list[str] = []
        with opened(self._drives.folder, self._drives.url) as drive:
            steps.catch()
            try:
                self._scene.act(drive, answered.append)
            except TgdavError:
                assert refused
            self._require_whole(drive, answered)
            steps.stop()
            end_leases(drive)
            self._scene.act(drive, void)
            workshop = drive.vault.workshop
            assert workshop.budget.used == workshop.bench.used == 0
        if refused:
            self._go_on()

    def _refusing(self, number: int, tell: Tell, *, lasts: bool) -> tuple[Steps, list[Step]]:
        """Steps of which one, or all from there on, find the disk full; and which did."""
        refused: list[Step] = []

        def refuse(step: Step) -> None:
            if not refused:
                tell(f"{step.name}, and all after it" if lasts else step.name)
            refused.append(step)
            if step.name == "commit":
                raise sqlite3.OperationalError("database or disk is full")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        wanted = range(number, sys.maxsize if lasts else number + 1)
        return Steps(wanted, "before", refuse, ROOM.__contains__), refused


if __name__ == "__main__":
    sys.exit(main(Filling, *sys.argv[1:]))
