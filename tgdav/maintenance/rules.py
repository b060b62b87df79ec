"""What must always be true of a database: rules 1, 2 and 4 of the design, as statements.

Each selects what breaks it, and is written for being read. They look at everything, need
no index to be right, and hold at any moment, beside any number of saves.
"""

from typing import NamedTuple


class Rule(NamedTuple):
    """A rule by what breaks it."""

    kind: str
    """A word for programs."""
    sentence: str
    names: str
    """How a row that breaks it is called; its first column is the number of the finding."""
    select: str


MUST = (
    Rule(
        "extent_without_block",
        "an extent names a block that is not recorded",
        "version {0}, offset {1}, block {2}",
        """
        SELECT version, "offset", block FROM extents
        WHERE block NOT IN (SELECT no FROM blocks)
        """,
    ),
    Rule(
        "block_nowhere",
        "a recorded block is neither staged nor in a pack",
        "block {0}",
        """
        SELECT no FROM blocks
        WHERE pack IS NULL AND no NOT IN (SELECT block FROM staged)
        """,
    ),
    Rule(
        "block_without_replica",
        "a recorded block is in a pack that no store has",
        "block {0}, pack {1}",
        """
        SELECT no, pack FROM blocks
        WHERE pack IS NOT NULL AND pack NOT IN (SELECT pack FROM replicas)
        """,
    ),
    Rule(
        "block_out_of_pack",
        "a recorded block reaches out of its pack, or into the next block",
        "block {0}, pack {1}",
        """
        SELECT no, pack FROM (
            SELECT blocks.no AS no, pack, pack_offset, sealed_size, packs.size AS size,
            lead(pack_offset) OVER (PARTITION BY pack ORDER BY pack_offset) AS following
            FROM blocks LEFT JOIN packs ON packs.no = blocks.pack WHERE pack IS NOT NULL
        ) AS lying WHERE size IS NULL OR pack_offset IS NULL
        OR pack_offset + sealed_size > size OR pack_offset + sealed_size > following
        """,
    ),
    Rule(
        "staged_without_block",
        "something is staged that is no block, or lies in a pack already",
        "block {0}",
        """
        SELECT block FROM staged
        WHERE block NOT IN (SELECT no FROM blocks WHERE pack IS NULL)
        """,
    ),
    Rule(
        "staged_size",
        "a staged block has another size than is recorded",
        "block {0}: {1} bytes",
        """
        SELECT block, length(sealed) FROM staged JOIN blocks ON blocks.no = staged.block
        WHERE staged.sealed_size <> blocks.sealed_size
        OR (log IS NULL AND length(sealed) <> staged.sealed_size)
        """,
    ),
    Rule(
        "extents_apart",
        "an extent does not begin where the one before it ends",
        "version {0}, offset {1} instead of {2}",
        """
        SELECT version, "offset", expected FROM (
            SELECT version, "offset", coalesce(
                lag("offset" + size) OVER (PARTITION BY version ORDER BY "offset"), 0
            ) AS expected FROM extents
        ) AS run WHERE "offset" <> expected
        """,
    ),
    Rule(
        "version_size",
        "the extents of a version are not as long as it is",
        "version {0}: {2} of {1} bytes",
        """
        SELECT no, versions.size, coalesce(sum(extents.size), 0) FROM versions
        LEFT JOIN extents ON extents.version = versions.no
        GROUP BY no, versions.size HAVING versions.size <> coalesce(sum(extents.size), 0)
        """,
    ),
    Rule(
        "extent_out_of_block",
        "an extent is empty, or reaches out of its block",
        "version {0}, offset {1}",
        """
        SELECT version, "offset" FROM extents JOIN blocks ON blocks.no = extents.block
        WHERE extents.size <= 0 OR block_offset < 0 OR block_offset + extents.size > blocks.size
        """,
    ),
    Rule(
        "extent_without_version",
        "an extent is of a version that is not there",
        "version {0}",
        """
        SELECT DISTINCT version FROM extents WHERE version NOT IN (SELECT no FROM versions)
        """,
    ),
    Rule(
        "node_without_version",
        "a name has a version that is not there",
        "node {0}, version {1}",
        """
        SELECT no, version FROM nodes
        WHERE version IS NOT NULL AND version NOT IN (SELECT no FROM versions)
        """,
    ),
    Rule(
        "version_without_name",
        "a version has no name and was not retired",
        "version {0}",
        """
        SELECT no FROM versions
        WHERE no NOT IN (SELECT version FROM nodes WHERE version IS NOT NULL)
        AND no NOT IN (SELECT version FROM retired)
        """,
    ),
    Rule(
        "node_unreachable",
        "a node cannot be reached from the root",
        "node {0}, below {1}",
        """
        WITH RECURSIVE reached (no) AS (
            SELECT no FROM nodes WHERE no = 0 AND parent IS NULL AND name = ''
            UNION ALL SELECT nodes.no FROM nodes JOIN reached ON nodes.parent = reached.no
        ) SELECT no, parent FROM nodes WHERE no NOT IN (SELECT no FROM reached)
        """,
    ),
    Rule(
        "root_missing",
        "there is no root directory",
        "node {0}",
        """
        SELECT 0 WHERE NOT EXISTS (
            SELECT 1 FROM nodes WHERE no = 0 AND parent IS NULL AND name = ''
        )
        """,
    ),
    Rule(
        "node_below_file",
        "a file has a node below it",
        "node {0}",
        """
        SELECT nodes.no FROM nodes JOIN nodes AS above ON above.no = nodes.parent
        WHERE above.version IS NOT NULL
        """,
    ),
    Rule(
        "trashed_unreachable",
        "a node in the trash cannot be reached from its entry's top",
        "node {0}, entry {1}",
        """
        WITH RECURSIVE reached (no, entry) AS (
            SELECT trashed.no, trash.no FROM trashed
            JOIN trash ON trash.node = trashed.no AND trash.no = trashed.trash
            WHERE trashed.parent IS NULL AND NOT forgotten
            UNION ALL SELECT trashed.no, entry FROM trashed
            JOIN reached ON trashed.parent = reached.no AND trashed.trash = entry
        ) SELECT no, trash FROM trashed WHERE no NOT IN (SELECT no FROM reached)
        AND trash IN (SELECT no FROM trash WHERE NOT forgotten)
        """,
    ),
    Rule(
        "node_twice",
        "a node is in the tree and in the trash",
        "node {0}",
        """
        SELECT no FROM trashed WHERE no IN (SELECT no FROM nodes)
        """,
    ),
    Rule(
        "history_without_node",
        "an old version is of a node that is nowhere",
        "node {0}, version {1}",
        """
        SELECT node, version FROM history WHERE node NOT IN (SELECT no FROM nodes)
        AND node NOT IN (SELECT no FROM trashed)
        """,
    ),
    Rule(
        "kept_without_version",
        "the trash or the history has a version that is not there",
        "node {0}, version {1}",
        """
        SELECT no, version FROM trashed
        WHERE version IS NOT NULL AND version NOT IN (SELECT no FROM versions)
        UNION SELECT node, version FROM history WHERE version NOT IN (SELECT no FROM versions)
        """,
    ),
    Rule(
        "belonging_without_node",
        "a lock or property is on a node that is not there",
        "node {0}",
        """
        SELECT node FROM locks WHERE node NOT IN (SELECT no FROM nodes)
        UNION SELECT node FROM properties WHERE node NOT IN (SELECT no FROM nodes)
        """,
    ),
    Rule(
        "packed_ahead",
        "more of the journal is packed than there is",
        "packed up to {0}, the journal ends at {1}",
        """
        SELECT packed.journal, last FROM packed
        JOIN (SELECT max(no) AS last FROM journal) AS newest ON packed.journal > last
        """,
    ),
)
"""Kinds may be read by programs: they stay."""

