"""Rows that stand for nothing any more: what repair settles without asking a store.

Each is named after the rule in `rules` that it breaks. What is not here, a person has to
look at.
"""

from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, text

from tgdav.db import Database

PAGE = 1000
"""Rows that one transaction settles; more would keep saves waiting."""


class _Rows(NamedTuple):
    """Rows by their key: which, and what to do with those whose key is in a page."""

    rule: str
    which: str
    settle: str


_SOUND = """
    SELECT pack FROM replicas JOIN stores ON stores.no = replicas.store
    WHERE replicas.state = 'sound' AND stores.state <> 'gone'
"""
_ROWS = (
    _Rows(
        "hold_expired",
        "SELECT hold_id FROM holds WHERE until_ns < :now_ns",
        "DELETE FROM holds WHERE hold_id IN ({page})",
    ),
    # What no row names can never be opened; what lies in a sound pack is there already.
    _Rows(
        "staged_without_block",
        """
        SELECT block FROM staged LEFT JOIN blocks ON blocks.no = staged.block
        WHERE blocks.no IS NULL OR blocks.pack IN ({sound})
        """,
        "DELETE FROM staged WHERE block IN ({page})",
    ),
    # The last that is known of a pack stays: it says where to look.
    _Rows(
        "replica_of_gone_store",
        """
        SELECT pack FROM replicas JOIN stores ON stores.no = replicas.store
        WHERE stores.state = 'gone' AND pack IN ({sound})
        """,
        """
        DELETE FROM replicas WHERE pack IN ({page})
        AND store IN (SELECT no FROM stores WHERE state = 'gone')
        """,
    ),
    # Another login has access hashes of its own, so nothing is lost by forgetting these.
    _Rows(
        "account_dead",
        """
        SELECT account FROM memberships JOIN accounts ON accounts.no = memberships.account
        WHERE accounts.state IN ('banned', 'logged out')
        """,
        "DELETE FROM memberships WHERE account IN ({page})",
    ),
    _Rows(
        "intent_without_pack",
        """
        SELECT pack_id FROM intents WHERE message IS NULL
        AND intended_ns < :now_ns - 86400000000000
        AND pack_id NOT IN (SELECT pack_id FROM packs)
        """,
        "DELETE FROM intents WHERE pack_id IN ({page})",
    ),
    _Rows(
        "version_without_name",
        """
        SELECT no FROM versions
        WHERE no NOT IN (SELECT version FROM nodes WHERE version IS NOT NULL)
        AND no NOT IN (SELECT version FROM retired)
        """,
        "INSERT INTO retired (version, retired_ns) SELECT no, :now_ns FROM ({page}) AS page",
    ),
    _Rows(
        "extent_without_version",
        """
        SELECT version FROM extents WHERE version NOT IN (SELECT no FROM versions)
        AND version NOT IN (SELECT version FROM nodes WHERE version IS NOT NULL)
        AND version NOT IN (SELECT version FROM trashed WHERE version IS NOT NULL)
        AND version NOT IN (SELECT version FROM history)
        """,
        "DELETE FROM extents WHERE version IN ({page})",
    ),
    _Rows(
        "belonging_without_node",
        "SELECT node FROM locks WHERE node NOT IN (SELECT no FROM nodes)",
        "DELETE FROM locks WHERE node IN ({page})",
    ),
    _Rows(
        "belonging_without_node",
        "SELECT node FROM properties WHERE node NOT IN (SELECT no FROM nodes)",
        "DELETE FROM properties WHERE node IN ({page})",
    ),
)


def tidy(db: Database, now_ns: int, *, dry_run: bool = False) -> int:
    """Settle such rows, a page at a time; how many there were."""
    if dry_run:
        with db.read() as connection:
            return sum(_count(connection, rows, now_ns) for rows in _ROWS)
    return sum(_settle(db, rows, now_ns) for rows in _ROWS)


def _count(connection: Connection, rows: _Rows, now_ns: int) -> int:
    # The statements are this module's own.
    which = rows.which.format(sound=_SOUND)
    counted = f"SELECT count(*) FROM ({which}) AS found"  # noqa: S608
    return int(_run(connection, counted, now_ns).scalar_one())


def _settle(db: Database, rows: _Rows, now_ns: int) -> int:
    which = rows.which.format(sound=_SOUND)
    statement = rows.settle.format(page=f"{which} LIMIT {PAGE}")

    def work(connection: Connection) -> int:
        return int(_run(connection, statement, now_ns).rowcount)

    total = 0
    # Whether there are any takes a second where there are a million files: saves do not wait.
    while _has(db, rows, now_ns) and (settled := db.write(work)):
        total += settled
    return total


def _has(db: Database, rows: _Rows, now_ns: int) -> bool:
    which = rows.which.format(sound=_SOUND)
    with db.read() as connection:
        return _run(connection, f"{which} LIMIT 1", now_ns).first() is not None


def _run(connection: Connection, statement: str, now_ns: int) -> CursorResult[Any]:
    told = {"now_ns": now_ns} if ":now_ns" in statement else {}
    return connection.execute(text(statement), told)
