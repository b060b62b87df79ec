"""Entries of the tree as rows: found by path, listed by name, added, dated.

A node is found by its directory's number and its name, so whoever holds a number is
not misled when something above is moved. Knows no lock, no version's content.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)

from tgdav.db import Database
from tgdav.db.prepared import Prepared
from tgdav.errors import NotADirectory, NotFound, ParentMissing
from tgdav.tree.paths import Path
from tgdav.tree.tables import ROOT, nodes, versions

STRIDE = 12
"""Names that one statement follows: a JOIN for each; a longer path takes several."""


class Node(NamedTuple):
    """A directory, or a file with the version that its name had when it was read."""

    no: int
    parent: int | None  # None: the root
    name: str
    version: int | None  # None: a directory
    size: int  # bytes; 0 for a directory
    etag: str  # random hex, without quotes; "" for a directory
    checksum: str  # as the client sent it, or ""
    owner: str
    created_ns: int
    modified_ns: int

    @property
    def is_directory(self) -> bool:
        return self.version is None


_OF_NODE = nodes.c.no == bindparam("of_node", type_=BigInteger)
_COLUMNS = (
    nodes.c.no,
    nodes.c.parent,
    nodes.c.name,
    nodes.c.version,
    func.coalesce(versions.c.size, 0),
    func.coalesce(versions.c.etag, ""),
    func.coalesce(versions.c.checksum, ""),
    nodes.c.owner,
    nodes.c.created_ns,
    nodes.c.modified_ns,
)
_CHILDREN = Prepared(
    select(*_COLUMNS)
    .outerjoin(versions, versions.c.no == nodes.c.version)
    .where(
        nodes.c.parent == bindparam("directory", type_=BigInteger),
        nodes.c.name > bindparam("after", type_=nodes.c.name.type),
    )
    .order_by(nodes.c.name)
    .limit(bindparam("most", type_=Integer))
)
_ADD = Prepared(insert(nodes))
_SET_TIMES = (
    update(nodes)
    .where(_OF_NODE)
    .values(created_ns=bindparam("new_created_ns"), modified_ns=bindparam("new_modified_ns"))
)
_SET_VERSION = (
    update(nodes)
    .where(_OF_NODE)
    .values(
        version=bindparam("new_version"),
        owner=bindparam("new_owner"),
        created_ns=bindparam("new_created_ns"),
        modified_ns=bindparam("new_modified_ns"),
    )
)
_NAMES = [f"name_{level}" for level in range(STRIDE)]


def _lineage() -> Select[int]:
    height = literal_column("0", Integer).label("height")
    above = select(nodes.c.no, nodes.c.parent, height).where(_OF_NODE).cte(recursive=True)
    above = above.union_all(
        select(nodes.c.no, nodes.c.parent, above.c.height + 1).join_from(
            above, nodes, nodes.c.no == above.c.parent
        )
    )
    return select(above.c.no).order_by(above.c.height.desc())


_LINEAGE = _lineage()


def plant_root(db: Database) -> None:
    """Make the root, unless the drive has it."""

    def plant(connection: Connection) -> None:
        if not follow(connection, ROOT, ()):
            now_ns = time.time_ns()
            add(connection, Node(ROOT, None, "", None, 0, "", "", "", now_ns, now_ns))

    with db.read() as connection:
        is_there = bool(follow(connection, ROOT, ()))
    if not is_there:
        db.write(plant)


def walk(connection: Connection, path: Path) -> list[Node]:
    """The nodes that the path leads through, from the root down, as far as there are any.

    `end` says whether the path's own node is among them.
    """
    chain = follow(connection, ROOT, path[:STRIDE])
    for done in range(STRIDE, len(path), STRIDE):
        if len(chain) <= done:
            break
        chain += follow(connection, chain[-1].no, path[done : done + STRIDE])[1:]
    return chain


def follow(connection: Connection, top: int, names: Sequence[str]) -> list[Node]:
    """The node numbered `top`, then those that at most `STRIDE` names lead to below it.

    Shorter where a name is missing; empty if there is no such number.
    """
    values: dict[str, object] = dict(zip(_NAMES, names, strict=False))
    values["top"] = top
    rows = _follow(len(names)).rows(connection, values)
    if not rows:
        return []
    row = rows[0]
    parent, top_name, version, size, etag, checksum = row[:6]
    chain = []
    for level, name in enumerate((top_name, *names)):
        no, owner, created_ns, modified_ns = row[6 + 4 * level : 10 + 4 * level]
        if no is None:
            break
        chain.append(Node(no, parent, name, None, 0, "", "", owner, created_ns, modified_ns))
        parent = no
    if version is not None:
        chain[-1] = chain[-1]._replace(version=version, size=size, etag=etag, checksum=checksum)
    return chain


@functools.cache
def _follow(depth: int) -> Prepared:
    """One JOIN for each name: a third of the time of a recursive query.

    Nothing is below a file, so of all nodes on the way at most the last has a version.
    """
    levels = [nodes.alias(f"level_{level}") for level in range(depth + 1)]
    version = func.coalesce(*(level.c.version for level in levels), None)
    columns: list[ColumnElement[Any]] = [levels[0].c.parent, levels[0].c.name]
    columns += [version, versions.c.size, versions.c.etag, versions.c.checksum]
    source: FromClause = levels[0]
    for name, above, level in zip(_NAMES, levels, levels[1:], strict=False):
        is_child = level.c.parent == above.c.no
        is_named = level.c.name == bindparam(name, type_=nodes.c.name.type)
        source = source.outerjoin(level, is_child & is_named)
    source = source.outerjoin(versions, versions.c.no == version)
    for level in levels:
        columns += [level.c.no, level.c.owner, level.c.created_ns, level.c.modified_ns]
    is_top = levels[0].c.no == bindparam("top", type_=BigInteger)
    return Prepared(select(*columns).select_from(source).where(is_top))


def lineage(connection: Connection, node_no: int) -> list[int]:
    """The numbers from the root down to the node; empty if there is no such node."""
    return list(connection.scalars(_LINEAGE, {"of_node": node_no}))


def children(connection: Connection, directory: int, after: str, limit: int) -> list[Node]:
    """At most `limit` nodes of the directory whose names come after `after`, by name."""
    values = {"directory": directory, "after": after, "most": limit}
    return list(map(Node._make, _CHILDREN.rows(connection, values)))


def end(chain: Sequence[Node], path: Path) -> Node | None:
    """The path's own node of the chain that was walked, if there is one."""
    return chain[-1] if len(chain) > len(path) else None


