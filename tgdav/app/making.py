"""A drive where there is none: its key, its first store, its first user, its row."""

import contextlib
import os
import secrets
from pathlib import Path

from tgdav.app.folder import SPOOL, STORE, load_keys, open_database, writing
from tgdav.blocks.form import keyfile
from tgdav.blocks.form.chunker import ChunkSizes
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import best_aead
from tgdav.blocks.rows import drive as drives
from tgdav.blocks.rows import roster
from tgdav.db import Database
from tgdav.errors import DriveMissing
from tgdav.maintenance import recover
from tgdav.settings import FILE, KIB, MIB, Settings, load, with_database_url
from tgdav.stores.directory import DirectoryStore
from tgdav.tree.users import Users

FIRST_USER = "tgdav"
CHUNKS = ChunkSizes(min=256 * KIB, average=MIB, max=4 * MIB)
"""How a new drive cuts; an older one goes on as it began."""


def make_unless_made(folder: Path, settings: Settings) -> str | None:
    """Make the drive in `folder` if there is none; the first user's password if so.

    Inside `alone`. The row of the drive is written last: until then another try begins anew. Raises
    `DriveMissing` where the folder holds what a lost drive left, `KeyRefused`,
    `SettingsRefused`, `DatabaseError`, `StoreError`, `DiskFull`, `FolderRefused`.
    """
    with contextlib.closing(open_database(folder, settings)) as db:
        if drives.find(db):
            return None
        if recover.is_under_way(db):
            raise DriveMissing("a recovery has begun here: tgdav recover goes on with it")
        _refuse_leftovers(folder)
        file = _with_database(folder, settings)
        keys = _key_of_new_drive(folder, settings)
        DirectoryStore.make(folder / STORE)
        roster.add(db, "directory", {"path": STORE})
        password = _first_password(db)
        if file is not None:
            with writing(folder):
                _replace_settings(folder, file)
        db.write(lambda c: drives.make(c, keys.key_id, best_aead(), CHUNKS))
        return password


def _with_database(folder: Path, settings: Settings) -> str | None:
    """The settings file that tells the other commands of the database that a flag named.

    None if there was no such flag. Raises `SettingsRefused` if the file has no place for it.
    """
    url = settings.database.url
    if not url or load(folder).database.url:
        return None
    file = folder / FILE
    return with_database_url(file.read_text(encoding="utf-8") if file.exists() else "", url)


def _replace_settings(folder: Path, text: str) -> None:
    """As it holds a password, for nobody else; if it raises, the former file is unchanged."""
    fresh = folder / f"{FILE}.new"
    with fresh.open("w", encoding="utf-8") as written:
        fresh.chmod(0o600)
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    fresh.replace(folder / FILE)


def _refuse_leftovers(folder: Path) -> None:
    """Packs without a database are a drive that was lost, not an empty folder."""
    found = sum(1 for part in (STORE, SPOOL) for _ in (folder / part).glob("??/*.pack"))
    if found:
        raise DriveMissing(f"no database, but {found} packs: a new drive here would hide them")


def _key_of_new_drive(folder: Path, settings: Settings) -> Keys:
    if (folder / keyfile.KEY_FILE).exists():
        return load_keys(folder, settings)
    keys = Keys.generate()
    keyfile.store_key(folder, keys, None)
    return keys


def _first_password(db: Database) -> str:
    users, password = Users(db), secrets.token_urlsafe(15)
    if users.get(FIRST_USER):
        users.change_password(FIRST_USER, password)
    else:
        users.add(FIRST_USER, password)
    return password
