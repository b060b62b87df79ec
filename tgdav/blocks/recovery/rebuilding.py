"""The index made again from what the stores have: packs by their captions, then blocks.

Each step may be done again: what is recorded already stays. A store that cannot be
read ends it; that is never taken for a store that has nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, exists, insert, select, update

from tgdav.blocks.form import payload
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.pack import Caption, PackContents, parse_caption, read_pack
from tgdav.blocks.patience import patiently
from tgdav.blocks.rows import index, snapshots
from tgdav.blocks.rows.index import NewBlock, NewPack, batches
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.tables import NO_DIGEST, found, packs, replicas
from tgdav.db import Database
from tgdav.errors import PackDamaged, ReplicaMissing
from tgdav.stores.base import Listed, Locator
from tgdav.stores.pool import Replica, StorePool

READERS = 8
"""Packs whose ends are read at once."""
BLOCKS = 4000
"""Blocks that one transaction records."""
Progress = Callable[[str, int, int], None]
"""Told of a stage, how much of it is done, and of how much (0: not known)."""

_OF_IDS = select(packs.c.pack_id, packs.c.no, packs.c.size).where(
    packs.c.pack_id.in_(bindparam("ids", expanding=True))
)
_GROW = update(packs).where(packs.c.no == bindparam("of_no")).values(size=bindparam("to_size"))
_PLACE = (
    update(packs)
    .where(packs.c.no == bindparam("of_no"))
    .values(
        size=bindparam("of_size"), epoch=bindparam("of_epoch"), position=bindparam("of_position")
    )
)
_UNREAD = (
    select(packs.c.no, packs.c.pack_id, packs.c.size, packs.c.kind)
    .where(
        packs.c.no > bindparam("after", type_=BigInteger),
        packs.c.kind != "lost",
        ~exists().where(found.c.pack == packs.c.no),
    )
    .order_by(packs.c.no)
    .limit(bindparam("most"))
)
_OF_PACK = select(packs.c.no, packs.c.pack_id, packs.c.size, packs.c.kind).where(
    packs.c.no == bindparam("of_no")
)
_REPLICAS = select(replicas.c.store, replicas.c.locator).where(
    replicas.c.pack == bindparam("of_pack")
)
_FIND = insert(found)
_AGAIN = delete(found).where(found.c.trouble != "")
_NOTE_DIGEST = (
    update(packs)
    .where(packs.c.pack_id == bindparam("of_id"), packs.c.digest == NO_DIGEST)
    .values(digest=bindparam("of_digest"))
)


class Unread(NamedTuple):
    """A recorded pack whose index is to be read."""

    no: int
    pack_id: bytes
    size: int
    kind: str


class Rebuilding:
    """Rebuilds the index of one drive, which `keys` open. One thread."""

    def __init__(
        self, db: Database, pool: StorePool, keys: Keys, drive_id: bytes, progress: Progress
    ) -> None:
        self._db = db
        self._pool = pool
        self._keys = keys
        self._drive_id = drive_id
        self._progress = progress
        self._pack_numbers = Numbers(db, "pack")
        self._block_numbers = Numbers(db, "block", BLOCKS)

    def run(self) -> None:
        """Record every pack of the drive, and all blocks in those that can be read.

        `found` says then what each carries beside them, or why it cannot be read. Raises
        `StoreBusy`, `StoreError`, `DiskFull`, `DatabaseError`; then it may be run again.
        """
        listed = sum(patiently(partial(self._list, no)) for no in self._pool.numbers())
        self._db.write(lambda connection: connection.execute(_AGAIN))
        read = 0
        with ThreadPoolExecutor(READERS, "reading") as readers:
            for page in self._unread():
                fetched = readers.map(self._fetch, page)
                for pack, contents in zip(page, fetched, strict=True):
                    self._record(pack, contents)
                read += len(page)
                self._progress("index", read, listed)

    def read(self, no: int) -> PackContents:
        """What the recorded pack holds. Raises `PackDamaged`, `StoreBusy`, `StoreError`."""
        with self._db.read() as connection:
            pack = Unread(*connection.execute(_OF_PACK, {"of_no": no}).one())
        contents = self._fetch(pack)
        if isinstance(contents, str):
            raise PackDamaged(contents)
        return contents[0]

    def content(self, no: int, offset: int, size: int, sound: Callable[[bytes], bool]) -> bytes:
        """Some `sound` bytes of a recorded pack. Raises as `StorePool.read`."""
        return patiently(lambda: self._pool.read(self._replicas(no), offset, size, sound))

    def _list(self, store: int) -> int:
        listed = 0
        for page in batches(self._ours(store)):
            numbers = list(self._pack_numbers.take(len(page)))
            self._db.write(partial(_record_listed, store=store, page=page, numbers=numbers))
            listed += len(page)
            self._progress("list", listed, 0)
        return listed

    def _ours(self, store: int) -> Iterator[tuple[Listed, Caption]]:
        for listed in self._pool.store(store).scan():
            said = parse_caption(listed.caption)
            if said is not None and said.drive_id == self._drive_id:
                yield listed, said

    def _unread(self) -> Iterator[list[Unread]]:
        after = 0
        while True:
            with self._db.read() as connection:
                rows = connection.execute(_UNREAD, {"after": after, "most": READERS}).all()
            if not rows:
                return
            yield [Unread(*row) for row in rows]
            after = rows[-1].no

    def _replicas(self, no: int) -> list[Replica]:
        with self._db.read() as connection:
            rows = connection.execute(_REPLICAS, {"of_pack": no}).all()
        return [Replica(store, Locator(locator)) for store, locator in rows]

    def _fetch(self, pack: Unread) -> "tuple[PackContents, int] | str":
        """What the pack holds and its size, from the first replica that shows it; or why not."""
        why = "no store has it"
        for replica in self._replicas(pack.no):
            try:
                return patiently(partial(self._open, pack, replica))
            except (PackDamaged, ReplicaMissing) as error:
                why = str(error)
                self._db.write(partial(_suspect, replica))
        return f"pack {pack.pack_id.hex()}: {why}"

    def _open(self, pack: Unread, replica: Replica) -> tuple[PackContents, int]:
        store = self._pool.store(replica.store)

        def read(offset: int, size: int) -> bytes:
            return store.read(replica.locator, offset, size)

        size = pack.size
        try:
            contents = read_pack(read, size, self._keys)
        except (PackDamaged, ReplicaMissing):
            # Another replica may be longer; a pack is as long as one that opens.
            size = store.probe(replica.locator) or 0
            if size == pack.size:
                raise
            contents = read_pack(read, size, self._keys)
        if (contents.drive_id, contents.pack_id) != (self._drive_id, pack.pack_id):
            raise PackDamaged("another pack under this caption")
        return contents, size

    def _record(self, pack: Unread, fetched: "tuple[PackContents, int] | str") -> None:
        if isinstance(fetched, str):
            row = {"pack": pack.no, "epoch": 0, "after": None, "last": None, "trouble": fetched}
            self._db.write(lambda connection: connection.execute(_FIND, row))
            return
        contents, size = fetched
        if pack.kind == "pack":
            for page in batches(contents.entries, BLOCKS):
                entries = {each.block_id: each for each in page}.values()
                numbers = self._block_numbers.take(len(entries))
                blocks = [
                    NewBlock(no, each.block_id, each.size, each.sealed_size, pack.no, each.offset)
                    for no, each in zip(numbers, entries, strict=True)
                ]
                self._db.write(partial(_record_blocks, blocks=blocks))
        self._db.write(partial(_record_found, pack=pack, contents=contents, size=size))


def note_digests(connection: Connection, told: Sequence[tuple[str, str]]) -> None:
    """Note what a snapshot says of packs: (id, digest), both in hex."""
    rows = [
        {"of_id": bytes.fromhex(pack_id), "of_digest": bytes.fromhex(digest)}
        for pack_id, digest in told
    ]
    if rows:
        connection.execute(_NOTE_DIGEST, rows)


def _record_listed(
    connection: Connection, store: int, page: list[tuple[Listed, Caption]], numbers: list[int]
) -> None:
    ids = list({said.pack_id for _, said in page})
    known = {bytes(row.pack_id): row for row in connection.execute(_OF_IDS, {"ids": ids})}
    sizes = {pack_id: row.size for pack_id, row in known.items()}
    given = {pack_id: row.no for pack_id, row in known.items()}
    for (listed, said), no in zip(page, numbers, strict=True):
        if said.pack_id not in given:
            given[said.pack_id], sizes[said.pack_id] = no, listed.size
            pack = NewPack(no, said.pack_id, listed.size, NO_DIGEST, listed.caption)
            index.record_pack(connection, pack, ())
        elif listed.size > sizes[said.pack_id]:
            sizes[said.pack_id] = listed.size
            grown = {"of_no": given[said.pack_id], "to_size": listed.size}
            connection.execute(_GROW, grown)
        replica = Replica(store, listed.locator)
        index.record_replica(connection, given[said.pack_id], replica)


def _record_blocks(connection: Connection, blocks: list[NewBlock]) -> None:
    known = index.find(connection, [block.block_id for block in blocks])
    index.record_blocks(connection, blocks, known)


def _record_found(connection: Connection, pack: Unread, contents: PackContents, size: int) -> None:
    """Note what the pack carries; what is sealed counts, not what its caption says."""
    row: dict[str, Any] = {"pack": pack.no, "epoch": 1, "after": None, "last": None, "trouble": ""}
    try:
        if pack.kind == "pack":
            if rows := payload.read_journal(contents.journal):
                row |= {"epoch": rows.epoch, "after": rows.after, "last": rows.last}
        else:
            told = payload.read_facts(contents.journal)
            row |= {"epoch": told["epoch"], "last": told["position"]}
            if pack.kind == "snapshot":
                snapshot_id, part = bytes.fromhex(told["id"]), int(told["part"])
                snapshots.record(connection, pack.no, snapshot_id, part, is_last=told["is_last"])
    except (PackDamaged, KeyError, ValueError) as error:
        row |= {"trouble": f"pack {pack.pack_id.hex()}: {error}"}
    placed = {"of_no": pack.no, "of_size": size, "of_epoch": row["epoch"]}
    connection.execute(_PLACE, placed | {"of_position": row["last"] or 0})
    connection.execute(_FIND, row)


def _suspect(replica: Replica, connection: Connection) -> None:
    index.suspect(connection, replica)
