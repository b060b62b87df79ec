"""A drive where there is none: its key, its first store, its first user, its row."""

import contextlib
import json
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
from tgdav.settings import FILE, KIB, MIB, Settings, load
from tgdav.stores.directory import DirectoryStore
from tgdav.tree.users import Users

FIRST_USER = "tgdav"
CHUNKS = ChunkSizes(min=256 * KIB, average=MIB, max=4 * MIB)
"""How a new drive cuts; an older one goes on as it began."""


def make_unless_made(folder: Path, settings: Settings) -> str | None:
    """Make the drive in `folder` if there is none; the first user's password if so.

    Inside `alone`. The row of the drive is written last: until then another try begins anew. Raises
    `DriveMissing` where the folder holds what a lost drive left, `KeyRefused`,
    `DatabaseError`, `StoreError`, `DiskFull`, `FolderRefused`.
    """
    with contextlib.closing(open_database(folder, settings)) as db:
        if drives.find(db):
            return None
        if recover.is_under_way(db):
            raise DriveMissing("a recovery has begun here: tgdav recover goes on with it")
        _refuse_leftovers(folder)
        keys = _key_of_new_drive(folder, settings)
        DirectoryStore.make(folder / STORE)
        roster.add(db, "directory", {"path": STORE})
        password = _first_password(db)
        with writing(folder):
            _remember_database(folder, settings)
        db.write(lambda c: drives.make(c, keys.key_id, best_aead(), CHUNKS))
        return password


def _remember_database(folder: Path, settings: Settings) -> None:
    """Tell the other commands of a database that `serve` was told of by a flag."""
    if settings.database.url and not load(folder).database.url:
        file = folder / FILE
        with file.open("a", encoding="utf-8") as written:
            file.chmod(0o600)
            written.write(f"\n[database]\nurl = {json.dumps(settings.database.url)}\n")


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
