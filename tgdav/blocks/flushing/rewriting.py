"""What is still needed of mostly dead packs, copied to new ones.

Copied and kept, then recorded, and only then are the old packs dead: a crash leaves at
worst a pack too many. Each block is opened on the way, so nothing damaged is copied.
"""

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection

from tgdav.blocks.form.pack import PackContents, parse_caption, read_pack
from tgdav.blocks.keeping import keep
from tgdav.blocks.local.spool import KeptPack, OpenPack
from tgdav.blocks.rows import waste
from tgdav.blocks.rows.waste import Live, Wasted
from tgdav.blocks.workshop import Workshop
from tgdav.errors import BlockDamaged
from tgdav.stores.pool import Replica

Spend = Callable[[int], None]
"""Told of bytes before they are read; returns when they may be."""


class Rewriting:
    """Copies from packs, one after the other; used by one thread. End it by `close`.

    Packs whose journal recovery still needs (their position is beyond `floor`) are
    copied one to one, with the journal and its position; the others share new packs.
    """

    def __init__(self, workshop: Workshop, floor: int, spend: Spend) -> None:
        self._workshop = workshop
        self._floor = floor
        self._spend = spend
        self._open: OpenPack | None = None
        self._sources: dict[int, int] = {}
        self._packs: set[int] = set()
        self.copied = 0
        """Bytes of sealed blocks."""

    def copy(self, pack: Wasted) -> None:
        """Copy what is still needed of the pack.

        Raises `ContentLost` if a block of it is, `StoreBusy`, `StoreError`, `DiskFull`,
        `PackDamaged`; then the pack stays as it is.
        """
        with self._workshop.db.read() as connection:
            kept_by = waste.kept_by(connection, pack.no)
        contents = self._contents(pack, kept_by)
        said = parse_caption(pack.caption)
        position = said.position if said else 0
        if contents.journal and position > self._floor:
            self.close()
            self._begin(position).journal(contents.journal)
            self._copy_blocks(pack, kept_by)
            self.close()
        else:
            self._copy_blocks(pack, kept_by)

    def close(self) -> None:
        """Keep and record what was copied. Raises `StoreError`, `DiskFull`, `Busy`."""
        pack, self._open = self._open, None
        sources, self._sources = self._sources, {}
        emptied, self._packs = self._packs, set()
        if pack is None:
            return

        def record(connection: Connection, kept: KeptPack) -> None:
            waste.move(connection, kept.blocks, sources, kept.pack.no)
            for source in emptied:
                waste.inherit(connection, source, kept.pack.no)

        keep(self._workshop, pack, record)

    def abandon(self) -> None:
        """Leave nothing of what is not recorded."""
        pack, self._open = self._open, None
        if pack is not None:
            pack.abandon()

    def _contents(self, pack: Wasted, kept_by: Sequence[Replica]) -> PackContents:
        def read(offset: int, size: int) -> bytes:
            self._spend(size)
            return self._workshop.pool.read(kept_by, offset, size)

        return read_pack(read, pack.size, self._workshop.keys)

    def _begin(self, position: int = 0) -> OpenPack:
        self._open = self._workshop.spool.open_pack(position=position)
        return self._open

    def _copy_blocks(self, pack: Wasted, kept_by: Sequence[Replica]) -> None:
        after = -1
        while True:
            with self._workshop.db.read() as connection:
                page = waste.live(connection, pack.no, after)
            for run in _runs(page, self._workshop.sizes.window):
                self._copy_run(pack, run, kept_by)
            if not page:
                break
            after = page[-1].offset
        if self._open is None:  # nothing of it is needed: it has no heir but itself
            self._workshop.db.write(lambda connection: waste.inherit(connection, pack.no, pack.no))
            return
        self._packs.add(pack.no)
        if self._open.size >= self._workshop.sizes.pack_size:
            self.close()

    def _copy_run(self, pack: Wasted, run: Sequence[Live], kept_by: Sequence[Replica]) -> None:
        def is_sound(data: bytes) -> bool:
            try:
                for block, sealed in _frames(run, data):
                    self._workshop.sealer.open(block.block_id, sealed)
            except BlockDamaged:
                return False
            return True

        size = sum(block.sealed_size for block in run)
        self._spend(size)
        self._workshop.backlog.make_way(size)
        data = self._workshop.pool.read(kept_by, run[0].offset, size, is_sound)
        into = self._open or self._begin()
        for block, sealed in _frames(run, data):
            into.add(block.no, block.block_id, sealed, block.size)
            self._sources[block.no] = pack.no
        self.copied += size


def _runs(page: Sequence[Live], most: int) -> Iterator[list[Live]]:
    """The blocks in runs that lie side by side, each about `most` bytes."""
    run: list[Live] = []
    size = 0
    for block in page:
        is_next = run and run[-1].offset + run[-1].sealed_size == block.offset
        if run and not (is_next and size < most):
            yield run
            run, size = [], 0
        run.append(block)
        size += block.sealed_size
    if run:
        yield run


def _frames(run: Sequence[Live], data: bytes) -> Iterator[tuple[Live, memoryview]]:
    """Each block of the run with its sealed bytes."""
    view = memoryview(data)
    for block in run:
        yield block, view[: block.sealed_size]
        view = view[block.sealed_size :]
