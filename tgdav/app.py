"""The composition root: settings become wired rooms, and a data folder a drive.

The one place that knows what lies where in the data folder.
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import psutil

from tgdav.blocks import drive as drives
from tgdav.blocks import keyfile, roster
from tgdav.blocks.budget import Budget
from tgdav.blocks.cache import BlockCache
from tgdav.blocks.chunker import ChunkSizes
from tgdav.blocks.keys import Keys
from tgdav.blocks.roster import StoreRow
from tgdav.blocks.rounds import Rounds
from tgdav.blocks.seal import best_aead
from tgdav.blocks.vault import Vault, VaultSizes
from tgdav.db import Database
from tgdav.errors import (
    DriveInUse,
    DriveMissing,
    KeyRefused,
    StoreError,
)
from tgdav.maintenance import recover, snapshot
from tgdav.maintenance.snapshot import Snapshots
from tgdav.settings import FILE, KIB, MIB, Settings, load
from tgdav.stores.base import Store
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.pool import StorePool
from tgdav.tree import journal
from tgdav.tree.tree import Tree
from tgdav.tree.users import Users
from tgdav.web.page import HEADERS, page

if TYPE_CHECKING:
    from tgdav.dav.server import Server

FIRST_USER = "tgdav"
CHUNKS = ChunkSizes(min=256 * KIB, average=MIB, max=4 * MIB)
"""How a new drive cuts; an older one goes on as it began."""

DATABASE, STORE, SPOOL, CACHE = "drive.db", "store", "spool", "cache"
SERVING, GATEWAY = "serving", "gateway"

SNAPSHOT_EVERY_S = 60.0

Passphrase = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive's rooms, wired."""

    folder: Path
    settings: Settings
    db: Database
    vault: Vault
    tree: Tree
    snapshots: Snapshots

    def facts(self) -> dict[str, Any]:
        """What `tgdav status` tells: bytes, counts, ratios, seconds; why it is read-only, or ""."""
        kept, named = self.vault.status(), self.tree.totals()
        oldest_ns = kept.oldest_unflushed_ns
        unflushed_s = 0 if oldest_ns is None else (time.time_ns() - oldest_ns) / 1e9
        with self.db.read() as connection:
            recoverable, behind = snapshot.age(connection), drives.behind(connection)
        return {
            "files": named.files,
            "directories": named.directories,
            "bytes": named.bytes,
            "blocks": kept.blocks,
            "block_bytes": kept.block_bytes,
            "packs": kept.packs,
            "staged_bytes": kept.staged_bytes,
            "spool_bytes": kept.spool_bytes,
            "dedup_ratio": _ratio(named.bytes, kept.block_bytes),
            "compression_ratio": _ratio(kept.block_bytes, kept.sealed_bytes),
            "memory_bytes": _memory(self.folder),
            "oldest_unflushed_s": unflushed_s,
            "recoverable_age_s": max(unflushed_s, recoverable.unpacked_s),
            "snapshot_age_s": recoverable.newest_s,
            "read_only": behind,
        }

    def add_directory(self, path: Path) -> int:
        """Keep packs in the directory at `path` from now on; its number among the stores.

        Raises `StoreError`, `DiskFull`.
        """
        DirectoryStore.make(path.absolute())
        return roster.add(self.db, "directory", {"path": str(path.absolute())})

    def server(self) -> "Server":
        """The drive's HTTP server, listening. Raises `AddressInUse`, `SettingsRefused`."""
        # A command that serves nothing need not wait for the code that does.
        from tgdav.dav.app import build  # noqa: PLC0415
        from tgdav.dav.messages import DavOptions  # noqa: PLC0415
        from tgdav.dav.server import Server, ServerOptions  # noqa: PLC0415

        served = self.settings.server
        face = DavOptions(
            page=page,
            page_headers=HEADERS,
            prefix=served.prefix,
            durability="remote" if self.settings.store.durability == "store" else "local",
            lock_s=served.lock_s,
            quota_for_finder=served.quota_for_finder,
        )
        options = ServerOptions(
            host=served.host,
            port=served.port,
            tls_cert=served.tls_cert,
            tls_key=served.tls_key,
            insecure=served.insecure,
            trusted_proxies=served.trusted_proxies,
            threads=served.threads,
            one_cpu=served.one_cpu,
            grace_s=served.grace_s,
        )
        return Server(build(self.tree, face, served.trusted_proxies), options)


