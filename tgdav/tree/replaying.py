"""Changes that the journal tells of, made again on the tree before them.

By the same statements that made them first; nothing is asked that was asked then. A
save whose blocks are in no pack never reached the stores. It is made all the same, as
later changes rely on it, and undone in the end: the file has its former version again,
or no name.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, null, select, update

from tgdav.blocks import index, lost
from tgdav.blocks.tables import blocks, packs
from tgdav.errors import DatabaseTooNew
from tgdav.tree import nodes, properties, subtrees
from tgdav.tree.nodes import Node, follow
from tgdav.tree.publish import publish_again
from tgdav.tree.tables import NAME, extents, retired, unsaved, users, versions
from tgdav.tree.tables import nodes as rows

_OF_NODE = rows.c.no == bindparam("of_node")
_MOVE = (
    update(rows)
    .where(_OF_NODE)
    .values(parent=bindparam("new_parent"), name=bindparam("new_name", type_=NAME))
)
_DETACH = update(rows).where(_OF_NODE).values(parent=null())
_DROP_USER = delete(users).where(users.c.name == bindparam("of_name"))
_UNSAVED = select(unsaved).where(unsaved.c.version == bindparam("of_version", type_=BigInteger))
_NOTE_UNSAVED = insert(unsaved)
# Its blocks were lost when it was replayed, and are no more.
_lost = (
    select(extents.c.version)
    .join(blocks, blocks.c.no == extents.c.block)
    .join(packs, packs.c.no == blocks.c.pack)
    .where(packs.c.kind == "lost")
)
_SAVED = delete(unsaved).where(unsaved.c.version.not_in(_lost))
_VERSIONS = (
    select(unsaved.c.version)
    .where(unsaved.c.version > bindparam("after", type_=BigInteger))
    .order_by(unsaved.c.version)
    .limit(bindparam("most"))
)
_NAMES = (
    select(rows.c.no, rows.c.name, unsaved.c.node, unsaved.c.former, unsaved.c.former_ns)
    .join(unsaved, unsaved.c.version == rows.c.version)
    .where(unsaved.c.version == bindparam("of_version", type_=BigInteger))
)
_GIVE_BACK = (
    update(rows)
    .where(_OF_NODE)
    .values(version=bindparam("former"), modified_ns=bindparam("former_ns"))
)
_FORGET = [
    delete(table).where(column == bindparam("of_version", type_=BigInteger))
    for table, column in (
        (extents, extents.c.version),
        (retired, retired.c.version),
        (unsaved, unsaved.c.version),
        (versions, versions.c.no),
    )
]

Change = dict[str, Any]


class Replaying:
    """Makes changes again, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def apply(self, line: bytes) -> None:
        """Make the change of a journal's line. Raises `DatabaseTooNew` for an unknown one."""
        _, _, change = json.loads(line)
        did = _DID.get(change.pop("did"))
        if did is None:
            raise DatabaseTooNew("the journal has a change of a newer tgdav")
        did(self, change)

    def _make(self, change: Change) -> None:
        told = {key: change[key] for key in ("parent", "name", "owner")}
        times = {key: change[key] for key in ("created_ns", "modified_ns")}
        nodes.add(self._connection, Node(change["node"], **told, **times, **_DIRECTORY))

    def _save(self, change: Change) -> None:
        old = self._find(change["node"])
        pieces = [(bytes.fromhex(block_id), size) for block_id, size in change.pop("pieces")]
        start = change.pop("start", None)
        known = index.find(self._connection, {block_id for block_id, _ in pieces})
        base = self._unsaved(old) if old and start is not None else None
        is_kept = base is None and all(block_id in known for block_id, _ in pieces)
        adopted, offset = [], 0
        for block_id, size in pieces:
            no = lost.number_of(self._connection, known, block_id, size)
            adopted.append((offset, size, no, 0))
            offset += size
        new = Node(no=change.pop("node"), **change)
        publish_again(self._connection, new, old, adopted, start)
        if not is_kept:
            self._note(new, old)

    def _note(self, new: Node, old: Node | None) -> None:
        """Note that `new` is to be undone, and what it shall be then."""
        before = self._unsaved(old)
        row = {"version": new.version, "node": new.no, "former": None, "former_ns": 0}
        if before is not None:
            row |= {"former": before.former, "former_ns": before.former_ns}
        elif old is not None:
            row |= {"former": old.version, "former_ns": old.modified_ns}
        self._connection.execute(_NOTE_UNSAVED, row)

    def _unsaved(self, node: Node | None) -> Any:
        if node is None or node.version is None:
            return None
        return self._connection.execute(_UNSAVED, {"of_version": node.version}).one_or_none()

    def _copy(self, change: Change) -> None:
        source = self._find(change["source"])
        if source is None:
            return
        told = {key: change[key] for key in ("parent", "name", "owner", "created_ns")}
        self._clear(change["over"])
        made = source._replace(no=change["node"], **told)
        subtrees.copy_all(self._connection, source.no, made, deep=change["deep"])
        self._drop(change["over"])

    def _move(self, change: Change) -> None:
        self._clear(change["over"])
        place = {"new_parent": change["parent"], "new_name": change["name"]}
        self._connection.execute(_MOVE, {"of_node": change["node"], **place})
        self._drop(change["over"])

    def _delete(self, change: Change) -> None:
        self._drop(change["node"])

    def _touch(self, change: Change) -> None:
        if node := self._find(change["node"]):
            times = change["modified_ns"], change["created_ns"]
            nodes.set_times(self._connection, node, *times)

    def _properties(self, change: Change) -> None:
        self._touch(change)
        if self._find(change["node"]):
            properties.replace(self._connection, change["node"], change["set"], change["remove"])

    def _user(self, change: Change) -> None:
        self._connection.execute(_DROP_USER, {"of_name": change["name"]})
        self._connection.execute(insert(users), change)

    def _user_gone(self, change: Change) -> None:
        self._connection.execute(_DROP_USER, {"of_name": change["name"]})

    def _find(self, no: int) -> Node | None:
        found = follow(self._connection, no, ())
        return found[0] if found else None

    def _clear(self, over: int | None) -> None:
        if over is not None:
            self._connection.execute(_DETACH, {"of_node": over})

    def _drop(self, top: int | None) -> None:
        if top is not None:
            subtrees.delete_all(self._connection, top)


