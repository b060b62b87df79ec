"""A vault on real parts in a folder, which a test may close and open again."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from tests.doubles.faulty import FaultyStore
from tgdav.blocks.budget import Budget
from tgdav.blocks.form.chunker import ChunkSizes
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import AES_GCM
from tgdav.blocks.local.cache import BlockCache
from tgdav.blocks.rows import drive
from tgdav.blocks.rows.roster import StoreRow
from tgdav.blocks.rows.tables import stores
from tgdav.blocks.vault import Draft, Extent, Vault, VaultSizes
from tgdav.db import Database
from tgdav.stores.base import Store
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.memory import MemoryStore
from tgdav.stores.pool import StorePool

KIB = 1 << 10
CHUNKS = ChunkSizes(min=1024, average=4096, max=16384)
"""Files of a few hundred KiB have then as many blocks as real ones of a few hundred MiB."""
SIZES: dict[str, Any] = {
    "pack_size": 128 << 10,
    "small_save": 64 << 10,
    "pending_limit": 8 << 10,
    "small": 1000,
    "staging_limit": 16 << 20,
    "spool_limit": 16 << 20,
    "window": 16 << 10,
    "piece": 1024,
    "tick_s": 0.01,
    "refresh_s": 0.01,
    "lease_s": 0.5,
    "patience_s": 0.05,
}
KEYS = Keys(bytes(range(32)))
SPOOL, FIRST_STORE, SECOND_STORE = 1, 2, 3


def content(size: int, seed: int = 1) -> bytes:
    """Bytes that no compression makes fewer; others for each seed."""
    return random.Random(seed).randbytes(size)


def until(is_so: Callable[[], bool], within_s: float = 20.0) -> None:
    """Return when it is so; fail if it does not become so."""
    give_up = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def refuse(store: FaultyStore, error: Exception) -> None:
    """Let every put from now on raise `error`, until the store is healed."""
    for nth in range(store.puts + 1, store.puts + 1000):
        store.fail_put(nth, error)


class Room:
    """Its stores outlive its vaults, as stores do; the vault is the one opened last."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.folder = folder
        self.log_folder: Path | None = folder / "staging"
        self.spool = DirectoryStore.make(folder / "spool")
        self.store = FaultyStore(MemoryStore())
        self.stores: dict[int, Store] = {FIRST_STORE: self.store}
        self.vaults: list[Vault] = []
        self.budget: Budget
        self.pool: StorePool
        self.drive = db.write(lambda c: drive.make(c, KEYS.key_id, AES_GCM, CHUNKS))
        self.record_store(SPOOL, "spool")
        self.record_store(FIRST_STORE, "memory")

    def add_store(self) -> FaultyStore:
        """A second store, which vaults have that are opened from now on."""
        added = self.stores[SECOND_STORE] = FaultyStore(MemoryStore())
        self.record_store(SECOND_STORE, "memory")
        return added

    def open_store(self, row: StoreRow) -> Store:
        """What a vault opens stores by that is to follow the table."""
        return self.stores[row.no]

    def state(self, no: int) -> str:
        """A store's, as the table has it."""
        with self.db.read() as connection:
            return connection.scalars(select(stores.c.state).where(stores.c.no == no)).one()

    def record_store(self, no: int, kind: str, state: str = "active") -> None:
        row = {"no": no, "kind": kind, "settings": "{}", "state": state, "added_ns": 0}
        self.db.write(lambda c: c.execute(insert(stores), row))

    def open(
        self,
        *,
        copies: int = 1,
        budget: int = 8 << 20,
        cache: int = 1 << 20,
        disk_cache: int = 0,
        sizes: dict[str, Any] | None = None,
        **options: Any,
    ) -> Vault:
        """A vault as a new process would have it."""
        self.pool = StorePool(copies)
        for no, store in self.stores.items():
            self.pool.set(no, store, writable=True)
        self.budget = Budget(budget)
        vault = Vault(
            self.db,
            KEYS,
            self.drive,
            pool=self.pool,
            spool=self.spool,
            spool_no=SPOOL,
            log_folder=self.log_folder,
            cache=BlockCache(cache, self.folder / "cache", disk_cache),
            budget=self.budget,
            sizes=VaultSizes(**SIZES | (sizes or {})),
            **options,
        )
        self.vaults.append(vault)
        return vault

    @property
    def vault(self) -> Vault:
        return self.vaults[-1]

    def close(self) -> None:
        for vault in self.vaults:
            vault.close(grace_s=5)

    @contextlib.contextmanager
    def saving(
        self, content: bytes, *, announced: bool = True, step: int = 5000
    ) -> Iterator[Draft]:
        """The draft of the content, while its writer is not left."""
        with self.vault.writer(len(content) if announced else None) as writer:
            for at in range(0, len(content), step):
                writer.write(content[at : at + step])
            yield writer.finish()

    def draft(self, content: bytes, **options: Any) -> Draft:
        """The same and its writer is left: no pack should be made before it is published."""
        with self.saving(content, **options) as draft:
            return draft

    def publish(self, draft: Draft) -> list[Extent]:
        rows = self.db.write(lambda c: self.vault.adopt(c, draft))
        return [Extent(*row) for row in rows]

    def save(self, content: bytes, **options: Any) -> list[Extent]:
        with self.saving(content, **options) as draft:
            return self.publish(draft)

    def read(self, extents: Iterable[Extent], start: int = 0, stop: int | None = None) -> bytes:
        extents = list(extents)
        end = sum(extent.size for extent in extents)
        reader = self.vault.reader(iter(extents), start, end if stop is None else stop)
        try:
            return b"".join(map(bytes, reader))
        finally:
            reader.close()

    def rows(self, table: Any) -> int:
        """How many rows a table has."""
        with self.db.read() as connection:
            return connection.scalars(select(func.count()).select_from(table)).one()

    def column(self, column: Any) -> list[Any]:
        """All values of a column, sorted."""
        with self.db.read() as connection:
            return sorted(connection.scalars(select(column)).all())

    def spooled_files(self) -> list[str]:
        """Names of all files in the spool but its marker, the unfinished ones too."""
        return sorted(path.name for path in (self.folder / "spool").glob("??/*"))
