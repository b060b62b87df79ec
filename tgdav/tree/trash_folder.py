"""The trash as a folder to look into: `.trash`, an entry of it by date and number, its nodes.

Its nodes are not the tree's: the folder and the entries have numbers below 0, what was
deleted has the numbers that it had. Nothing can be changed through it.
"""

import re
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Integer, bindparam, func, select

from tgdav.db import Database
from tgdav.tree import trash
from tgdav.tree.basket import SECOND_NS
from tgdav.tree.nodes import Node
from tgdav.tree.paths import Path
from tgdav.tree.tables import trashed, versions
from tgdav.tree.trash import Entry

NAME = ".trash"
_FOLDER = Node(-1, None, NAME, None, 0, "", "", "", 0, 0)
_LABEL = re.compile(r"(\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d) (\d{10,18})")
_DATE = "%Y-%m-%d %H.%M.%S"

_SELECT = select(
    trashed.c.no,
    trashed.c.parent,
    trashed.c.name,
    trashed.c.version,
    func.coalesce(versions.c.size, 0),
    func.coalesce(versions.c.etag, ""),
    func.coalesce(versions.c.checksum, ""),
    trashed.c.owner,
    trashed.c.created_ns,
    trashed.c.modified_ns,
).outerjoin(versions, versions.c.no == trashed.c.version)
_TOP = _SELECT.where(trashed.c.no == bindparam("of_node", type_=BigInteger))
_PARENT = trashed.c.parent == bindparam("directory", type_=BigInteger)
_CHILD = _SELECT.where(_PARENT, trashed.c.name == bindparam("of_name"))
_CHILDREN = (
    _SELECT.where(_PARENT, trashed.c.name > bindparam("after"))
    .order_by(trashed.c.name)
    .limit(bindparam("most", type_=Integer))
)


class TrashFolder:
    """`.trash` at the top of what a user sees: what was deleted below it. Any thread."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, root: Path, below: Path) -> Node | None:
        """The node that the names `below` lead to from the folder at `root`."""
        if not below:
            return _FOLDER
        said = _number(below[0])
        with self._db.read() as connection:
            entry = trash.find(connection, said) if said is not None else None
            if entry is None or not _is_below(entry, root) or _label(entry) != below[0]:
                return None
            if len(below) == 1:
                return _as_node(entry)
            row = connection.execute(_TOP, {"of_node": entry.node}).one()
            node = Node._make(row)._replace(name=entry.name)
            if below[1] != node.name:
                return None
            for name in below[2:]:
                told = {"directory": node.no, "of_name": name}
                found = connection.execute(_CHILD, told).one_or_none()
                if found is None:
                    return None
                node = Node._make(found)
            return node

    def children(self, root: Path, node: Node, after: str | None, limit: int) -> list[Node]:
        """The next `limit` nodes of a directory that `find` found, by the bytes of their names."""
        with self._db.read() as connection:
            if node.no == _FOLDER.no:
                found = trash.entries(connection, root, _place(after), limit)
                return [_as_node(entry) for entry in found]
            if node.no < 0:
                entry = trash.find(connection, _FOLDER.no - node.no)
                if entry is None or (after or "") >= entry.name:
                    return []
                return [Node._make(connection.execute(_TOP, {"of_node": entry.node}).one())]
            told = {"directory": node.no, "after": after or "", "most": limit}
            return [Node._make(row) for row in connection.execute(_CHILDREN, told)]


def _label(entry: Entry) -> str:
    """A name that sorts as entries do: by date, then by number."""
    date = datetime.fromtimestamp(entry.deleted_ns // SECOND_NS, UTC)
    return f"{date.strftime(_DATE)} {entry.no:010d}"


def _number(label: str) -> int | None:
    found = _LABEL.fullmatch(label)
    return int(found[2]) if found else None


def _place(label: str | None) -> tuple[int, int]:
    """Where in the order of entries the one with this label is."""
    found = _LABEL.fullmatch(label or "")
    if not found:
        return -1, 0
    date = datetime.strptime(found[1], _DATE).replace(tzinfo=UTC)
    return int(date.timestamp()) * SECOND_NS, int(found[2])


def _is_below(entry: Entry, root: Path) -> bool:
    return not root or entry.path.startswith("/" + "/".join(root) + "/")


def _as_node(entry: Entry) -> Node:
    no = _FOLDER.no - entry.no
    deleted_ns = entry.deleted_ns
    return Node(no, None, _label(entry), None, 0, "", "", entry.user, deleted_ns, deleted_ns)
