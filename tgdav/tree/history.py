"""What files had before: versions kept for a time, listed, and brought back.

A version with no bytes is not kept: many clients save an empty file and then the real
one. What is kept here counts on nobody's quota. The node's number is all that ties a
version to its file, so a file that was moved, or deleted and restored, keeps its past.
"""

import secrets
import time
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql

from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.tables import blocks
from tgdav.db import Database
from tgdav.db.prepared import Prepared
from tgdav.errors import NotAFile, NotFound
from tgdav.tree import journal, locks, nodes
from tgdav.tree.nodes import Node, require_node, walk
from tgdav.tree.paths import Path
from tgdav.tree.permit import Permit
from tgdav.tree.tables import extents, history, retired, versions

_OF_NODE = history.c.node == bindparam("of_node", type_=BigInteger)

# SQLAlchemy keeps these inserts with PostgreSQL's; SQLite reads them the same.
_retire = postgresql.insert(retired)
_RETIRE = Prepared(
    _retire.on_conflict_do_update(
        index_elements=["version"], set_={"retired_ns": _retire.excluded.retired_ns}
    )
)
_keep_it = postgresql.insert(history)
_KEEP = Prepared(
    _keep_it.on_conflict_do_update(
        index_elements=["node", "version"], set_={"retired_ns": _keep_it.excluded.retired_ns}
    )
)
_HAND_DOWN = (
    postgresql.insert(history)
    .from_select(
        history.c.keys(),
        select(
            bindparam("new_node", type_=BigInteger),
            *(column for column in history.c if column is not history.c.node),
        ).where(_OF_NODE, history.c.version != bindparam("new_version", type_=BigInteger)),
    )
    .on_conflict_do_nothing()
)
_FORGET = delete(history).where(_OF_NODE)
_OF_FILE = (
    select(
        history.c.version,
        versions.c.size,
        versions.c.etag,
        versions.c.checksum,
        history.c.owner,
        history.c.created_ns,
        history.c.modified_ns,
        history.c.retired_ns,
    )
    .join(versions, versions.c.no == history.c.version)
    .where(_OF_NODE)
    .order_by(history.c.retired_ns.desc(), history.c.version.desc())
)
_ADD_VERSION = insert(versions)
_SHARE = insert(extents).from_select(
    extents.c.keys(),
    select(
        bindparam("new_version", type_=BigInteger),
        *(column for column in extents.c if column is not extents.c.version),
    ).where(extents.c.version == bindparam("of_version", type_=BigInteger)),
)
_PIECES = (
    select(blocks.c.block_id, extents.c.size, extents.c.block_offset)
    .join(blocks, blocks.c.no == extents.c.block)
    .where(extents.c.version == bindparam("of_version", type_=BigInteger))
    .order_by(extents.c.offset)
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that a file has, or had before."""

    node: Node
    """The file as it was then."""
    retired_ns: int | None
    """When the next version came; None: it is the newest."""


class History:
    """The kept versions of one drive's files. Any thread may ask."""

    def __init__(self, db: Database, version_numbers: Numbers) -> None:
        self._db = db
        self._version_numbers = version_numbers

    def of(self, path: Path) -> list[Kept]:
        """The file's versions, the newest first. Raises `NotFound`, `NotAFile`."""
        with self._db.read() as connection:
            node = _file(walk(connection, path), path)
            return [Kept(node, None), *_of_file(connection, node)]

    def revert(self, path: Path, version: int, permit: Permit) -> Node:
        """Give the file the content of an old version again, as a new version.

        It has an ETag of its own and the modification time of old; what the file had
        until now is kept like any other. Raises `NotFound`, `NotAFile`, `Locked`.
        """
        number = self._version_numbers.take()[0]

        def work(connection: Connection) -> Node:
            chain = walk(connection, path)
            node = _file(chain, path)
            locks.require_change(connection, [each.no for each in chain], permit)
            found = [kept.node for kept in _of_file(connection, node)]
            old = next((each for each in found if each.version == version), None)
            if old is None:
                raise NotFound(f"the file has no old version {version}")
            return _revert(connection, node, old, number)

        return self._db.write(work)


def supersede(connection: Connection, old: Node, at_ns: int) -> None:
    """Let go of the version that the file `old` has; another one takes its place."""
    _RETIRE.run(connection, {"version": old.version, "retired_ns": at_ns})
    if old.size:
        _keep(connection, old.no, old, at_ns)


def hand_down(connection: Connection, over: Node, node: Node, at_ns: int) -> None:
    """Let the file `node` have the past of the file whose place it takes.

    What it has itself is not past, even if that one had it before.
    """
    told = {"new_node": node.no, "of_node": over.no, "new_version": node.version}
    connection.execute(_HAND_DOWN, told)
    connection.execute(_FORGET, {"of_node": over.no})
    _RETIRE.run(connection, {"version": over.version, "retired_ns": at_ns})
    if over.size and over.version != node.version:
        _keep(connection, node.no, over, at_ns)


def _keep(connection: Connection, node_no: int, old: Node, at_ns: int) -> None:
    row = {"node": node_no, "version": old.version, "owner": old.owner}
    row |= {"created_ns": old.created_ns, "modified_ns": old.modified_ns, "retired_ns": at_ns}
    _KEEP.run(connection, row)


def _file(chain: list[Node], path: Path) -> Node:
    node = require_node(chain, path)
    if node.is_directory:
        raise NotAFile("a directory has no versions")
    return node


def _of_file(connection: Connection, node: Node) -> list[Kept]:
    kept = []
    for row in connection.execute(_OF_FILE, {"of_node": node.no}):
        version, size, etag, checksum, owner, created_ns, modified_ns, retired_ns = row
        was = Node(
            *(node.no, node.parent, node.name, version, size, etag, checksum),
            *(owner, created_ns, modified_ns),
        )
        kept.append(Kept(was, retired_ns))
    return kept


def _revert(connection: Connection, node: Node, old: Node, number: int) -> Node:
    new = node._replace(
        version=number,
        size=old.size,
        etag=secrets.token_hex(16),
        checksum=old.checksum,
        modified_ns=old.modified_ns,
    )
    now_ns = time.time_ns()
    row = {"no": number, "etag": new.etag, "size": new.size, "checksum": new.checksum}
    connection.execute(_ADD_VERSION, row | {"created_ns": now_ns})
    connection.execute(_SHARE, {"new_version": number, "of_version": old.version})
    nodes.set_version(connection, new)
    supersede(connection, node, now_ns)
    told = journal.told(new, *(column for column in Node._fields if column != "no"))
    pieces = connection.execute(_PIECES, {"of_version": number})
    told["pieces"] = [(block_id.hex(), size, offset) for block_id, size, offset in pieces]
    journal.append(connection, {"did": "revert", **told})
    return new
