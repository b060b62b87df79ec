"""The stores that a lost drive is looked for in, before a database tells of any.

What opening them needs is kept in a database of its own, for as long as it takes to see
which drive is wanted and that its key is right; then it is written where it belongs.
"""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tgdav.app.reach import Reach, channel_id
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger import SqlLedger
from tgdav.blocks.recovery import survey, whereabouts
from tgdav.blocks.recovery.survey import Sighting
from tgdav.blocks.recovery.whereabouts import ToldChannel
from tgdav.blocks.rows import roster
from tgdav.blocks.rows.leases import Leases
from tgdav.db import Database
from tgdav.disk import told
from tgdav.errors import FolderRefused, LoginRefused, StoreError
from tgdav.settings import Settings
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.ledger import Channel
from tgdav.stores.pool import StorePool

LogIn = Callable[[Reach, SqlLedger], object]
"""Logs an account in at that Telegram, and keeps it in that ledger."""

ALL = "all"
"""In place of a channel's id: every channel of the accounts that has packs."""


class NamedStore(NamedTuple):
    """A store that the drive is in: its kind, and a directory's path, a channel's id or `ALL`."""

    kind: str
    where: str


class Sources:
    """A context manager; one thread. `pool` has what `open` opened, each for reading only."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._channels: dict[int, Channel] = {}
        self._paths: list[Path] = []
        self._is_named: set[int] = set()

    def __enter__(self) -> Self:
        with told("the folder for temporary files", FolderRefused):
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tgdav-"))
        self._db = self._stack.enter_context(
            contextlib.closing(Database.open(f"sqlite:///{Path(folder) / 'sources.db'}"))
        )
        # The key is gone with this process: nobody reads the logins that a crash leaves.
        self._ledger = SqlLedger(self._db, Keys.generate(), Leases(self._db))
        self._reach = self._stack.enter_context(
            contextlib.closing(Reach(self._settings, self._ledger))
        )
        self.pool = self._stack.enter_context(contextlib.closing(StorePool()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def take_logins(self, db: Database, keys: Keys) -> None:
        """Use the accounts that are kept in `db` under `keys`."""
        _copy_logins(SqlLedger(db, keys, Leases(db)), self._ledger)

    def open(self, stores: Sequence[NamedStore], log_in: LogIn, *, logs_in_again: bool) -> None:
        """Open the stores; `log_in` if one is at Telegram and no account is known, or again.

        Raises `StoreError`, `StoreBusy`, `LoginRefused`, `SettingsRefused`.
        """
        if any(kind == "telegram" for kind, _ in stores):
            if logs_in_again or not self._ledger.accounts():
                log_in(self._reach, self._ledger)
            if all(account.kind == "bot" for account in self._ledger.accounts()):
                raise LoginRefused("a bot does not see where a channel ends: log a user in")
        for kind, where in stores:
            match kind:
                case "directory":
                    self._open_directory(Path(where).absolute())
                case "telegram" if where == ALL:
                    self._open_found()
                case "telegram":
                    self._is_named.add(self._open_channel(channel_id(where)))
                case _:
                    raise StoreError(f"{kind} is no kind of store: directory and telegram are")

    def record(self, db: Database, keys: Keys, wanted: Sighting) -> list[str]:
        """Write into `db` where the drive is kept and who is logged in.

        Channels become the stores that they were, as the drive's head tells; one of which no
        head tells is a store by itself. What was only found, and has nothing of the drive, is
        left out. Returns the titles of the drive's channels that are not at hand.
        """
        for path in self._paths:
            roster.add(db, "directory", {"path": str(path)})
        ledger = SqlLedger(db, keys, Leases(db))
        _copy_logins(self._ledger, ledger)
        at_hand = {
            channel.channel_id: channel
            for no, channel in self._channels.items()
            if no in self._is_named | wanted.stores
        }
        absent = []
        kept = whereabouts.read(survey.newest_head(wanted, keys).get("stores"))
        for _, settings, channels in (each for each in kept if each.kind == "telegram"):
            absent += [each.title for each in channels if each.channel_id not in at_hand]
            found = [each for each in channels if each.channel_id in at_hand]
            if found:
                self._record(db, ledger, settings, found, at_hand)
        for channel in list(at_hand.values()):
            alone = ToldChannel(channel.channel_id, channel.title, channel.invite, None)
            self._record(db, ledger, {"channel_id": channel.channel_id}, [alone], at_hand)
        return absent

    # ---- opening

    def _open_directory(self, path: Path) -> None:
        no = roster.add(self._db, "directory", {"path": str(path)})
        self.pool.set(no, DirectoryStore(path), writable=False)
        self._paths.append(path)

    def _open_found(self) -> None:
        found = self._reach.telegram.find()
        if not found:
            raise StoreError("Telegram: none of the accounts' channels has packs among its newest")
        for each in found:
            self._open_channel(each)

    def _open_channel(self, channel_id: int) -> int:
        no = roster.add(self._db, "telegram", {"channel_id": channel_id})
        if no not in self._channels:
            store = self._reach.telegram.store(no, channel_id=channel_id)
            self.pool.set(no, store, writable=False)
            store.open()
            (self._channels[no],) = self._ledger.channels(no)
        return no

    # ---- recording

    def _record(
        self,
        db: Database,
        ledger: SqlLedger,
        settings: dict[str, Any],
        told: list[ToldChannel],
        at_hand: dict[int, Channel],
    ) -> None:
        """Record one store with these channels; they are not `at_hand` any more."""
        store = roster.add(db, "telegram", settings)
        users = {account.user_id: account.no for account in ledger.accounts()}
        for each in told:
            seen = at_hand.pop(each.channel_id)
            owner = None if each.owner is None else users.get(each.owner)
            kept = ledger.add_channel(store, each.channel_id, each.title, owner, each.invite)
            for account in self._ledger.accounts():
                access_hash = self._ledger.access_hash(account.no, seen.no)
                if access_hash is not None:
                    ledger.keep_access_hash(users[account.user_id], kept.no, access_hash)


def _copy_logins(source: SqlLedger, target: SqlLedger) -> None:
    for account in source.accounts():
        target.add_account(
            account.kind, account.user_id, account.label, account.session, account.premium
        )