def make_unless_made(folder: Path, settings: Settings) -> str | None:
    """Make the drive in `folder` if there is none; the first user's password if so.

    Inside `alone`. The row of the drive is written last: until then another try begins anew. Raises
    `DriveMissing` where the folder holds what a lost drive left, `KeyRefused`,
    `DatabaseError`, `StoreError`, `DiskFull`.
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
        _remember_database(folder, settings)
        db.write(lambda c: drives.make(c, keys.key_id, best_aead(), CHUNKS))
        return password


@contextlib.contextmanager
def opened(
    folder: Path,
    settings: Settings | None = None,
    *,
    passphrase: Passphrase | None = None,
    serving: bool = False,
) -> Iterator[Drive]:
    """The drive in `folder`; with `serving`, inside `alone`, it flushes by the clock.

    Raises `DriveMissing`, `KeyRefused`, `DatabaseError`, `StoreError`; then nothing was
    changed.
    """
    settings = settings or load(folder)
    if not folder.is_dir() or not (settings.database.url or (folder / DATABASE).exists()):
        raise DriveMissing("there is no drive here; tgdav serve makes one")
    with contextlib.ExitStack() as stack:
        db = stack.enter_context(contextlib.closing(open_database(folder, settings)))
        drive = drives.find(db)
        if drive is None:
            raise DriveMissing("there is no drive here; tgdav serve makes one")
        keys = load_keys(folder, settings, passphrase)
        if keys.key_id != drive.key_id:
            raise KeyRefused(f"the key {keys.key_id.hex()} is not this drive's")
        pool = stack.enter_context(contextlib.closing(StorePool(settings.store.copies)))
        vault = _vault(folder, settings, db, keys, drive, pool)
        stack.callback(vault.close)
        vault.refresh()
        if serving:
            vault.start()
        snapshots = Snapshots(vault, db, partial(keyfile.wrapped_key, folder))
        if serving:
            stack.enter_context(_by_the_clock(snapshots, settings))
        yield Drive(folder, settings, db, vault, Tree(db, vault), snapshots)


@contextlib.contextmanager
def _by_the_clock(snapshots: Snapshots, settings: Settings) -> Iterator[None]:
    """Take snapshots when they are due, while the drive is served."""
    go = partial(snapshots.run_if_due, settings.store.snapshot_changes)
    rounds = Rounds("snapshot", go, SNAPSHOT_EVERY_S)
    rounds.start()
    try:
        yield
    finally:
        rounds.close(settings.server.grace_s)


def load_keys(
    folder: Path, settings: Settings | None = None, passphrase: Passphrase | None = None
) -> Keys:
    """The drive's keys, by the passphrase file if one is set. Raises `KeyRefused`."""
    settings = settings or load(folder)
    file = settings.key.passphrase_file
    return keyfile.load_key(folder, (lambda: _first_line(file)) if file else passphrase)


def change_passphrase(folder: Path, new: str | None, passphrase: Passphrase | None = None) -> None:
    """Wrap the key in `new`, or leave it plain. Raises `KeyRefused`, `PasswordRefused`."""
    keyfile.store_key(folder, load_keys(folder, passphrase=passphrase), new)


def open_database(folder: Path, settings: Settings) -> Database:
    """The database of the data folder, made if it is not there. Raises `DatabaseError`."""
    return Database.open(settings.database.url or f"sqlite:///{folder.absolute() / DATABASE}")


def _vault(
    folder: Path,
    settings: Settings,
    db: Database,
    keys: Keys,
    drive: drives.Drive,
    pool: StorePool,
) -> Vault:
    def open_store(row: StoreRow) -> Store:
        if row.kind != "directory":
            raise StoreError(f"a store of kind {row.kind} is of a newer tgdav")
        return DirectoryStore(folder.absolute() / json.loads(row.settings)["path"])

    kept = settings.store
    return Vault(
        db,
        keys,
        drive,
        pool=pool,
        spool=DirectoryStore.make(folder.absolute() / SPOOL),
        spool_no=_spool_no(folder, db),
        cache=BlockCache(settings.cache.memory, folder / CACHE, settings.cache.disk),
        budget=Budget(settings.memory.budget),
        sizes=VaultSizes(
            pack_size=kept.pack_size,
            small_save=kept.pack_size // 2,
            flush_age_s=kept.flush_age_s,
            staging_limit=kept.staging_limit,
            spool_limit=kept.spool_limit,
        ),
        in_stores=kept.durability == "store",
        journal=journal.unpacked,
        open_store=open_store,
    )


def _spool_no(folder: Path, db: Database) -> int:
    """The number of this folder's spool: each gateway on a database has one of its own."""
    file = folder / GATEWAY
    if not file.exists():
        file.write_text(secrets.token_hex(8) + "\n")
    return roster.add(db, "spool", {"gateway": file.read_text().strip()})


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


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the one process that makes and serves the drive in `folder`, which is made.

    The system drops the lock with the process. Raises `DriveInUse`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{SERVING}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise DriveInUse("another process serves this data folder") from error
    with lock:
        (folder / SERVING).write_text(f"{os.getpid()}\n")
        yield
        (folder / SERVING).unlink(missing_ok=True)


def _memory(folder: Path) -> int:
    """Resident bytes of the process that serves the folder, or of this one."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        return int(psutil.Process(int((folder / SERVING).read_text())).memory_info().rss)
    return int(psutil.Process().memory_info().rss)


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise KeyRefused("key.passphrase_file cannot be read, or is empty") from error


def _ratio(whole: float, part: float) -> float:
    return whole / part if whole and part else 1.0
