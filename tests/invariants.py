"""What must always be true of a database, asserted after tests that write.

Rules 1, 2 and 4 of the design, and what the tree promises of itself. The statements are
written for being read: they look at everything.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tgdav.db import Database

RULES = {
    "an extent names a block that is not recorded": """
        SELECT version, "offset", block FROM extents
        WHERE block NOT IN (SELECT no FROM blocks)
    """,
    "a recorded block is neither staged nor in a pack": """
        SELECT no FROM blocks
        WHERE pack IS NULL AND no NOT IN (SELECT block FROM staged)
    """,
    "a recorded block is in a pack that no store has": """
        SELECT no, pack FROM blocks
        WHERE pack IS NOT NULL AND pack NOT IN (SELECT pack FROM replicas)
    """,
    "an extent does not begin where the one before it ends": """
        SELECT version, "offset", expected FROM (
            SELECT version, "offset", coalesce(
                lag("offset" + size) OVER (PARTITION BY version ORDER BY "offset"), 0
            ) AS expected FROM extents
        ) AS run WHERE "offset" <> expected
    """,
    "the extents of a version are not as long as it is": """
        SELECT no, versions.size, coalesce(sum(extents.size), 0) FROM versions
        LEFT JOIN extents ON extents.version = versions.no
        GROUP BY no, versions.size HAVING versions.size <> coalesce(sum(extents.size), 0)
    """,
    "an extent is empty, or reaches out of its block": """
        SELECT version, "offset" FROM extents JOIN blocks ON blocks.no = extents.block
        WHERE extents.size <= 0 OR block_offset < 0 OR block_offset + extents.size > blocks.size
    """,
    "a name has a version that is not there": """
        SELECT no, version FROM nodes
        WHERE version IS NOT NULL AND version NOT IN (SELECT no FROM versions)
    """,
    "a version has no name and was not retired": """
        SELECT no FROM versions
        WHERE no NOT IN (SELECT version FROM nodes WHERE version IS NOT NULL)
        AND no NOT IN (SELECT version FROM retired)
    """,
    "a node cannot be reached from the root": """
        WITH RECURSIVE reached (no) AS (
            SELECT no FROM nodes WHERE no = 0 AND parent IS NULL AND name = ''
            UNION ALL SELECT nodes.no FROM nodes JOIN reached ON nodes.parent = reached.no
        ) SELECT no, parent FROM nodes WHERE no NOT IN (SELECT no FROM reached)
    """,
    "a file has a node below it": """
        SELECT nodes.no FROM nodes JOIN nodes AS above ON above.no = nodes.parent
        WHERE above.version IS NOT NULL
    """,
    "a node in the trash cannot be reached from its entry's top": """
        WITH RECURSIVE reached (no, entry) AS (
            SELECT trashed.no, trash.no FROM trashed
            JOIN trash ON trash.node = trashed.no AND trash.no = trashed.trash
            WHERE trashed.parent IS NULL AND NOT forgotten
            UNION ALL SELECT trashed.no, entry FROM trashed
            JOIN reached ON trashed.parent = reached.no AND trashed.trash = entry
        ) SELECT no, trash FROM trashed WHERE no NOT IN (SELECT no FROM reached)
        AND trash IN (SELECT no FROM trash WHERE NOT forgotten)
    """,
    "a node is in the tree and in the trash": """
        SELECT no FROM trashed WHERE no IN (SELECT no FROM nodes)
    """,
    "an old version is of a node that is nowhere": """
        SELECT node, version FROM history WHERE node NOT IN (SELECT no FROM nodes)
        AND node NOT IN (SELECT no FROM trashed)
    """,
    "a lock or property is on a node that is not there": """
        SELECT node FROM locks WHERE node NOT IN (SELECT no FROM nodes)
        UNION ALL SELECT node FROM properties WHERE node NOT IN (SELECT no FROM nodes)
    """,
}


def check(db: Database) -> None:
    """Assert every rule, and say all that is wrong."""
    with db.read() as connection:
        broken = {rule: _found(connection, rule) for rule in RULES}
    assert not any(broken.values()), {rule: rows for rule, rows in broken.items() if rows}


def _found(connection: Connection, rule: str) -> Sequence[Any]:
    return connection.execute(text(RULES[rule] + " LIMIT 5")).all()
