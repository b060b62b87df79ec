"""A drive's rooms, wired: what the commands ask of them."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tgdav.app.folder import SPOOL, is_served, memory
from tgdav.app.reach import Reach
from tgdav.app.verifying import JOB, verified
from tgdav.blocks.ledger import SqlLedger, reach
from tgdav.blocks.ledger.reach import ChannelStatus
from tgdav.blocks.rows import drive as drives
from tgdav.blocks.rows import roster, snapshots
from tgdav.blocks.vault import Vault
from tgdav.db import Database
from tgdav.errors import StoreBusy, StoreError, TgdavError
from tgdav.maintenance import snapshot
from tgdav.maintenance.expire import Expired, expire
from tgdav.maintenance.gc import Collected, Graces, Step, gc
from tgdav.maintenance.schedule import last_run
from tgdav.maintenance.snapshot import Snapshots
from tgdav.settings import Settings
from tgdav.stores.directory import DirectoryStore
from tgdav.tree.tree import Tree
from tgdav.web.page import HEADERS, page

if TYPE_CHECKING:
    from tgdav.dav.server import Server

ADD_S = 60.0
"""How long a running server may take to make a channel."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive's rooms, wired."""

    folder: Path
    settings: Settings
    db: Database
    vault: Vault
    tree: Tree
    ledger: SqlLedger
    reach: Reach
    snapshots: Snapshots

    def facts(self) -> dict[str, Any]:
        """What `tgdav status` tells: bytes, counts, ratios, seconds; accounts and channels.

        "read_only" is why nothing may be changed, or "".
        """
        with self.db.read() as connection:
            accounts = reach.list_accounts(connection)
            channels = reach.list_channels(connection)
            sent = reach.messages_sent(connection)
        limit = self.settings.telegram.channel_messages
        ran = last_run(self.db, JOB)
        return self._figures() | {
            "messages_sent": sent,
            "account_troubles": ran.facts.get("troubles", []) if ran else [],
            "accounts": [asdict(account) for account in accounts],
            "channels": [
                asdict(channel) | {"room": max(0, limit - channel.messages)} for channel in channels
            ],
        }

    def _figures(self) -> dict[str, Any]:
        kept, named = self.vault.status(), self.tree.totals()
        oldest_ns = kept.oldest_unflushed_ns
        unflushed_s = 0 if oldest_ns is None else (time.time_ns() - oldest_ns) / 1e9
        with self.db.read() as connection:
            recoverable, why = snapshot.age(connection), drives.why_behind(connection)
        made = self.vault.workshop.drive
        return {
            "drive": made.drive_id.hex(),
            "epoch": made.epoch,
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
            "memory_bytes": memory(self.folder),
            "oldest_unflushed_s": unflushed_s,
            "recoverable_age_s": max(unflushed_s, recoverable.unpacked_s),
            "snapshot_age_s": recoverable.newest_s,
            "read_only": why,
        }

    def add_directory(self, path: Path) -> int:
        """Keep packs in the directory at `path` from now on; its number among the stores.

        Raises `StoreError`, `DiskFull`.
        """
        DirectoryStore.make(path.absolute())
        return roster.add(self.db, "directory", {"path": str(path.absolute())})

    @property
    def scratch(self) -> Path:
        """Where a job may keep one pack for a while."""
        return self.folder / SPOOL

    def add_telegram(self, *, title: str = "", channel_id: int | None = None) -> int:
        """Keep packs in channels: a new one called `title`, or that of the id. The store's number.

        Whoever has the accounts makes or finds the channel; it is there on return. Raises
        `StoreError`, `StoreBusy`; then there is no such store.
        """
        told = {"title": title} if channel_id is None else {"channel_id": channel_id}
        self.reach.network  # noqa: B018 - without it no row is to be written
        no = roster.add(self.db, "telegram", told)
        try:
            if is_served(self.folder):
                self._await_channel(no)
            else:
                self.reach.telegram.store(no, **told).open()
        except TgdavError:
            roster.withdraw(self.db, no)
            raise
        return no

    def _await_channel(self, no: int) -> None:
        deadline = time.monotonic() + ADD_S
        while not self.ledger.channels(no):
            row = roster.find(self.db, no)
            if row and row.trouble:
                raise StoreError(row.trouble)
            if time.monotonic() > deadline:
                raise StoreBusy(f"the server has made no channel for {ADD_S:.0f} s")
            time.sleep(0.1)

    def expire(self, step: Step) -> Expired:
        """Give up what was kept for its time. Raises what `maintenance.expire` does."""
        keep_s, grace_s = self.settings.history.keep_days * 86400, self.settings.gc.grace_s
        return expire(self.db, self.tree.trash, step, keep_s=keep_s, grace_s=grace_s)

    def left_short(self, account: int) -> list[ChannelStatus]:
        """The channels that would have fewer than two able accounts without this one."""
        with self.db.read() as connection:
            return reach.left_short(connection, account, 2)

    def verify(self) -> Mapping[str, Any]:
        """Try every account and channel, or have the server do it. Raises as `verified`."""
        return verified(self.folder, self.db, self.vault, self.reach)

    def gc(self, step: Step, *, dry: bool, yes: bool = False) -> Collected:
        """Collect garbage, or only look. Raises what `maintenance.gc` does."""
        with self.db.read() as connection:
            floor = snapshots.needed_since(connection)
        return gc(
            self.vault.workshop,
            step,
            graces=graces_of(self.settings),
            dry=dry,
            yes=yes,
            floor=floor,
            require_current=self.vault.require_newest,
        )

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
            show_trash=self.settings.history.show_trash,
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


def graces_of(settings: Settings) -> Graces:
    """How patient the settings tell gc to be."""
    patience = settings.gc
    return Graces(patience.age_s, patience.grace_s, patience.waste_share)


def _ratio(whole: float, part: float) -> float:
    return whole / part if whole and part else 1.0
