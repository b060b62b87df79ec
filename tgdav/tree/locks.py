"""DAV write locks (RFC 4918, 6 and 7), exclusive across all processes on the database.

A lock is granted in the transaction that looks for rivals, and asked about in the
transaction that changes a node. Few nodes are locked, so what is locked below a
directory is found from the locks upward, never by walking the subtree.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.selectable import CTE

from tgdav.db import Database
from tgdav.db.prepared import Prepared
from tgdav.errors import Forbidden, LimitReached, Locked, LockMissing
from tgdav.tree.memo import Memo
from tgdav.tree.nodes import Node, require_directory, walk
from tgdav.tree.paths import Path
from tgdav.tree.permit import Permit
from tgdav.tree.tables import locks, nodes

PlaceFile = Callable[[Connection, Node, str, Permit], Node]
"""Puts an empty file into a directory under a name, in the transaction."""

_NODE = bindparam("of_node", type_=BigInteger)
_VALID = locks.c.until_ns > bindparam("now_ns", type_=BigInteger)
_OF_TOKEN = locks.c.token == bindparam("of_token")
_OF_USER = locks.c.user == bindparam("of_user")


def _climb(columns: Iterable[Column[Any]], *conditions: ColumnElement[bool]) -> CTE:
    """From each lock toward `of_node`: its columns, and `path`, which leads on from `at`.

    The columns are carried along: PostgreSQL, which cannot tell how many rows there
    will be, takes seconds to join thousands of locks to them afterwards.
    """
    slash = literal_column("'/'", Text)
    child = nodes.alias("child")
    seed = (
        select(*columns, nodes.c.parent.label("at"), (slash + nodes.c.name).label("path"))
        .join_from(locks, nodes, nodes.c.no == locks.c.node)
        # Below a file there is nothing: then no lock has to be looked at.
        .where(exists(select(child.c.no).where(child.c.parent == _NODE)), *conditions)
    )
    climb = seed.cte("climb", recursive=True)
    return climb.union_all(
        select(
            *(climb.c[column.name] for column in columns),
            nodes.c.parent,
            slash + nodes.c.name + climb.c.path,
        )
        .join_from(climb, nodes, nodes.c.no == climb.c.at)
        .where(climb.c.at != _NODE)
    )


def _lineage() -> CTE:
    """`of_node` and the nodes above it: (parent, name, height)."""
    height = literal_column("0", Integer).label("height")
    seed = select(nodes.c.parent, nodes.c.name, height).where(nodes.c.no == _NODE)
    lineage = seed.cte("lineage", recursive=True)
    return lineage.union_all(
        select(nodes.c.parent, nodes.c.name, lineage.c.height + 1).join_from(
            lineage, nodes, nodes.c.no == lineage.c.parent
        )
    )


_VALID_ABOVE = _climb(locks.c, _VALID)
_TOKENS_ABOVE = _climb([locks.c.token])
_LINEAGE = _lineage()

_KEPT = Prepared(select(locks.c.token).limit(1))
_ANY = select(locks.c.token).where(_VALID).limit(1)
_COVERING = select(locks).where(
    locks.c.node.in_(bindparam("chain", expanding=True)),
    or_(locks.c.node == _NODE, locks.c.infinite),
    _VALID,
)
_BELOW = select(_VALID_ABOVE).where(_VALID_ABOVE.c.at == _NODE).order_by(_VALID_ABOVE.c.path)
_NAMES = (
    select(_LINEAGE.c.name).where(_LINEAGE.c.parent.is_not(None)).order_by(_LINEAGE.c.height.desc())
)
_COUNT = select(func.count()).select_from(locks).where(_OF_USER)
_GRANT = insert(locks)
_PROLONG = update(locks).where(_OF_TOKEN).values(until_ns=bindparam("new_until_ns"))
_INHERIT = update(locks).where(locks.c.node == _NODE).values(node=bindparam("new_node"))
_REMOVE = delete(locks).where(_OF_TOKEN)
_REMOVE_VOID = delete(locks).where(~_VALID)
_REMOVE_SUBTREE = delete(locks).where(
    or_(
        locks.c.node == _NODE,
        locks.c.token.in_(select(_TOKENS_ABOVE.c.token).where(_TOKENS_ABOVE.c.at == _NODE)),
    )
)


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that was granted, on the node at `path`."""

    token: str
    path: Path
    user: str
    exclusive: bool
    infinite: bool
    owner: str
    until_ns: int


