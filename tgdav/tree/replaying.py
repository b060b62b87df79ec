"""Changes that the journal tells of, made again on the tree before them.

By the same statements that made them first; nothing is asked that was asked then. A
save whose blocks are in no pack never reached the stores. It is made all the same, as
later changes rely on it, and undone in the end: the file has its former version again,
or no name. That is a change like any other: what comes after it has seen nothing else.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    exists,
    insert,
    null,
    or_,
    select,
    update,
)

from tgdav.blocks.rows import index, lost
from tgdav.blocks.rows.tables import blocks, packs
from tgdav.errors import DatabaseTooNew
from tgdav.tree import history, journal, nodes, properties, subtrees, trash
from tgdav.tree.basket import throw
from tgdav.tree.nodes import Node, follow
from tgdav.tree.paths import Path
from tgdav.tree.publish import put
from tgdav.tree.tables import (
    NAME,
    extents,
    retired,
    trashed,
    trashed_properties,
    unsaved,
    users,
    versions,
)
from tgdav.tree.tables import history as kept
from tgdav.tree.tables import nodes as rows
from tgdav.tree.tables import trash as entries

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
_has = [exists().where(table.c.version == unsaved.c.version) for table in (rows, trashed, kept)]
_SAVED = delete(unsaved).where(unsaved.c.version.not_in(_lost) | ~or_(*_has))
_VERSIONS = select(unsaved.c.version).order_by(unsaved.c.version)
_GONE = bindparam("gone", expanding=True, type_=BigInteger)


def _naming(table: Table) -> Select[Any]:
    """What has one of the versions, in the tree or in the trash."""
    return (
        select(table.c.no, table.c.name, unsaved.c.node, unsaved.c.former, unsaved.c.former_ns)
        .join(unsaved, unsaved.c.version == table.c.version)
        .where(unsaved.c.version.in_(_GONE))
        .order_by(table.c.no)
    )


def _giving_back(table: Table) -> Update:
    return (
        update(table)
        .where(table.c.no == bindparam("of_node"))
        .values(version=bindparam("former"), modified_ns=bindparam("former_ns"))
    )


_NAMES = [_naming(table) for table in (rows, trashed)]
# A number is in the tree or in the trash, never in both.
_GIVE_BACK = [_giving_back(table) for table in (rows, trashed)]
_KEPT_OF = kept.c.node == bindparam("of_node", type_=BigInteger)
_NEWEST_KEPT = (
    select(kept.c.version, kept.c.modified_ns)
    .where(_KEPT_OF, kept.c.version.not_in(select(unsaved.c.version)))
    .order_by(kept.c.retired_ns.desc(), kept.c.version.desc())
    .limit(1)
)
_FORGET_KEPT = delete(kept).where(_KEPT_OF)
_FORGET_GIVEN = _FORGET_KEPT.where(kept.c.version == bindparam("former", type_=BigInteger))
_EMPTY = (
    delete(trashed_properties).where(trashed_properties.c.node == bindparam("of_node")),
    delete(trashed).where(trashed.c.no == bindparam("of_node")),
    delete(entries).where(entries.c.node == bindparam("of_node")),
)
_in_trash = select(trashed.c.no).where(trashed.c.version.in_(_GONE))
_FORGET = (
    # What has it still was given up: `files` has the rest of the trash.
    delete(trashed_properties).where(trashed_properties.c.node.in_(_in_trash)),
    delete(trashed).where(trashed.c.version.in_(_GONE)),
    update(unsaved).where(unsaved.c.former.in_(_GONE)).values(former=null()),
    *(
        delete(table).where(column.in_(_GONE))
        for table, column in (
            (extents, extents.c.version),
            (kept, kept.c.version),
            (retired, retired.c.version),
            (unsaved, unsaved.c.version),
            (versions, versions.c.no),
        )
    ),
)

Change = dict[str, Any]


class _Placed(NamedTuple):
    """A node, and the path that it has."""

    node: Node
    path: Path


class Replaying:
    """Makes changes again, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._at_ns = 0
        """When the change was made that is made again."""

    def apply(self, line: bytes) -> None:
        """Make the change of a journal's line. Raises `DatabaseTooNew` for an unknown one."""
        _, self._at_ns, change = json.loads(line)
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
        pieces = [(bytes.fromhex(said[0]), *said[1:]) for said in change.pop("pieces")]
        start = change.pop("start", None)
        known = index.find(self._connection, {piece[0] for piece in pieces})
        base = self._unsaved(old) if old and start is not None else None
        is_kept = base is None and all(
            piece[0] in known and known[piece[0]].is_alive for piece in pieces
        )
        adopted, offset = [], 0
        for block_id, size, *block_offset in pieces:
            at = block_offset[0] if block_offset else 0
            no = lost.number_of(self._connection, known, block_id, at + size)
            adopted.append((offset, size, no, at))
            offset += size
        new = Node(no=change.pop("node"), **change)
        put(self._connection, new, old, adopted, start, self._at_ns)
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
        over = self._clear(change["over"])
        made = source._replace(no=change["node"], **told)
        subtrees.copy_all(self._connection, source.no, made, deep=change["deep"])
        self._succeed(over, made, change)

    def _move(self, change: Change) -> None:
        over = self._clear(change["over"])
        place = {"new_parent": change["parent"], "new_name": change["name"]}
        self._connection.execute(_MOVE, {"of_node": change["node"], **place})
        if node := self._find(change["node"]):
            self._succeed(over, node, change)

    def _delete(self, change: Change) -> None:
        if found := self._placed(change["node"]):
            self._throw(found, change)

    def _restore(self, change: Change) -> None:
        trash.take_out(self._connection, change["trash"], change["parent"], change["name"])

    def _forget(self, change: Change) -> None:
        trash.forget_entries(self._connection, change["trash"])
        trash.forget_versions(self._connection, change["versions"])

    def _undo(self, change: Change) -> None:
        _undo(self._connection, change["versions"], change["files"])

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

    def _placed(self, no: int) -> _Placed | None:
        node = self._find(no)
        if node is None:
            return None
        chain = [self._find(each) for each in nodes.lineage(self._connection, no)]
        return _Placed(node, tuple(each.name for each in chain[1:] if each))

    def _clear(self, over: int | None) -> _Placed | None:
        """Let the place of `over` be free; where that was."""
        found = None if over is None else self._placed(over)
        if found:
            self._connection.execute(_DETACH, {"of_node": over})
        return found

    def _succeed(self, over: _Placed | None, node: Node, change: Change) -> None:
        """Put away what had the place of `node`, as `changes` did."""
        if over is None:
            return
        if change["trash"] is not None:
            self._throw(over, change)
            return
        history.hand_down(self._connection, over.node, node, self._at_ns)
        subtrees.delete_alone(self._connection, over.node.no)

    def _throw(self, found: _Placed, change: Change) -> None:
        throw(
            self._connection, change["trash"], found.node, found.path, change["user"], self._at_ns
        )


