"""What is killed on its way: operations on a small drive, and what each promises.

A scene is one line of `SCENES`. Its drive has two directory stores that both hold all.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from sqlalchemy import select

from tests.blocks.room import KEYS, content
from tests.maintenance.ward import harm
from tgdav import app
from tgdav.app.drive import Drive
from tgdav.blocks import keeping
from tgdav.blocks.flushing import delivery, packing, rewriting, shedding
from tgdav.blocks.form import keyfile
from tgdav.blocks.rows import roster, uptime
from tgdav.blocks.rows.tables import packs, replicas
from tgdav.maintenance import gc, mending, repair, snapshot
from tgdav.maintenance.course import Course
from tgdav.maintenance.expire import expire
from tgdav.maintenance.scrub import scrub
from tgdav.maintenance.turn import turn
from tgdav.settings import Settings, load
from tgdav.stores.directory import DirectoryStore
from tgdav.tree import save as saving
from tgdav.tree.paths import parse
from tgdav.tree.permit import Permit

ADA = Permit("ada")
KIB = 1 << 10
FIRST, SECOND = "store", "second"
Files = dict[str, bytes]
Answer = Callable[[str], None]
"""Told the path of a file whose save is answered."""

KEPT: Files = {
    "/small": content(3 * KIB, 1),
    "/folder/middle": content(90 * KIB, 2),
    "/folder/other": content(80 * KIB, 3),
}
ONE_PACK, TWO_PACKS = content(1100 * KIB, 33), content(1100 * KIB, 37)
"""More than a save keeps in memory: it makes packs of its own. So many with these keys."""


class Scene(NamedTuple):
    """One operation, from a drive at rest to a drive at rest."""

    name: str
    prepare: Callable[[Drive], None]
    act: Callable[[Drive, Answer], None]
    promises: tuple[tuple[ModuleType, str], ...]
    """Which module says what a kill leaves behind, and how."""
    before: Files = KEPT
    after: Files = KEPT
    may_find: frozenset[str] = frozenset()
    """What fsck may find after a kill; `repair` puts all of it right."""


def settings(folder: Path, url: str = "") -> Settings:
    """Small packs, everything twice; nothing happens by the clock."""
    wanted = {
        ("store", "copies"): 2,
        ("store", "pack_size"): 256 * KIB,
        ("store", "flush_age_s"): 3600,
        ("maintenance", "enabled"): False,
        ("database", "url"): url,
    }
    return load(folder, {}, wanted)


@contextlib.contextmanager
def opened(folder: Path, url: str = "", *, serving: bool = False) -> Iterator[Drive]:
    """The drive, as a command has it or as the server has."""
    with app.opened(folder, settings(folder, url), serving=serving) as drive:
        yield drive


def make(folder: Path, url: str, scene: Scene) -> None:
    """The scene's drive as it is before the operation."""
    keyfile.store_key(folder, KEYS, None)  # all drives cut alike
    app.make_unless_made(folder, settings(folder, url))
    with opened(folder, url) as drive:
        DirectoryStore.make(folder / SECOND)
        # By a path within the folder, so that a copy of the folder is another drive.
        roster.add(drive.db, "directory", {"path": SECOND})
        drive.vault.refresh()
        drive.tree.make_directory(parse("/folder"), ADA)
        for path, data in KEPT.items():
            put(drive, path, data)
            drive.vault.flush()
        scene.prepare(drive)


def put(drive: Drive, path: str, data: bytes) -> None:
    """Save a file, as PUT does."""
    with drive.tree.writing(parse(path), ADA, announced=len(data)) as save:
        save.write(data)
        save.publish(size_expected=len(data))


def _nothing(_drive: Drive) -> None:
    pass


SAVED: Files = {
    "/folder/new": content(5 * KIB, 5),
    "/folder/logged": content(100 * KIB, 6),
    "/folder/middle": TWO_PACKS,
}


def _save(drive: Drive, answer: Answer) -> None:
    """A small file under a new name, one that is staged in the log, and a big one for another."""
    for path, data in SAVED.items():
        put(drive, path, data)
        answer(path)


STAGED: Files = {f"/{number}": content((40 + 50 * number) * KIB, 10 + number) for number in (0, 1)}
"""In the database, and in the staging log."""


def _stage(drive: Drive) -> None:
    for path, data in STAGED.items():
        put(drive, path, data)


def _flush(drive: Drive, _answer: Answer) -> None:
    drive.vault.flush()


MIXED: Files = {f"/mixed-{number}": content(15 * KIB, 20 + number) for number in range(4)}
LEFT = "/mixed-3"
AT_ONCE = gc.Graces(age_s=0, uptime_s=0, waste_share=0.3)


def _ignore(*_: object) -> None:
    pass


def _collect(drive: Drive, _answer: Answer) -> None:
    expire(drive.db, drive.tree.trash, _ignore, keep_s=0, grace_s=0)
    gc.gc(drive.vault.workshop, _ignore, graces=AT_ONCE, dry=False, yes=True)


