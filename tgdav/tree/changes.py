"""Directories made, nodes moved, copied, deleted and dated: each within one transaction.

A function here does all of its change or raises before the commit; its caller gives it
a connection of `Database.write`. What a node contains is never looked at.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, null, update

from tgdav.errors import AlreadyExists, Busy, Forbidden, LimitReached, Misplaced
from tgdav.tree import history, journal, locks, nodes, subtrees
from tgdav.tree.basket import Basket
from tgdav.tree.nodes import Node, end, require_directory, require_node, walk
from tgdav.tree.paths import DEPTH_LIMIT, Path
from tgdav.tree.permit import Check, Permit
from tgdav.tree.tables import NAME
from tgdav.tree.tables import nodes as rows

_OF_NODE = rows.c.no == bindparam("of_node", type_=BigInteger)
_MOVE = (
    update(rows)
    .where(_OF_NODE)
    .values(
        parent=bindparam("new_parent", type_=BigInteger), name=bindparam("new_name", type_=NAME)
    )
)
_DETACH = update(rows).where(_OF_NODE).values(parent=null())


class _Way(NamedTuple):
    """From where to where: nodes from the root down, and what stands at the end."""

    source: Sequence[Node]
    directory: Sequence[Node]
    name: str
    over: Node | None
    target: Path

    @property
    def node(self) -> Node:
        return self.source[-1]

    @property
    def over_no(self) -> int | None:
        return self.over and self.over.no


def make_directory(
    connection: Connection,
    path: Path,
    permit: Permit,
    no: int,
    *,
    modified_ns: int | None,
    check: Check | None,
) -> Node:
    """Make a directory numbered `no`, dated now unless given.

    Its time will not follow what is put into it: all saves of a directory would have to
    write its one row, one after the other, for a figure that clients hardly use.
    Raises `AlreadyExists`, `ParentMissing`, `NotADirectory`, `Locked`, or what `check`
    does with what stands there.
    """
    chain = walk(connection, path)
    node = end(chain, path)
    if check:
        check(node)
    if node is not None:
        raise AlreadyExists("a node has this path already")
    parent = require_directory(chain, path).no
    if locks.are_kept(connection):
        locks.require_change(connection, _numbers(chain), permit)
    now_ns = time.time_ns()
    modified_ns = now_ns if modified_ns is None else modified_ns
    made = Node(no, parent, path[-1], None, 0, "", "", permit.user, now_ns, modified_ns)
    nodes.add(connection, made)
    columns = ("parent", "name", "owner", "created_ns", "modified_ns")
    journal.append(connection, {"did": "make", **journal.told(made, *columns)})
    return made


def touch(
    connection: Connection,
    path: Path,
    permit: Permit,
    modified_ns: int | None,
    created_ns: int | None,
) -> Node:
    """Set the node's times (None: as it is). Raises `NotFound`, `Locked`."""
    chain = walk(connection, path)
    node = require_node(chain, path)
    if locks.are_kept(connection):
        locks.require_change(connection, _numbers(chain), permit)
    node = nodes.set_times(connection, node, modified_ns, created_ns)
    times = journal.told(node, "created_ns", "modified_ns")
    journal.append(connection, {"did": "touch", **times})
    return node


def delete(
    connection: Connection, path: Path, permit: Permit, check: Check | None, basket: Basket
) -> None:
    """Move the node and all below into the trash.

    Raises `NotFound`, `Forbidden` for the root, `Locked`, `DeletionStopped`, or what
    `check` does.
    """
    chain = walk(connection, path)
    node = _require_below_root(chain, path)
    if check:
        check(node)
    if locks.are_kept(connection):
        _require_removal(connection, chain, permit)
        locks.drop_subtree(connection, node.no)
    entry = basket.take(connection, node, path, permit.user)
    journal.append(
        connection, {"did": "delete", "node": node.no, "trash": entry, "user": permit.user}
    )


def move(
    connection: Connection,
    source: Path,
    target: Path,
    permit: Permit,
    basket: Basket,
    *,
    overwrite: bool,
    check: Check | None,
) -> bool:
    """Give the node another place; False if another node had it.

    A file that takes a file's place has from then on that one's old versions, too; what
    else had the place is moved into the trash.

    It keeps its number, and so its properties. Locks on it and below go; those on the
    place stay with the place (RFC 4918, 7.5). `check` looks at the node that moves.
    Raises `NotFound`, `AlreadyExists`, `ParentMissing`, `NotADirectory`, `Misplaced`,
    `Forbidden`, `LimitReached`, `Locked`, `DeletionStopped`.
    """
    way = _way(connection, source, target, overwrite=overwrite, deep=True)
    if check:
        check(way.node)
    if locks.are_kept(connection):
        _require_removal(connection, way.source, permit)
        _require_place(connection, way, permit)
        locks.drop_subtree(connection, way.node.no)
    _clear(connection, way)
    parent = way.directory[-1].no
    connection.execute(_MOVE, {"of_node": way.node.no, "new_parent": parent, "new_name": way.name})
    entry = _succeed(connection, way, way.node, permit, basket)
    moved = journal.told(way.node._replace(parent=parent, name=way.name), "parent", "name")
    journal.append(
        connection,
        {"did": "move", **moved, "over": way.over_no, "trash": entry, "user": permit.user},
    )
    return way.over is None


