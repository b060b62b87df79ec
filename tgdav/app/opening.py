"""The composition root: settings become wired rooms, and a data folder a drive."""

import contextlib
import json
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tgdav.app import verifying
from tgdav.app.drive import Drive, graces_of
from tgdav.app.folder import (
    CACHE,
    DATABASE,
    GATEWAY,
    SPOOL,
    STAGING,
    Passphrase,
    load_keys,
    open_database,
    writing,
)
from tgdav.app.reach import Reach
from tgdav.blocks.budget import Budget
from tgdav.blocks.form import keyfile
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger import SqlLedger
from tgdav.blocks.local.cache import BlockCache
from tgdav.blocks.rounds import Rounds
from tgdav.blocks.rows import drive as drives
from tgdav.blocks.rows import roster
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.roster import OpenStore, StoreRow
from tgdav.blocks.rows.uptime import Uptime
from tgdav.blocks.vault import Vault, VaultSizes
from tgdav.db import Database
from tgdav.errors import DriveMissing, KeyRefused, StoreError
from tgdav.maintenance.snapshot import Snapshots
from tgdav.settings import Settings, load
from tgdav.stores.base import Store
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.pool import StorePool
from tgdav.tree import journal
from tgdav.tree.tree import Tree

if TYPE_CHECKING:
    from tgdav.maintenance.schedule import Schedule

BEAT_S = 60.0
"""How often it is noted that the drive is served."""
SNAPSHOT_EVERY_S = 60.0
"""How often it is asked whether a snapshot is due."""


@contextlib.contextmanager
def opened(
    folder: Path,
    settings: Settings | None = None,
    *,
    passphrase: Passphrase | None = None,
    serving: bool = False,
) -> Iterator[Drive]:
    """The drive in `folder`; with `serving`, inside `alone`, it flushes by the clock.

    Raises `DriveMissing`, `KeyRefused`, `DatabaseError`, `StoreError`, `FolderRefused`; then
    nothing was changed.
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
        spool_no = _spool_no(folder, db)
        # A server has the leases that the one before it had; a command never takes them over.
        ledger = SqlLedger(db, keys, Leases(db, f"gateway {spool_no}" if serving else None))
        reached = stack.enter_context(contextlib.closing(Reach(settings, ledger)))
        kept = settings.store
        pool = stack.enter_context(contextlib.closing(StorePool(kept.copies, kept.write_quorum)))
        opener = _opener(folder, ledger, reached, serving=serving)
        vault = _vault(folder, settings, db, keys, drive, pool, spool_no, opener)
        stack.callback(vault.close)
        vault.refresh()
        tree = Tree(db, vault, guard_share=settings.history.guard_share)
        snapshots = Snapshots(vault, db, partial(keyfile.wrapped_key, folder))
        if serving:
            vault.start()
            _by_the_clock(stack, folder, settings, vault, tree, snapshots, reached)
        yield Drive(folder, settings, db, vault, tree, ledger, reached, snapshots)


@contextlib.contextmanager
def recorded_stores(
    folder: Path, settings: Settings, db: Database, keys: Keys
) -> Iterator[StorePool]:
    """The stores that the database of `folder` names, for reading; no drive need be there.

    Raises what opening one raises.
    """
    with contextlib.ExitStack() as stack:
        ledger = SqlLedger(db, keys, Leases(db))
        reached = stack.enter_context(contextlib.closing(Reach(settings, ledger)))
        pool = stack.enter_context(contextlib.closing(StorePool()))
        open_store = _opener(folder, ledger, reached, serving=False)
        for row in roster.rows(db):
            if row.state != "gone":
                pool.set(row.no, open_store(row), writable=False)
        yield pool


def _vault(
    folder: Path,
    settings: Settings,
    db: Database,
    keys: Keys,
    drive: drives.Drive,
    pool: StorePool,
    spool_no: int,
    open_store: OpenStore,
) -> Vault:
    kept = settings.store
    return Vault(
        db,
        keys,
        drive,
        pool=pool,
        spool=DirectoryStore.make(folder.absolute() / SPOOL),
        spool_no=spool_no,
        # What other gateways share the database for, they shall find there.
        log_folder=None if settings.database.url else folder / STAGING,
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


def _by_the_clock(
    stack: contextlib.ExitStack,
    folder: Path,
    settings: Settings,
    vault: Vault,
    tree: Tree,
    snapshots: Snapshots,
    reached: Reach,
) -> None:
    """Do what is done while the drive is served, until the stack is left."""
    beating = Rounds("uptime", Uptime(vault.workshop.db).beat, BEAT_S)
    stack.callback(beating.close, 1.0)
    beating.start()
    due = partial(snapshots.run_if_due, settings.store.snapshot_changes)
    taking = Rounds("snapshot", due, SNAPSHOT_EVERY_S)
    stack.callback(taking.close, settings.server.grace_s)
    taking.start()
    schedule = _schedule(folder, settings, vault, tree, reached)
    schedule.start()
    stack.callback(schedule.close, settings.server.grace_s)


def _schedule(
    folder: Path, settings: Settings, vault: Vault, tree: Tree, reached: Reach
) -> "Schedule":
    """The jobs by the clock; none if a setting says so."""
    # A command that serves nothing need not wait for the code that keeps the drive sound.
    from tgdav.maintenance.jobs import Keeping, Plan, clearing, jobs, only_if  # noqa: PLC0415
    from tgdav.maintenance.schedule import Schedule  # noqa: PLC0415

    workshop, wanted = vault.workshop, settings.maintenance
    plan = Plan(fsck_s=wanted.fsck_hours * 3600, scrub_s=wanted.scrub_days * 86400)
    keeping = Keeping(
        settings.history.keep_days * 86400,
        graces_of(settings),
        gc_every_s=settings.gc.every_hours * 3600,
    )
    table = (
        *(only_if(vault.require_current, job) for job in jobs(workshop, folder / SPOOL, plan)),
        *clearing(workshop, tree.trash, keeping, vault.require_newest),
        *(
            only_if(vault.require_current, job)
            for job in verifying.job(wanted.verify_hours, workshop.db, vault, reached)
        ),
    )
    return Schedule(
        workshop.db,
        table if wanted.enabled else (),
        f"schedule {workshop.spool.no}",
        bytes_per_s=wanted.bytes_per_s,
        messages_per_hour=wanted.messages_per_hour,
    )


def _opener(folder: Path, ledger: SqlLedger, reached: Reach, *, serving: bool) -> OpenStore:
    """What opens a store of the table; only a server asks Telegram before it has to."""

    def open_store(row: StoreRow) -> Store:
        told = json.loads(row.settings)
        match row.kind:
            case "directory":
                return DirectoryStore(folder.absolute() / told["path"])
            case "telegram":
                store = reached.telegram.store(row.no, **told)
                if serving and ledger.channels(row.no):
                    reached.telegram.start()
                elif serving:
                    store.open()
                return store
        raise StoreError(f"a store of kind {row.kind} is of a newer tgdav")

    return open_store


def _spool_no(folder: Path, db: Database) -> int:
    """The number of this folder's spool: each gateway on a database has one of its own."""
    file = folder / GATEWAY
    if not file.exists():
        with writing(folder):
            file.write_text(secrets.token_hex(8) + "\n")
    return roster.add(db, "spool", {"gateway": file.read_text().strip()})
