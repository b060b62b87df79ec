"""kill -9, or a full disk, at every durable step of a recovery.

`python -m tests.crash.recovering walk|full FOLDER` walks it: from two stores, with a snapshot
and a journal after it, into an empty folder. The lost machine is there to come back.
"""

import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.blocks.room import KEYS, content
from tests.crash.full import Filling
from tests.crash.scenes import FIRST, KEPT, KIB, SECOND, Answer, Files, Scene, opened, put
from tests.crash.walk import Act, Drives, Tell, Walk, tell_steps, void
from tgdav.app import recovering
from tgdav.app.drive import Drive
from tgdav.app.recovering import Key, NamedStore
from tgdav.blocks.form import keyfile
from tgdav.blocks.recovery import rebuilding
from tgdav.errors import DriveMissing, StoresAhead, TgdavError
from tgdav.maintenance import recover, restoring

LATE: Files = {
    f"/late-{number}": content((5 + 40 * number) * KIB, 60 + number) for number in (0, 1)
}
NEXT: Files = {"/next": content(4 * KIB, 70)}


def _history(drive: Drive) -> None:
    """A snapshot, and changes after it that journals of packs tell."""
    drive.snapshots.take()
    for path, data in LATE.items():
        put(drive, path, data)
        drive.vault.flush()


def _go_on(drive: Drive, _answer: Answer) -> None:
    """Save something, and do what a server does every minute: heads are renewed, and shed."""
    for path, data in NEXT.items():
        put(drive, path, data)
    drive.snapshots.run_if_due(1000)


SCENE = Scene(
    "recover",
    _history,
    _go_on,
    (
        (recover, "so that it goes on where it was stopped. The drive's own row comes last"),
        (rebuilding, "Each step may be done again: what is recorded already stays"),
        (restoring, "Each step is a transaction that says how far it is"),
    ),
    before=KEPT | LATE,
    after=KEPT | LATE | NEXT,
    may_find=frozenset({"replica_missing"}),  # of a head that is being shed
)


class Lost(Drives):
    """A lost drive's folder, and an empty one beside it that is to be the drive's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lost, self.folder = self.folder, folder / "again"

    def copy(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.lost, ignore_errors=True)
        shutil.copytree(self._made, self.lost)

    def stores(self) -> list[NamedStore]:
        return [NamedStore("directory", str(self.lost / store)) for store in (FIRST, SECOND)]


class Recovering(Walk):
    """The walk of a recovery; what is left of one that is killed is recovered again."""

    _drives: Lost

    @contextlib.contextmanager
    def _acting(self) -> Iterator[Act]:
        yield lambda _tell: self._recover()

    def _look(self, answered: list[str], tell: Tell) -> None:
        try:
            self._recover()
        except DriveMissing:  # it was there already
            with opened(self._drives.folder):
                pass
        super()._look(answered, tell)
        with opened(self._drives.lost) as lost, contextlib.suppress(StoresAhead):
            put(lost, "/other", b"of another history")
            lost.vault.flush()
            raise AssertionError("the lost machine goes on, too")

    def _recover(self) -> None:
        recovering.recover(
            self._drives.folder,
            self._drives.stores(),
            Key(words=keyfile.recovery_text(KEYS)),
            log_in=lambda *_: None,
            progress=lambda *_: None,
        )

    def _store(self, name: str) -> Path:
        return (self._drives.folder if name == "spool" else self._drives.lost) / name


class FullDisk(Recovering, Filling):
    """The same with a disk that fills up: a refusal, and with room it goes on."""

    def _fill(self, number: int, tell: Tell, *, lasts: bool) -> None:
        steps, refused = self._refusing(number, tell, lasts=lasts)
        steps.catch()
        try:
            self._recover()
        except TgdavError:
            assert refused
        steps.stop()
        if refused:
            self._look([], void)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    restoring.REPLAYED, rebuilding.BLOCKS = 2, 4
    kind = {"walk": Recovering, "full": FullDisk}[sys.argv[1]]
    sys.exit(tell_steps(kind(SCENE, Lost(Path(sys.argv[2])))))
