"""The composition root's other half: a drive that was lost comes back into an empty folder.

Knows which keys and stores a person may name, and what may lie in the folder already.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tgdav import app
from tgdav.blocks import drive as drives
from tgdav.blocks import keyfile, roster, survey
from tgdav.blocks.keys import Keys
from tgdav.blocks.rebuilding import Progress
from tgdav.blocks.survey import Sighting
from tgdav.db import Database
from tgdav.errors import DriveMissing, KeyRefused, StoreError
from tgdav.maintenance.recover import Recovered, Recovery, is_under_way
from tgdav.settings import FILE, Settings, load
from tgdav.stores.base import Store
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.pool import StorePool

OURS = {app.SERVING, f"{app.SERVING}.lock", FILE}
"""What the folder may hold before a recovery begins."""


class NamedStore(NamedTuple):
    """A store that the drive is in: its kind, and a directory's path or a channel's id."""

    kind: str
    where: str


class Key(NamedTuple):
    """What opens the drive: its recovery words, or the passphrase of its key."""

    words: str | None = None
    passphrase: str | None = None


def recover(
    folder: Path,
    stores: Sequence[NamedStore],
    key: Key,
    *,
    drive_id: bytes | None = None,
    accept_loss: bool = False,
    progress: Progress,
) -> Recovered:
    """Bring the drive in `stores` back into `folder`; it can be served on return.

    A recovery that was stopped is gone on with, and then needs no key again. Raises
    `DriveMissing` if the folder is not empty, has a drive, or the stores have none or
    several; `KeyRefused`; `RecoveryIncomplete`; what stores and databases raise.
    """
    settings = load(folder)
    with app.alone(folder), contextlib.ExitStack() as stack:
        _require_empty(folder, settings)
        opened = [(each, stack.enter_context(_opened(each))) for each in stores]
        sightings = survey.survey(_pool(opened), lambda seen: progress("look", seen, 0))
        keys = _keys(folder, sightings, key, drive_id)
        wanted = survey.drive_of(sightings, keys, drive_id)
        keyfile.store_key(folder, keys, key.passphrase)
        db = stack.enter_context(contextlib.closing(app.open_database(folder, settings)))
        if drives.find(db):
            raise DriveMissing("this database has a drive already")
        done = Recovery(
            db,
            _recorded(db, opened),
            keys,
            wanted,
            chunks=app.CHUNKS,
            accept_loss=accept_loss,
            progress=progress,
        ).run()
    with app.opened(folder, settings, passphrase=lambda: key.passphrase or "") as drive:
        # From now on the lost machine, if it comes back, sees that the drive went on.
        drive.snapshots.tell()
    return done


@contextlib.contextmanager
def _opened(named: NamedStore) -> Iterator[Store]:
    """The one place that knows how a store is opened of which no database tells."""
    if named.kind != "directory":
        raise StoreError(f"a store of kind {named.kind} cannot be recovered from yet")
    store = DirectoryStore(Path(named.where).absolute())
    with contextlib.closing(store):
        yield store


def _pool(opened: Sequence[tuple[NamedStore, Store]]) -> StorePool:
    pool = StorePool()
    for no, (_, store) in enumerate(opened, 1):
        pool.set(no, store, writable=False)
    return pool


def _recorded(db: Database, opened: Sequence[tuple[NamedStore, Store]]) -> StorePool:
    """The stores under the numbers that they have in the database from now on."""
    pool = StorePool()
    for named, store in opened:
        no = roster.add(db, named.kind, {"path": str(Path(named.where).absolute())})
        pool.set(no, store, writable=False)
    return pool


def _require_empty(folder: Path, settings: Settings) -> None:
    """Raise `DriveMissing` unless the folder is empty, or a recovery has begun in it."""
    if (folder / app.DATABASE).exists() or settings.database.url:
        with contextlib.closing(app.open_database(folder, settings)) as db:
            if drives.find(db):
                raise DriveMissing("there is a drive here already: recover into an empty folder")
            if is_under_way(db):
                return
    held = OURS | {app.DATABASE, f"{app.DATABASE}-wal", f"{app.DATABASE}-shm"}
    others = sorted(path.name for path in folder.iterdir() if path.name not in held)
    if others and others != [keyfile.KEY_FILE]:
        raise DriveMissing(f"the folder is not empty: it has {others[0]!r} and maybe more")


def _keys(folder: Path, sightings: list[Sighting], key: Key, drive_id: bytes | None) -> Keys:
    """The keys that were given; they must be those in the folder, if some are there."""
    if key.words is not None:
        given = keyfile.parse_recovery_text(key.words)
    elif key.passphrase is not None:
        given = survey.unwrapped(sightings, key.passphrase, drive_id)
    else:
        return keyfile.load_key(folder, None)
    if (folder / keyfile.KEY_FILE).exists():
        there = keyfile.load_key(folder, lambda: key.passphrase or "")
        if there.key_id != given.key_id:
            raise KeyRefused("the folder has the key of another drive")
    return given
