"""Packs that no row mentions and that are ours: recorded, never deleted.

Such a pack may be all that is left of a newer database, and its blocks need not be sent
again. Blocks that are dead come to life where it has them.
"""

import logging

from sqlalchemy import Connection

from tgdav.blocks.form.pack import parse_caption
from tgdav.blocks.form.soundness import examine
from tgdav.blocks.rows import index
from tgdav.blocks.rows.index import NewBlock, NewPack
from tgdav.blocks.workshop import Workshop
from tgdav.errors import PackDamaged
from tgdav.stores.base import Listed, Store
from tgdav.stores.pool import Replica

LOG = logging.getLogger(__name__)


def adopt(workshop: Workshop, no: int, store: Store, listed: Listed) -> int:
    """Record the replica that the store `no` lists, and its pack; the pack's number.

    Reads all of it first: a pack that is not whole would poison what is saved next.
    Raises `PackDamaged` then, or if it is another drive's; what the store raises.
    """
    examined = examine(
        lambda offset, size: store.read(listed.locator, offset, size),
        listed.size,
        workshop.keys,
        workshop.sealer,
    )
    contents = examined.contents
    said = parse_caption(listed.caption)
    # A head or a part of a snapshot has no blocks; who made it asks for it, or drops it.
    entries = contents.entries if said is None or said.kind == "pack" else []
    if contents.drive_id != workshop.drive.drive_id:
        raise PackDamaged(f"pack {contents.pack_id.hex()}: of another drive")
    pack_no = workshop.spool.numbers.take()[0]
    numbers = workshop.numbers.take(len(entries)) if entries else ()
    pack = NewPack(pack_no, contents.pack_id, listed.size, examined.digest, listed.caption)
    replica = Replica(no, listed.locator)
    blocks = [
        NewBlock(number, entry.block_id, entry.size, entry.sealed_size, pack_no, entry.offset)
        for number, entry in zip(numbers, entries, strict=True)
    ]

    def work(connection: Connection) -> int:
        recorded = index.record_pack(connection, pack, [replica])
        if recorded == pack_no:
            known = index.find(connection, [block.block_id for block in blocks])
            index.record_blocks(connection, blocks, known)
        return recorded

    recorded = workshop.db.write(work)
    LOG.info("pack %s: found in store %d and recorded", contents.pack_id.hex(), no)
    return recorded
