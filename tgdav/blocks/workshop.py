"""What every save and read of one process shares."""

from concurrent.futures import Executor
from dataclasses import dataclass

from tgdav.blocks.budget import Budget
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import Sealer
from tgdav.blocks.local.backlog import Backlog
from tgdav.blocks.local.cache import BlockCache
from tgdav.blocks.local.spool import Spool
from tgdav.blocks.local.staging_log import StagingLog
from tgdav.blocks.rows.drive import Drive
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.sizes import VaultSizes
from tgdav.blocks.slabs import Slabs
from tgdav.db import Database
from tgdav.stores.pool import StorePool


@dataclass(frozen=True, slots=True)
class Workshop:
    """Wired once, by the vault."""

    db: Database
    drive: Drive
    keys: Keys
    sealer: Sealer
    numbers: Numbers
    """Of blocks."""
    spool: Spool
    log: StagingLog | None
    """Where all but small blocks are staged; None: the database, as others share it, has all."""
    pool: StorePool
    cache: BlockCache
    backlog: Backlog
    sizes: VaultSizes
    budget: Budget
    """Bytes that streams hold while their client is slow: granted, or not asked for."""
    bench: Budget
    """Bytes being worked on. Whoever holds some waits for no client and no other budget."""
    in_stores: bool
    """True if a save is answered only when the promised stores have it."""
    slabs: Slabs
    """Memory of large blocks."""
    sealing: Executor
    """Threads that name, seal and place what a save has cut, while it receives the next."""
    keeping: Executor
    """Threads that wait for the disk while packs are synced and recorded."""
    transfers: Executor
    """Threads that read near stores and open blocks. Few: each keeps what a large one takes."""
    distant: Executor
    """The same for stores beyond a network. Many, as they mostly wait."""
