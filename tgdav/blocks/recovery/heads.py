"""The head: a small pack in every store that says which drive is kept there.

It tells the drive's epoch, how it cuts and seals, and its newest snapshot. If the key
has a passphrase, the wrapped key lies in it in clear, so that passphrase and store
recover the drive. Of several heads in a store the newest counts.
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from blake3 import blake3
from sqlalchemy import Connection, bindparam, select, update

from tgdav.blocks.flushing.horizon import packed_to
from tgdav.blocks.flushing.shedding import shed
from tgdav.blocks.form import payload
from tgdav.blocks.form.chunker import ChunkSizes
from tgdav.blocks.form.keys import WRAPPED_LIMIT
from tgdav.blocks.form.pack import HEADER_SIZE
from tgdav.blocks.form.safe import Safe
from tgdav.blocks.keeping import keep
from tgdav.blocks.recovery import whereabouts
from tgdav.blocks.rows import drive as drives
from tgdav.blocks.rows import index, snapshots
from tgdav.blocks.rows.drive import Drive
from tgdav.blocks.rows.tables import drive, packs, replicas, stores
from tgdav.blocks.workshop import Workshop
from tgdav.errors import ContentLost, PackDamaged, StoreBusy, StoreError
from tgdav.stores.pool import Replica

Wrapped = Callable[[], bytes | None]
"""The wrapped key; None if the key has no passphrase."""

_TOLD = select(drive.c.head, drive.c.head_told, drive.c.created_ns)
_NOTE = update(drive).values(head=bindparam("pack"), head_told=bindparam("digest"))
_HEAD = select(packs.c.pack_id, packs.c.caption, packs.c.size, packs.c.digest).where(
    packs.c.no == bindparam("of_pack")
)
_KEPT = (
    select(replicas.c.store, replicas.c.locator, stores.c.kind)
    .join(stores, stores.c.no == replicas.c.store)
    .where(
        replicas.c.pack == bindparam("of_pack"),
        replicas.c.state == index.SOUND,
        stores.c.state != "gone",
    )
)
_OLD = select(packs.c.no).where(packs.c.kind == "head", packs.c.no != bindparam("of_pack"))


class Heads:
    """Keeps the head of one drive true, in every store that takes packs. One thread."""

    def __init__(self, workshop: Workshop, wrapped: Wrapped) -> None:
        self._workshop = workshop
        self._wrapped = wrapped
        self._safe = Safe(workshop.keys)

    def renew(self) -> int:
        """Make a new head if what the last one says has changed; have it in every store.

        Returns the number of stores that have got it now. Superseded heads go once a
        store has the new one. Raises what keeping a pack raises, `StoreBusy`, `StoreError`.
        """
        wrapped = self._wrapped()
        with self._workshop.db.read() as connection:
            told, digest = self._facts(connection, wrapped)
            head, noted, _ = connection.execute(_TOLD).one()
        if digest != noted or head is None:
            head = self._make(told, digest, wrapped)
        try:
            given = self._give(head)
        except (ContentLost, PackDamaged):  # whoever had it has it no more
            head = self._make(told, digest, wrapped)
            given = self._give(head)
        if self._is_kept(head):
            with self._workshop.db.read() as connection:
                old = connection.scalars(_OLD, {"of_pack": head}).all()
            shed(self._workshop, old)
        return given

    def _facts(self, connection: Connection, wrapped: bytes | None) -> tuple[dict[str, Any], str]:
        made, sizes = self._workshop.drive, self._workshop.drive.chunks
        newest = snapshots.newest(connection)
        told = {
            "epoch": made.epoch,
            "epochs": drives.list_epochs(drives.epochs(connection)),
            "aead": made.aead,
            "chunks": [sizes.min, sizes.average, sizes.max],
            "created_ns": connection.execute(_TOLD).one().created_ns,
            "stores": whereabouts.told(connection, self._safe),
            "snapshot": newest and [newest.snapshot_id.hex(), newest.epoch, newest.position],
        }
        said = json.dumps(told, sort_keys=True).encode() + (wrapped or b"")
        # The position is the head's time, not a reason for another one.
        told["position"] = packed_to(connection)
        return told, hashlib.sha256(said).hexdigest()

    def _make(self, told: dict[str, Any], digest: str, wrapped: bytes | None) -> int:
        pack = self._workshop.spool.open_pack(told["position"], "head")
        try:
            if wrapped:
                pack.add(0, payload.CLEAR_ID, wrapped, len(wrapped))
            pack.journal(payload.facts(told))
        except BaseException:
            pack.abandon()
            raise
        note = {"pack": pack.no, "digest": digest}
        keep(self._workshop, pack, lambda connection, _: connection.execute(_NOTE, note))
        return pack.no

    def _give(self, head: int) -> int:
        """Put the head into the stores that lack it; one that takes nothing is told of last."""
        with self._workshop.db.read() as connection:
            row = connection.execute(_HEAD, {"of_pack": head}).one_or_none()
            kept = connection.execute(_KEPT, {"of_pack": head}).all()
        if row is None:
            raise ContentLost("no row tells of the head")
        lacking = set(self._workshop.pool.writable()) - {each.store for each in kept}
        if not lacking:
            return 0
        at = [Replica(each.store, each.locator) for each in kept]
        data = self._workshop.pool.read(at, 0, row.size, lambda d: blake3(d).digest() == row.digest)
        failure: StoreBusy | StoreError | None = None
        for no in sorted(lacking):
            try:
                locator = self._workshop.pool.store(no).put(row.pack_id, data, row.caption)
            except (StoreBusy, StoreError) as error:
                failure = error
                continue
            self._workshop.db.write(partial(_record, head, Replica(no, locator)))
        if failure:
            raise failure
        return len(lacking)

    def _is_kept(self, head: int) -> bool:
        with self._workshop.db.read() as connection:
            kept = connection.execute(_KEPT, {"of_pack": head}).all()
        return any(each.kind != "spool" for each in kept)


def _record(pack: int, replica: Replica, connection: Connection) -> None:
    index.record_replica(connection, pack, replica)


def drive_of(told: dict[str, Any], drive_id: bytes, key_id: bytes) -> Drive:
    """The drive that a head tells of. Raises `PackDamaged`."""
    try:
        chunks = ChunkSizes(*map(int, told["chunks"]))
        return Drive(drive_id, int(told["epoch"]), key_id, int(told["aead"]), chunks)
    except (KeyError, TypeError, ValueError) as error:
        raise PackDamaged("a head of a form that this tgdav does not know") from error


def wrapped_in(start: bytes) -> bytes | None:
    """The wrapped key at the front of a head, of which `start` is the first bytes."""
    text = start[HEADER_SIZE : HEADER_SIZE + WRAPPED_LIMIT].decode("latin-1")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[:end].encode() + b"\n"