SHOULD = (
    Rule(
        "replica_suspect",
        "a replica is known to be missing or damaged",
        "pack {0}, store {1}",
        """
        SELECT pack, store FROM replicas JOIN stores ON stores.no = replicas.store
        WHERE replicas.state = 'suspect' AND stores.state <> 'gone'
        AND pack NOT IN (SELECT pack FROM waste WHERE dead_uptime_ns IS NOT NULL)
        """,
    ),
    Rule(
        "replica_of_gone_store",
        "a replica is said to be in a store that is gone",
        "pack {0}, store {1}",
        """
        SELECT pack, store FROM replicas JOIN stores ON stores.no = replicas.store
        WHERE stores.state = 'gone'
        """,
    ),
    Rule(
        "channel_lost",
        "a channel is out of reach for every account, and packs were in it",
        "channel {0}, store {1}: {2} packs",
        """
        SELECT channels.no, channels.store, count(*) FROM channels
        JOIN replicas ON replicas.store = channels.store
        AND replicas.locator LIKE CAST(channels.channel_id AS VARCHAR(20)) || '/%'
        WHERE channels.state = 'lost' GROUP BY channels.no, channels.store
        """,
    ),
    Rule(
        "account_dead",
        "an account is banned or logged out, and counted as a member of channels",
        "account {0}: {1}, {2} channels",
        """
        SELECT accounts.no, accounts.state, count(*) FROM accounts
        JOIN memberships ON memberships.account = accounts.no
        WHERE accounts.state IN ('banned', 'logged out') GROUP BY accounts.no, accounts.state
        """,
    ),
    Rule(
        "intent_without_pack",
        "something was to be sent to Telegram once, and is nowhere",
        "{0} sends",
        """
        SELECT count(*) FROM intents WHERE message IS NULL
        AND intended_ns < :now_ns - 86400000000000
        AND pack_id NOT IN (SELECT pack_id FROM packs) HAVING count(*) > 0
        """,
    ),
    Rule(
        "hold_expired",
        "blocks are held for a save that ended long ago",
        "{0} blocks",
        """
        SELECT count(*) FROM holds WHERE until_ns < :now_ns HAVING count(*) > 0
        """,
    ),
)
"""What maintenance works toward; a running or a killed save may leave some for a while."""