class Locks:
    """The locks of one drive. Any thread may ask."""

    def __init__(self, db: Database, prepare_file: Callable[[], PlaceFile]) -> None:
        """`prepare_file` is called before each transaction that may need a new file."""
        self._db = db
        self._prepare_file = prepare_file
        self._any: Memo[tuple[()], bool] = Memo(db, 1)

    def any(self) -> bool:
        """Whether anything is locked: cheap, so worth asking first."""

        def read() -> bool:
            with self._db.read() as connection:
                return are_kept(connection)

        if not self._any.get((), read):
            return False
        with self._db.read() as connection:
            return connection.execute(_ANY, {"now_ns": time.time_ns()}).first() is not None

    def covering(self, path: Path) -> list[Lock]:
        """The locks on the node, and infinite ones above it; the node may be missing."""
        with self._db.read() as connection:
            return _covering(connection, path, walk(connection, path))

    def below(self, path: Path) -> list[Lock]:
        """The locks on nodes inside the directory, at any depth, by path."""
        with self._db.read() as connection:
            chain = walk(connection, path)
            return _below(connection, path, chain[-1].no) if len(chain) > len(path) else []

    def lock(
        self,
        path: Path,
        permit: Permit,
        *,
        exclusive: bool,
        infinite: bool,
        owner: str,
        for_s: float,
        limit: int = 1000,
    ) -> tuple[Lock, bool]:
        """Lock the node for `for_s`; say whether an empty file was made to be locked.

        Raises `Locked` when a lock of anybody, on it, above or below, does not let this
        one in (also when a lock on its directory forbids the new name), `LimitReached`
        beyond `limit` locks of the user, `ParentMissing`, `NotADirectory`. Then nothing
        was changed.
        """
        place_file = self._prepare_file()
        token = uuid.uuid4().urn

        def work(connection: Connection) -> tuple[Lock, bool]:
            now_ns = time.time_ns()
            connection.execute(_REMOVE_VOID, {"now_ns": now_ns})
            until_ns = now_ns + int(for_s * 1e9)
            lock = Lock(token, path, permit.user, exclusive, infinite, owner, until_ns)
            chain = walk(connection, path)
            _refuse_rivals(connection, lock, chain)
            _refuse_too_many(connection, permit.user, limit)
            created = len(chain) <= len(path)
            if created:
                chain.append(_place(connection, path, chain, permit, place_file))
            connection.execute(_GRANT, _columns(lock, chain[-1].no))
            return lock, created

        return self._db.write(work)

    def refresh(self, path: Path, permit: Permit, token: str, for_s: float) -> Lock:
        """Let the lock last `for_s` from now. Raises `LockMissing`, also if another's."""

        def work(connection: Connection) -> Lock:
            lock = _find(connection, path, token)
            if lock.user != permit.user:
                raise LockMissing("this lock is another user's")
            until_ns = time.time_ns() + int(for_s * 1e9)
            connection.execute(_PROLONG, {"of_token": token, "new_until_ns": until_ns})
            return replace(lock, until_ns=until_ns)

        return self._db.write(work)

    def unlock(self, path: Path, permit: Permit, token: str) -> None:
        """Give the lock up. Raises `LockMissing`, and `Forbidden` if it is another's."""

        def work(connection: Connection) -> None:
            if _find(connection, path, token).user != permit.user:
                raise Forbidden("this lock is another user's")
            connection.execute(_REMOVE, {"of_token": token})

        self._db.write(work)


def require_change(connection: Connection, chain: Sequence[int], permit: Permit) -> None:
    """Raise `Locked` unless the permit opens all locks that cover the last node of `chain`.

    `chain` are node numbers from the root down. A name that is made or removed is a
    change of its directory; a node that is removed is changed as well.
    """
    rows = connection.execute(_COVERING, _covering_values(chain, chain[-1])).all()
    if barrier := _barrier(rows, permit):
        raise Locked("a lock covers this node", _path(connection, barrier.node))


