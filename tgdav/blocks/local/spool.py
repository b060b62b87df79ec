"""Packs on this machine: written as they grow, kept with fsync, recorded afterwards.

A pack that is not kept leaves a temporary file at most; one that is kept and not
recorded is found by `flush.sweep`.
"""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.pack import PackWriter, caption
from tgdav.blocks.rows.drive import Drive
from tgdav.blocks.rows.index import NewBlock, NewPack
from tgdav.blocks.rows.numbers import Numbers
from tgdav.stores.base import Buffer, Locator
from tgdav.stores.directory import DirectoryStore
from tgdav.stores.packfile import PackSink
from tgdav.stores.pool import Replica


class KeptPack(NamedTuple):
    """A finished pack that the spool has, and where its blocks lie in it."""

    pack: NewPack
    replica: Replica
    blocks: tuple[NewBlock, ...]

    def numbered(self, no: int) -> "KeptPack":
        """The same pack under the number that it is recorded by."""
        if no == self.pack.no:
            return self
        blocks = tuple(block._replace(pack=no) for block in self.blocks)
        return KeptPack(self.pack._replace(no=no), self.replica, blocks)


class Spool:
    """The directory in which packs wait, and what it takes to make one. Any thread."""

    def __init__(
        self, no: int, store: DirectoryStore, keys: Keys, drive: Drive, numbers: Numbers
    ) -> None:
        self.no = no
        """The spool's number among the stores."""
        self.store = store
        self.numbers = numbers
        """Of packs."""
        self._keys = keys
        self._drive = drive
        self._unrecorded: set[bytes] = set()

    def open_pack(self, position: int = 0, kind: str = "pack") -> "OpenPack":
        """A new pack to fill; `position` is the journal's, if some rides along."""
        no, pack_id = self.numbers.take()[0], secrets.token_bytes(16)
        self._unrecorded.add(pack_id)
        try:
            return OpenPack(
                self,
                self._keys,
                self._drive,
                no=no,
                pack_id=pack_id,
                position=position,
                kind=kind,
            )
        except BaseException:
            self.let_go(pack_id)
            raise

    @contextmanager
    def receive(self, pack_id: bytes, caption: str) -> Iterator[PackSink]:
        """A pack of another store, to be written here as it is, kept, and recorded within."""
        self._unrecorded.add(pack_id)
        try:
            with self.store.create(pack_id, caption) as sink:
                yield sink
        finally:
            self.let_go(pack_id)

    @property
    def lease(self) -> str:
        """Whoever has it takes packs out, and nobody else does."""
        return f"spool {self.no}"

    def is_at_work_on(self, pack_id: bytes) -> bool:
        """True while this process fills the pack or is about to record it."""
        return pack_id in self._unrecorded

    def let_go(self, pack_id: bytes) -> None:
        """Say that this process has recorded the pack, or never will."""
        self._unrecorded.discard(pack_id)

    def content(self, locator: Locator) -> memoryview:
        """All bytes of a pack, not copied into memory. Raises `ReplicaMissing`."""
        return self.store.mapped(locator)

    def discard(self, locator: Locator) -> None:
        """Delete a pack that no row says the spool has."""
        self.store.delete([locator])


class OpenPack:
    """A pack being filled; used by one thread at a time. End it by `keep` or `abandon`."""

    def __init__(
        self,
        spool: Spool,
        keys: Keys,
        drive: Drive,
        *,
        no: int,
        pack_id: bytes,
        position: int,
        kind: str,
    ) -> None:
        self.no = no
        self._pack_id = pack_id
        self._caption = caption(self._pack_id, drive.drive_id, kind, position, drive.epoch)
        self._spool = spool
        self._blocks: list[NewBlock] = []
        self._stack = ExitStack()
        self._sink = self._stack.enter_context(spool.store.create(self._pack_id, self._caption))
        with self._stack:
            self._writer = PackWriter(
                self._sink.write, keys, drive.aead, drive.drive_id, self._pack_id
            )
            self._stack = self._stack.pop_all()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._writer.size

    def add(self, no: int, block_id: bytes, sealed: Buffer, size: int) -> None:
        """Append a sealed block. Raises `DiskFull`, `StoreError`; then abandon the pack."""
        offset = self._writer.add(block_id, sealed, size)
        self._blocks.append(NewBlock(no, block_id, size, len(sealed), self.no, offset))

    def journal(self, rows: bytes) -> None:
        """Let journal rows ride along."""
        self._writer.journal(rows)

    def keep(self) -> KeptPack:
        """Finish; return once the pack outlives this process and the power.

        Raises `DiskFull`, `StoreError`; then nothing is left of it.
        """
        try:
            with self._stack:
                summary = self._writer.finish()
                replica = Replica(self._spool.no, self._sink.keep())
        except BaseException:
            self._spool.let_go(self._pack_id)
            raise
        pack = NewPack(self.no, self._pack_id, summary.size, summary.digest, self._caption)
        return KeptPack(pack, replica, tuple(self._blocks))

    def abandon(self) -> None:
        """Leave nothing of the pack, unless it was kept."""
        self._stack.close()
        self._spool.let_go(self._pack_id)