def _litter(drive: Drive) -> None:
    """A pack that is dead, one that is mostly dead, a block to collect, one to condemn."""
    for files in (
        {"/dead": ONE_PACK},
        MIXED,
        {"/due": content(70 * KIB, 31)},
        {"/fresh": b"fresh"},
    ):
        for path, data in files.items():
            put(drive, path, data)
        drive.vault.flush()
    for paths in (("/dead",), ("/due", *MIXED)):
        for path in paths:
            if path != LEFT:
                drive.tree.delete(parse(path), ADA)
        _collect(drive, _ignore)
    drive.tree.delete(parse("/fresh"), ADA)
    drive.vault.flush()
    uptime.add(drive.db, 1)


TORN: Files = {f"/torn-{number}": content(25 * KIB, 50 + number) for number in range(2)}


def _damage(drive: Drive) -> None:
    """Replicas flipped, gone, cut off and unrecorded; a pack that no row knows; an old hold.

    And one of which each replica is whole where the other is not.
    """
    for path, data in TORN.items():
        put(drive, path, data)
    drive.vault.flush()
    put(drive, "/unknown", content(70 * KIB, 40))
    drive.vault.flush()
    drive.tree.delete(parse("/unknown"), ADA)
    expire(drive.db, drive.tree.trash, _ignore, keep_s=0, grace_s=0)
    drive.vault.flush()
    store = roster.add(drive.db, "directory", {"path": SECOND})
    flipped, gone, cut, torn, unknown, stray = _locators(drive, store)
    _flip(drive.folder / SECOND / flipped[1], 1 / 2)
    _flip(drive.folder / FIRST / torn[1], 1 / 4)
    _flip(drive.folder / SECOND / torn[1], 2 / 3)
    (drive.folder / SECOND / gone[1]).unlink()
    os.truncate(drive.folder / FIRST / cut[1], 1000)
    harm(
        drive.db,
        f"DELETE FROM blocks WHERE pack = {unknown[0]}",
        f"DELETE FROM replicas WHERE pack = {unknown[0]}",
        f"DELETE FROM packs WHERE no = {unknown[0]}",
        f"DELETE FROM replicas WHERE pack = {stray[0]} AND store = {store}",
        "INSERT INTO holds SELECT drive_id, 1, 5 FROM drive",
    )
    scrub(drive.vault.workshop, Course())


def _locators(drive: Drive, store: int) -> list[tuple[int, str]]:
    """Number and locator of each pack there, in the order of their making."""
    statement = (
        select(packs.c.no, replicas.c.locator)
        .join(replicas, replicas.c.pack == packs.c.no)
        .where(replicas.c.store == store)
        .order_by(packs.c.no)
    )
    with drive.db.read() as connection:
        return [(no, locator) for no, locator in connection.execute(statement)]


def _flip(pack: Path, at: float) -> None:
    harmed = bytearray(pack.read_bytes())
    harmed[int(len(harmed) * at)] ^= 1
    pack.write_bytes(harmed)


def _repair(drive: Drive, _answer: Answer) -> None:
    with turn(drive.db):
        repair.repair(drive.vault.workshop, drive.scratch, Course(), settled_s=0)


def _thrice(drive: Drive) -> None:
    """As many snapshots as are kept, so that the next one takes the place of one."""
    for _ in range(3):
        put(drive, "/small", KEPT["/small"])
        drive.snapshots.take()
    put(drive, "/small", KEPT["/small"])


def _snapshot(drive: Drive, _answer: Answer) -> None:
    drive.snapshots.take()


LITTERED: Files = KEPT | {LEFT: MIXED[LEFT]}
DAMAGES = frozenset(
    {
        "replica_suspect",
        "replica_missing",
        "replica_truncated",
        "replica_stray",
        "pack_unknown",
        "pack_short",
        "hold_expired",
        # Of the one that no replica has whole.
        "pack_lost",
        "file_lost",
    }
)
SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            "put",
            _nothing,
            _save,
            (
                (saving, "a crash before that leaves what was there, and after it the new content"),
                (keeping, "a crash in between leaves a pack that no row mentions, never a row"),
            ),
            after=KEPT | SAVED,
        ),
        Scene(
            "flush",
            _stage,
            _flush,
            (
                (packing, "A crash on the way leaves staged what was staged"),
                (delivery, "a crash between any two leaves at worst a file too many"),
            ),
            before=KEPT | STAGED,
            after=KEPT | STAGED,
        ),
        Scene(
            "gc",
            _litter,
            _collect,
            (
                (gc, "A crash leaves at worst a pack that nothing names"),
                (rewriting, "a crash leaves at worst a pack too many"),
            ),
            before=LITTERED,
            after=LITTERED,
        ),
        Scene(
            "snapshot",
            _thrice,
            _snapshot,
            (
                (snapshot, "A crash leaves parts that the next one clears away"),
                (shedding, "a crash on the way leaves it to the next call"),
            ),
            may_find=frozenset({"replica_missing"}),  # of a pack that is being shed
        ),
        Scene(
            "repair",
            _damage,
            _repair,
            (
                (repair, "a run that ends anywhere is gone on with by the next"),
                (mending, "a crash in between leaves it to the next run"),
            ),
            before=KEPT | TORN,
            after=KEPT | TORN,
            may_find=DAMAGES,
        ),
    )
}