def require_subtree(connection: Connection, node_no: int, permit: Permit) -> None:
    """Raise `Locked` unless the permit opens all locks below the node."""
    rows = connection.execute(_BELOW, {"of_node": node_no, "now_ns": time.time_ns()}).all()
    for _, of_node in groupby(rows, key=lambda row: row.node):
        if barrier := _barrier(list(of_node), permit):
            raise Locked("a lock is held below this node", _path(connection, barrier.node))


def are_kept(connection: Connection) -> bool:
    """Whether anything is locked, or was: if not, nothing else here need be asked."""
    return bool(_KEPT.rows(connection, {}))


def inherit(connection: Connection, old: int, new: int) -> None:
    """Have the locks on node `old` lie on `new`, which takes its place."""
    connection.execute(_INHERIT, {"of_node": old, "new_node": new})


def drop_subtree(connection: Connection, node_no: int) -> None:
    """Remove every lock on the node and below it: before it goes, or goes elsewhere."""
    connection.execute(_REMOVE_SUBTREE, {"of_node": node_no})


def _barrier(rows: Sequence[Row[Any]], permit: Permit) -> Row[Any] | None:
    """The lock that stops the permit, of those on one place.

    An exclusive lock is alone on its place, and of shared ones any token will do: one
    that is the permit's own opens them all.
    """
    if any(row.user == permit.user and row.token in permit.tokens for row in rows):
        return None
    return next(iter(rows), None)


def _covering_values(chain: Sequence[int], node_no: int | None) -> dict[str, object]:
    return {"chain": list(chain), "of_node": node_no, "now_ns": time.time_ns()}


def _covering(connection: Connection, path: Path, chain: Sequence[Node]) -> list[Lock]:
    """`chain` is what there is of `path`, from the root."""
    numbers = [node.no for node in chain]
    whole = len(chain) > len(path)
    rows = connection.execute(_COVERING, _covering_values(numbers, numbers[-1] if whole else None))
    return [_lock(row, path[: numbers.index(row.node)]) for row in rows]


def _below(connection: Connection, path: Path, node_no: int) -> list[Lock]:
    rows = connection.execute(_BELOW, {"of_node": node_no, "now_ns": time.time_ns()})
    return [_lock(row, path + tuple(row.path[1:].split("/"))) for row in rows]


def _place(
    connection: Connection,
    path: Path,
    chain: Sequence[Node],
    permit: Permit,
    place_file: PlaceFile,
) -> Node:
    directory = require_directory(chain, path)
    require_change(connection, [node.no for node in chain], permit)
    return place_file(connection, directory, path[-1], permit)


def _refuse_rivals(connection: Connection, lock: Lock, chain: Sequence[Node]) -> None:
    rivals = _covering(connection, lock.path, chain)
    if lock.infinite and len(chain) > len(lock.path):
        rivals += _below(connection, lock.path, chain[-1].no)
    for rival in rivals:
        if lock.exclusive or rival.exclusive:
            raise Locked("a lock is held that lets no other in", rival.path)


def _refuse_too_many(connection: Connection, user: str, limit: int) -> None:
    count = connection.scalars(_COUNT, {"of_user": user}).one()
    if count >= limit:
        raise LimitReached(f"a user holds at most {limit} locks")


def _lock(row: Row[Any], path: Path) -> Lock:
    return Lock(row.token, path, row.user, row.exclusive, row.infinite, row.owner, row.until_ns)


def _columns(lock: Lock, node_no: int) -> dict[str, object]:
    return {
        "token": lock.token,
        "node": node_no,
        "user": lock.user,
        "exclusive": lock.exclusive,
        "infinite": lock.infinite,
        "owner": lock.owner,
        "until_ns": lock.until_ns,
    }


def _find(connection: Connection, path: Path, token: str) -> Lock:
    """The lock with this token, if it covers the path."""
    for lock in _covering(connection, path, walk(connection, path)):
        if lock.token == token:
            return lock
    raise LockMissing("no lock with this token is here")


def _path(connection: Connection, node_no: int) -> Path:
    return tuple(connection.scalars(_NAMES, {"of_node": node_no}))