_DIRECTORY: dict[str, Any] = {"version": None, "size": 0, "etag": "", "checksum": ""}
_DID: dict[str, Callable[[Replaying, Change], None]] = {
    "make": Replaying._make,
    "save": Replaying._save,
    "revert": Replaying._save,
    "splice": Replaying._save,
    "copy": Replaying._copy,
    "move": Replaying._move,
    "delete": Replaying._delete,
    "restore": Replaying._restore,
    "forget": Replaying._forget,
    "undo": Replaying._undo,
    "touch": Replaying._touch,
    "properties": Replaying._properties,
    "user": Replaying._user,
    "user gone": Replaying._user_gone,
}


def forget_saved(connection: Connection) -> None:
    """Forget of which saves the content has turned up after all, or is nobody's any more."""
    connection.execute(_SAVED)


def undo_unsaved(connection: Connection) -> list[str]:
    """Undo every save whose content is in no pack, and journal it; the files' names.

    The journal tells what each file has then: when it is replayed, the content may be there.
    """
    names: list[str] = []
    for page in index.batches(connection.scalars(_VERSIONS).all()):
        files = []
        for no, name, node, former, former_ns in _having(connection, page):
            names.append(name)
            is_told = former is not None and no == node
            files.append((no, *((former, former_ns) if is_told else _newest_kept(connection, no))))
        _undo(connection, page, files)
        journal.append(connection, {"did": "undo", "versions": page, "files": files})
    return names


def _having(connection: Connection, page: list[int]) -> Iterator[Any]:
    for naming in _NAMES:
        yield from connection.execute(naming, {"gone": page}).all()


def _newest_kept(connection: Connection, no: int) -> tuple[int | None, int]:
    """What the file's name had before, and its time; (None, 0) if nothing is kept."""
    found = connection.execute(_NEWEST_KEPT, {"of_node": no}).one_or_none()
    return (found.version, found.modified_ns) if found else (None, 0)


def _undo(
    connection: Connection, gone: Sequence[int], files: Sequence[tuple[int, int | None, int]]
) -> None:
    """Let nothing of these versions be left; `files` have them, and each its former again."""
    for no, former, former_ns in files:
        if former is None:
            _drop(connection, no)
            continue
        told = {"of_node": no, "former": former, "former_ns": former_ns}
        for statement in (*_GIVE_BACK, _FORGET_GIVEN):
            connection.execute(statement, told)
    for statement in _FORGET:
        connection.execute(statement, {"gone": gone})


def _drop(connection: Connection, no: int) -> None:
    """Drop a file and its past from the tree, or from the trash."""
    connection.execute(_FORGET_KEPT, {"of_node": no})
    subtrees.delete_alone(connection, no)
    for statement in _EMPTY:
        connection.execute(statement, {"of_node": no})