def require_node(chain: Sequence[Node], path: Path) -> Node:
    """The path's own node; raise `NotFound`."""
    if len(chain) <= len(path):
        raise NotFound("no node has this path")
    return chain[-1]


def require_directory(chain: Sequence[Node], path: Path) -> Node:
    """The directory that holds the path's last name, or would.

    Raises `ParentMissing`, and `NotADirectory` where a file has that place.
    """
    if len(chain) < len(path):
        raise ParentMissing("the directory that should hold the node does not exist")
    directory = chain[len(path) - 1]
    if not directory.is_directory:
        raise NotADirectory("the path leads through a file")
    return directory


def add(connection: Connection, node: Node) -> None:
    """Write the row of a new node; its version and directory exist already."""
    _ADD.run(
        connection,
        {
            "no": node.no,
            "parent": node.parent,
            "name": node.name,
            "version": node.version,
            "owner": node.owner,
            "created_ns": node.created_ns,
            "modified_ns": node.modified_ns,
        },
    )


def set_version(connection: Connection, node: Node) -> None:
    """Give the node's row the version, owner and times that `node` has."""
    connection.execute(
        _SET_VERSION,
        {
            "of_node": node.no,
            "new_version": node.version,
            "new_owner": node.owner,
            "new_created_ns": node.created_ns,
            "new_modified_ns": node.modified_ns,
        },
    )


def set_times(
    connection: Connection, node: Node, modified_ns: int | None, created_ns: int | None
) -> Node:
    """Give the node these times (None: as it was); return it so."""
    if modified_ns is None and created_ns is None:
        return node
    dated = node._replace(
        modified_ns=node.modified_ns if modified_ns is None else modified_ns,
        created_ns=node.created_ns if created_ns is None else created_ns,
    )
    connection.execute(
        _SET_TIMES,
        {
            "of_node": node.no,
            "new_created_ns": dated.created_ns,
            "new_modified_ns": dated.modified_ns,
        },
    )
    return dated
