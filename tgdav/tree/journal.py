"""What changed in the tree, in the order of the commits, as rows that packs carry away.

A row says enough to make the change again on the tree before it, without this
database: blocks by id, nodes and versions by number. What can be worked out from that
tree (which nodes a deletion takes, how a copy numbers its nodes) is not repeated.
"""

import json
import sqlite3
import time
from collections.abc import Mapping

from sqlalchemy import (
    BigInteger,
    Connection,
    bindparam,
    case,
    exc,
    exists,
    insert,
    null,
    select,
    text,
)

from tgdav.blocks.rows.tables import behind, drive
from tgdav.db.prepared import Prepared
from tgdav.errors import StoresAhead
from tgdav.tree.nodes import Node
from tgdav.tree.tables import journal

Change = Mapping[str, object]
"""Always "did" and, but for users, "node", the number of the node that it was done to; then

* "make": "parent", "name", "owner", "created_ns", "modified_ns"
* "save": the same, and "version" (its number), "etag", "size", "checksum", and "pieces",
  as [block id in hex, bytes] in order; the node is new, or had another version before
* "splice": as "save"; the pieces replace what the version before had from "start" on,
  and zeros would be among them; "size" is that of the whole
* "revert": as "save", with pieces of three: [block id, bytes, offset in the block]
* "copy": "parent", "name", "owner", "created_ns", "source", "deep", "over", "trash"
  and "user";
  the source and (if deep) all below, in the order of their numbers, become "node" and
  those that follow it
* "move": "parent", "name", "over", "trash", "user"
* "delete": "trash", "user"; all below goes with it
* "restore": "trash", "parent", "name": the entry's top is put there, all below as it was
* "forget": no "node", but "trash", a list of entries, and "versions", a list of
  [node, version]: gone for good, with all old versions of the nodes of those entries
* "undo": no "node", but "versions", a list of what a recovery undid, as the content had not
  reached a store, and "files", a list of [node, version, modified_ns]: what had one of
  those, in the tree or in the trash, has this; and is no more, if that is null
* "touch": "created_ns", "modified_ns"
* "user": "name", "password" (its hash), "read_only", "root", "quota", "created_ns"
* "user gone": "name"
* "properties": "set" (name to XML), "remove" (names), "created_ns", "modified_ns"

"user" is who did it. "over" is the number of the node that had the name and went, with
all below, or null.
"trash" is the number of the entry of the trash that keeps what went; null if nothing did,
and where a file took a file's place: the version of that one, if it has any bytes, and its
old versions are then old versions of "node". So is the version that a "save", "splice" or
"revert" replaces.
"""

PAGE_BYTES = 8 << 20
"""About the most that one pack carries of the journal; the rest waits for the next."""

# The drive's one row is hardly ever written, and to read it nobody waits for this.
_TAKE_TURN = text(f"LOCK TABLE {drive.name} IN SHARE ROW EXCLUSIVE MODE")
# Whether anything may be changed is asked by the statement itself: it saves a round trip.
_is_behind = exists().select_from(behind)
_APPEND = Prepared(
    insert(journal).values(
        at_ns=case((_is_behind, null()), else_=bindparam("now_ns", type_=BigInteger)),
        change=bindparam("told"),
    )
)
_AFTER = (
    select(journal.c.no, journal.c.at_ns, journal.c.change)
    .where(journal.c.no > bindparam("after", type_=BigInteger))
    .order_by(journal.c.no)
)


def told(node: Node, *columns: str) -> dict[str, object]:
    """What a change says of its node: the number, and these columns."""
    return {"node": node.no, **{column: getattr(node, column) for column in columns}}


def take_turn(connection: Connection) -> None:
    """Have all who append from now on wait for the end of this transaction.

    As its first statement, all that it reads is what the journal tells up to its own change:
    on PostgreSQL a lock is taken before the snapshot is, and what is serial to the database
    need not be so in the order of commits (postgresql.org/docs: LOCK). SQLite has one writer.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_TAKE_TURN)


def append(connection: Connection, change: Change, *, in_turn: bool = False) -> None:
    """Record the change as part of this transaction: as its last statement.

    From here to the commit no other process appends, so numbers are in the order of
    commits and a reader that has seen one will see none before it appear. As every change
    passes here, none happens that the stores are ahead of: raises `StoresAhead`.
    `in_turn`: this transaction has taken its turn already.
    """
    if not in_turn:
        take_turn(connection)
    line = json.dumps(change, ensure_ascii=False, separators=(",", ":"))
    try:
        _APPEND.run(connection, {"now_ns": time.time_ns(), "told": line})
    except (sqlite3.IntegrityError, exc.IntegrityError) as error:
        raise StoresAhead("the stores are ahead of the database; tgdav status says how") from error


def unpacked(connection: Connection, after: int) -> tuple[int, bytes]:
    """The rows that follow number `after`: the last one's number, and one JSON line each.

    A line is [number, ns since 1970, change]. It ends after about `PAGE_BYTES`; nothing
    new is (`after`, b"").
    """
    lines: list[bytes] = []
    size = 0
    with connection.execute(_AFTER, {"after": after}, execution_options={"yield_per": 500}) as rows:
        for no, at_ns, change in rows:
            lines.append(b"[%d,%d,%s]\n" % (no, at_ns, change.encode()))
            size += len(lines[-1])
            after = no
            if size >= PAGE_BYTES:
                break
    return after, b"".join(lines)
