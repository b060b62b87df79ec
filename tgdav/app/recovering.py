"""A drive that was lost comes back into an empty folder.

Knows which keys a person may give, and what may lie in the folder already.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tgdav.app.folder import DATABASE, SERVING, alone, open_database
from tgdav.app.making import CHUNKS
from tgdav.app.opening import opened, recorded_stores
from tgdav.app.sources import LogIn, NamedStore, Sources
from tgdav.blocks.form import keyfile
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.recovery import survey
from tgdav.blocks.recovery.rebuilding import Progress
from tgdav.blocks.recovery.survey import Sighting
from tgdav.blocks.rows import drive as drives
from tgdav.errors import DriveMissing, KeyRefused
from tgdav.maintenance.course import Course
from tgdav.maintenance.fsck import fsck
from tgdav.maintenance.recover import Recovered, Recovery, begin, is_under_way
from tgdav.settings import FILE, Settings, load

__all__ = ["Key", "LogIn", "NamedStore", "Outcome", "recover"]

OURS = {SERVING, f"{SERVING}.lock", FILE}
"""What the folder may hold before a recovery begins."""


@dataclass(frozen=True, slots=True)
class Key:
    """What opens the drive: its recovery words, or the passphrase of its key."""

    words: str | None = None
    passphrase: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back, and how it is."""

    recovered: Recovered
    absent: list[str]
    """Channels that the drive had, and that no account sees."""
    findings: dict[str, int]
    """How many things of each kind fsck found."""


def recover(
    folder: Path,
    stores: Sequence[NamedStore],
    key: Key,
    *,
    log_in: LogIn,
    logs_in_again: bool = False,
    drive_id: bytes | None = None,
    accept_loss: bool = False,
    progress: Progress,
) -> Outcome:
    """Bring the drive in `stores` back into `folder`; it can be served on return.

    `log_in` is asked for an account where Telegram is named and the folder has none yet, or
    if it `logs_in_again`. A recovery that was stopped is gone on with, and then needs no key
    again. Raises `DriveMissing` if the folder is not empty, has a drive, or the stores have
    none or several; `KeyRefused`; `RecoveryIncomplete`; `LoginRefused`; what stores and
    databases raise. With a wrong key or login nothing was written.
    """
    settings = load(folder)
    with alone(folder):
        has_begun = _require_empty(folder, settings)
        with Sources(settings) as sources:
            if has_begun:
                with contextlib.closing(open_database(folder, settings)) as db:
                    sources.take_logins(db, _keys_there(folder, key))
            sources.open(stores, log_in, logs_in_again=logs_in_again)
            sightings = survey.survey(sources.pool, lambda seen: progress("look", seen, 0))
            keys = _keys(folder, sightings, key, drive_id)
            wanted = survey.drive_of(sightings, keys, drive_id)
            keyfile.store_key(folder, keys, key.passphrase)
            with contextlib.closing(open_database(folder, settings)) as db:
                begin(db, wanted)
                absent = sources.record(db, keys, _of(sightings, wanted))
        done = _recovered(
            folder, settings, keys, wanted, accept_loss=accept_loss, progress=progress
        )
        findings = _finish(folder, settings, key, progress)
    return Outcome(done, absent, findings)


def _recovered(
    folder: Path,
    settings: Settings,
    keys: Keys,
    wanted: bytes,
    *,
    accept_loss: bool,
    progress: Progress,
) -> Recovered:
    with (
        contextlib.closing(open_database(folder, settings)) as db,
        recorded_stores(folder, settings, db, keys) as pool,
    ):
        return Recovery(
            db, pool, keys, wanted, chunks=CHUNKS, accept_loss=accept_loss, progress=progress
        ).run()


def _finish(folder: Path, settings: Settings, key: Key, progress: Progress) -> dict[str, int]:
    """Tell the stores that the drive goes on here; what fsck finds, by kind."""
    with opened(folder, settings, passphrase=lambda: key.passphrase or "") as drive:
        # From now on the lost machine, if it comes back, sees that the drive went on.
        drive.snapshots.tell()
        course = Course(progress=lambda done, of: progress("fsck", done, of))
        return dict(Counter(finding.kind for finding in fsck(drive.vault.workshop, course)))


def _require_empty(folder: Path, settings: Settings) -> bool:
    """True if a recovery has begun in the folder. Raises `DriveMissing` unless it is empty."""
    if (folder / DATABASE).exists() or settings.database.url:
        with contextlib.closing(open_database(folder, settings)) as db:
            if drives.find(db):
                raise DriveMissing("there is a drive here already: recover into an empty folder")
            if is_under_way(db):
                return True
    held = OURS | {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"}
    held |= {left.name for left in keyfile.unfinished(folder)}
    others = sorted(path.name for path in folder.iterdir() if path.name not in held)
    if others and others != [keyfile.KEY_FILE]:
        raise DriveMissing(f"the folder is not empty: it has {others[0]!r} and maybe more")
    return False


def _of(sightings: list[Sighting], drive_id: bytes) -> Sighting:
    return next(each for each in sightings if each.drive_id == drive_id)


def _keys(folder: Path, sightings: list[Sighting], key: Key, drive_id: bytes | None) -> Keys:
    """The keys that were given; they must be those in the folder, if some are there."""
    if key.words is not None:
        given = keyfile.parse_recovery_text(key.words)
    elif key.passphrase is not None:
        given = survey.unwrapped(sightings, key.passphrase, drive_id)
    else:
        return keyfile.load_key(folder, None)
    if (folder / keyfile.KEY_FILE).exists() and _keys_there(folder, key).key_id != given.key_id:
        raise KeyRefused("the folder has the key of another drive")
    return given


def _keys_there(folder: Path, key: Key) -> Keys:
    return keyfile.load_key(folder, lambda: key.passphrase or "")
