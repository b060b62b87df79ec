"""Blocks by number, opened and verified, from wherever they are nearest.

Memory, then sealed on this disk, then staged, then the replicas. Blocks that lie side
by side in one pack cost one read of a store.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from tgdav.blocks.form.draft import Logged
from tgdav.blocks.local.staging_log import read_log
from tgdav.blocks.rows import index, staging
from tgdav.blocks.rows.index import Located
from tgdav.blocks.workshop import Workshop
from tgdav.errors import BlockDamaged, ContentLost, ReplicaMissing, StoreError
from tgdav.stores.base import Buffer

ATTEMPTS = 3
"""Looks at where a block is: it may be packed, and its pack be flushed, meanwhile."""

Run: TypeAlias = Mapping[int, Located]
"""Blocks by number to be fetched at once: side by side in one pack, or one alone."""
Chunks: TypeAlias = dict[int, bytes | memoryview]
"""Chunks by number; large ones are slabs, which whoever fetched them should give back."""


class _Gone(Exception):
    """The block is not staged any more."""


def fetch(workshop: Workshop, run: Run) -> Chunks:
    """The run's chunks by number.

    Raises `ContentLost` if no sound replica of one is left, `StoreBusy`, `StoreError`.
    """
    chunks = _kept(workshop, run)
    for part in _gapless({no: block for no, block in run.items() if no not in chunks}):
        try:
            chunks |= _read(workshop, part)
        except (ContentLost, StoreError, _Gone) as error:
            # Two replicas may be damaged in different blocks, so each is sought alone.
            for no, block in part.items():
                chunks[no] = _find(workshop, no, None if len(part) > 1 else block, error)
    return chunks


def _gapless(run: Run) -> list[dict[int, Located]]:
    """The run in parts that have no gap, each in the order of its pack."""
    parts: list[dict[int, Located]] = []
    end: tuple[int | None, int] = (None, 0)
    for no, block in sorted(run.items(), key=lambda numbered: numbered[1].offset):
        if block.pack is None or end != (block.pack, block.offset):
            parts.append({})
        parts[-1][no] = block
        end = (block.pack, block.offset + block.sealed_size)
    return parts


def _kept(workshop: Workshop, run: Run) -> Chunks:
    """What the cache has of the run."""
    found = ((no, _from_cache(workshop, block)) for no, block in run.items())
    return {no: chunk for no, chunk in found if chunk is not None}


def _from_cache(workshop: Workshop, block: Located) -> bytes | memoryview | None:
    chunk = workshop.cache.opened(block.block_id)
    if chunk is not None or not _is_distant(workshop, block):
        return chunk
    if (sealed := workshop.cache.sealed(block.block_id)) is not None:
        try:
            return _open(workshop, block, sealed)
        except BlockDamaged:
            workshop.cache.drop(block.block_id)
    return chunk


def _open(workshop: Workshop, block: Located, sealed: Buffer) -> bytes | memoryview:
    if block.size <= workshop.sizes.small:
        return workshop.sealer.open(block.block_id, sealed)
    slab = workshop.slabs.take(block.size)
    workshop.sealer.open_into(slab, block.block_id, sealed)
    return slab


def _find(
    workshop: Workshop, no: int, tried: Located | None, failure: Exception
) -> bytes | memoryview:
    """The chunk of one block, after looking again where it is: its store may be given up.

    `tried` is where it was not, for `failure`.
    """
    for _ in range(ATTEMPTS):
        with workshop.db.read() as connection:
            located = index.locate(connection, [no]).get(no)
        if located is None or located == tried:
            break
        tried = located
        try:
            return _read(workshop, {no: located})[no]
        except (ContentLost, StoreError, _Gone) as error:
            failure = error
    if isinstance(failure, StoreError):
        raise failure
    raise ContentLost(f"no sound replica of block {no} is left")


def _read(workshop: Workshop, run: Run) -> Chunks:
    """The chunks of a run without gaps, from where the index says that they are."""
    blocks = list(run.items())
    _, first = blocks[0]
    if first.pack is None:
        return {no: _read_staged(workshop, no, block) for no, block in blocks}
    chunks: Chunks = {}
    data = workshop.slabs.take(sum(block.sealed_size for _, block in blocks))

    def is_sound() -> bool:
        try:
            for no, block, sealed in _frames(blocks, data):
                chunks[no] = _open(workshop, block, sealed)
        except BlockDamaged:
            return False
        return True

    workshop.pool.read_into(first.replicas, first.offset, data, is_sound)
    if _is_distant(workshop, first):
        for _, block, sealed in _frames(blocks, data):
            workshop.cache.keep_sealed(block.block_id, sealed)
    workshop.slabs.give(data)
    return chunks


def _is_distant(workshop: Workshop, block: Located) -> bool:
    """No store on this machine has the block, nor the database: its sealed bytes are cached."""
    if block.pack is None:
        return False
    return not any(workshop.pool.is_local(replica.store) for replica in block.replicas)


def _frames(
    blocks: Iterable[tuple[int, Located]], view: memoryview
) -> Iterator[tuple[int, Located, memoryview]]:
    """Each of the blocks that follow each other in `view`, with its sealed bytes."""
    for no, block in blocks:
        yield no, block, view[: block.sealed_size]
        view = view[block.sealed_size :]


def _from_log(workshop: Workshop, logged: Logged) -> memoryview:
    """The sealed block, in a slab."""
    sealed = workshop.slabs.take(logged.size)
    try:
        read_log(workshop.log, logged, sealed)
    except ReplicaMissing as error:
        raise _Gone from error
    return sealed


def _read_staged(workshop: Workshop, no: int, block: Located) -> bytes | memoryview:
    with workshop.db.read() as connection:
        found = staging.sealed(connection, no)
    if found is None:
        raise _Gone
    sealed = _from_log(workshop, found) if isinstance(found, Logged) else found
    try:
        return _open(workshop, block, sealed)
    except BlockDamaged as error:
        raise ContentLost(f"{error}, and only staging has it") from error
    finally:
        workshop.slabs.give(sealed)