_DIRECTORY: dict[str, Any] = {"version": None, "size": 0, "etag": "", "checksum": ""}
_DID: dict[str, Callable[[Replaying, Change], None]] = {
    "make": Replaying._make,
    "save": Replaying._save,
    "splice": Replaying._save,
    "copy": Replaying._copy,
    "move": Replaying._move,
    "delete": Replaying._delete,
    "touch": Replaying._touch,
    "properties": Replaying._properties,
    "user": Replaying._user,
    "user gone": Replaying._user_gone,
}


def forget_saved(connection: Connection) -> None:
    """Forget of which saves the content has turned up after all."""
    connection.execute(_SAVED)


def undo_unsaved(connection: Connection, after: int, most: int = 100) -> tuple[int, list[str]]:
    """Undo some of the saves whose content is in no pack, those of versions after `after`.

    Returns the last version that was undone (0: there is none left), and the files' names.
    """
    page = connection.scalars(_VERSIONS, {"after": after, "most": most}).all()
    names = [name for version in page for name in _undo(connection, version)]
    return (page[-1] if page else 0), names


def _undo(connection: Connection, version: int) -> Iterator[str]:
    named = connection.execute(_NAMES, {"of_version": version}).all()
    for no, name, node, former, former_ns in named:
        yield name
        if no == node and former is not None:
            told = {"of_node": no, "former": former, "former_ns": former_ns}
            connection.execute(_GIVE_BACK, told)
        else:
            subtrees.delete_all(connection, no)
    for statement in _FORGET:
        connection.execute(statement, {"of_version": version})