def copy(
    connection: Connection,
    source: Path,
    target: Path,
    permit: Permit,
    numbers: range,
    basket: Basket,
    *,
    deep: bool,
    overwrite: bool,
    check: Check | None,
) -> bool:
    """Copy the node, with all below if `deep`; False if a node had the place.

    A copy shares the versions, has properties of its own and no locks; locks on the
    place stay. Raises what `move` does, and `Busy` if `numbers` are too few.
    """
    # The journal tells of no node below: whoever replays it copies what is there by then.
    journal.take_turn(connection)
    way = _way(connection, source, target, overwrite=overwrite, deep=deep)
    if check:
        check(way.node)
    if subtrees.measure(connection, way.node.no, deep=deep).nodes > len(numbers):
        raise Busy("the directory grew while it was to be copied", 1.0)
    if locks.are_kept(connection):
        _require_place(connection, way, permit)
    _clear(connection, way)
    made = way.node._replace(
        no=numbers[0],
        parent=way.directory[-1].no,
        name=way.name,
        owner=permit.user,
        created_ns=time.time_ns(),
    )
    subtrees.copy_all(connection, way.node.no, made, deep=deep)
    entry = _succeed(connection, way, made, permit, basket)
    told = journal.told(made, "parent", "name", "owner", "created_ns")
    told |= {"source": way.node.no, "deep": deep, "over": way.over_no}
    told |= {"trash": entry, "user": permit.user}
    journal.append(connection, {"did": "copy", **told}, in_turn=True)
    return way.over is None


def _way(
    connection: Connection, source: Path, target: Path, *, overwrite: bool, deep: bool
) -> _Way:
    source_chain = walk(connection, source)
    node = _require_below_root(source_chain, source)
    chain = walk(connection, target)
    over = end(chain, target)
    if over is not None and over.no in _numbers(source_chain):
        raise Misplaced("a node cannot take its own place, nor that of one above it")
    if deep and node.no in _numbers(chain):
        raise Misplaced("a node cannot be put below itself")
    require_directory(chain, target)
    if over is not None and not overwrite:
        raise AlreadyExists("a node has this path already")
    if deep and node.is_directory and len(target) > len(source):
        depth = len(target) + subtrees.height(connection, node.no)
        if depth > DEPTH_LIMIT:
            raise LimitReached(f"a path has at most {DEPTH_LIMIT} names, not {depth}")
    return _Way(source_chain, chain[: len(target)], target[-1], over, target)


def _require_below_root(chain: Sequence[Node], path: Path) -> Node:
    node = require_node(chain, path)
    if node.parent is None:
        raise Forbidden("the root stays where it is")
    return node


def _require_removal(connection: Connection, chain: Sequence[Node], permit: Permit) -> None:
    """Raise `Locked` unless the permit opens the node, all below, and its directory."""
    numbers = _numbers(chain)
    locks.require_change(connection, numbers, permit)
    locks.require_change(connection, numbers[:-1], permit)
    locks.require_subtree(connection, numbers[-1], permit)


def _require_place(connection: Connection, way: _Way, permit: Permit) -> None:
    if way.over is not None:
        _require_removal(connection, [*way.directory, way.over], permit)
    else:
        locks.require_change(connection, _numbers(way.directory), permit)


def _clear(connection: Connection, way: _Way) -> None:
    """Let another node have the place, while the locks of this one still name it."""
    if way.over is not None:
        connection.execute(_DETACH, {"of_node": way.over.no})


def _succeed(
    connection: Connection, way: _Way, node: Node, permit: Permit, basket: Basket
) -> int | None:
    """Give the node the locks of the one whose place it took, and put that one away.

    Returns the entry of the trash that it became; None where a file lives on as an old
    version of the file.
    """
    over = way.over
    if over is None:
        return None
    if locks.are_kept(connection):
        locks.inherit(connection, over.no, node.no)
        locks.drop_subtree(connection, over.no)
    if over.is_directory or node.is_directory:
        return basket.take(connection, over, way.target, permit.user)
    history.hand_down(connection, over, node, time.time_ns())
    subtrees.delete_alone(connection, over.no)
    return None


def _numbers(chain: Sequence[Node]) -> list[int]:
    return [node.no for node in chain]
