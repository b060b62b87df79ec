"""What was deleted, kept for a time: listed, looked into, restored, forgotten.

An entry is what one deletion took. Its nodes keep their numbers, so their old versions
are theirs when they come back. What is kept here counts on nobody's quota.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)

from tgdav.blocks.rows import index
from tgdav.blocks.rows.numbers import Numbers
from tgdav.db import Database
from tgdav.errors import (
    AlreadyExists,
    Forbidden,
    LimitReached,
    NotADirectory,
    NotFound,
    ParentMissing,
)
from tgdav.tree import journal, locks, nodes, subtrees
from tgdav.tree.basket import Basket
from tgdav.tree.guard import Guard
from tgdav.tree.nodes import Node
from tgdav.tree.paths import DEPTH_LIMIT, Path, parse
from tgdav.tree.permit import Permit
from tgdav.tree.tables import history, trash, trashed, versions

BATCH = 500
"""Entries that one transaction forgets."""

_ENTRY = trash.c.no == bindparam("entry", type_=BigInteger)
_top = trashed.alias("top")
_COLUMNS = (
    trash.c.no,
    trash.c.node,
    trash.c.path,
    trash.c.parent,
    trash.c.user,
    trash.c.deleted_ns,
    _top.c.version.is_(None).label("is_directory"),
)
_ENTRIES = (
    select(*_COLUMNS)
    .join(_top, _top.c.no == trash.c.node)
    .where(
        ~trash.c.forgotten,
        tuple_(trash.c.deleted_ns, trash.c.no)
        > tuple_(bindparam("after_ns", type_=BigInteger), bindparam("after_no", type_=BigInteger)),
    )
    .order_by(trash.c.deleted_ns, trash.c.no)
    .limit(bindparam("most", type_=Integer))
)
# All paths below "/a" begin with "/a/", and "0" is the character that follows the slash.
_ENTRIES_BELOW = _ENTRIES.where(
    trash.c.path >= bindparam("first_path"), trash.c.path < bindparam("end_path")
)
_FIND = select(*_COLUMNS).join(_top, _top.c.no == trash.c.node).where(_ENTRY, ~trash.c.forgotten)
_AMOUNT = (
    select(func.count(), func.coalesce(func.sum(versions.c.size), 0))
    .select_from(trashed.outerjoin(versions, versions.c.no == trashed.c.version))
    .where(trashed.c.trash == bindparam("entry", type_=BigInteger))
)
_DROP = delete(trash).where(_ENTRY)
_KEPT = (
    select(trash.c.no)
    .where(trash.c.no.in_(bindparam("entries", expanding=True)), ~trash.c.forgotten)
    .order_by(trash.c.no)
)
_FORGET = (
    update(trash).where(trash.c.no.in_(bindparam("entries", expanding=True))).values(forgotten=True)
)
_OLD = (
    select(trash.c.no)
    .where(~trash.c.forgotten, trash.c.deleted_ns < bindparam("before_ns", type_=BigInteger))
    .order_by(trash.c.deleted_ns)
    .limit(bindparam("most", type_=Integer))
)
_OLD_VERSIONS = (
    select(history.c.node, history.c.version)
    .where(history.c.retired_ns < bindparam("before_ns", type_=BigInteger))
    .order_by(history.c.retired_ns)
    .limit(bindparam("most", type_=Integer))
)
_FORGET_VERSION = delete(history).where(
    history.c.node == bindparam("of_node", type_=BigInteger),
    history.c.version == bindparam("of_version", type_=BigInteger),
)


def _height() -> Select[int]:
    """How far the farthest node of an entry is below its top."""
    level = literal_column("0", Integer).label("level")
    below = (
        select(trashed.c.no, level)
        .where(trashed.c.no == bindparam("top", type_=BigInteger))
        .cte("below", recursive=True)
    )
    step = select(trashed.c.no, below.c.level + 1)
    below = below.union_all(step.join_from(below, trashed, trashed.c.parent == below.c.no))
    return select(func.max(below.c.level))


_HEIGHT = _height()


class Entry(NamedTuple):
    """What one deletion took."""

    no: int
    node: int
    path: str
    """Where it was, absolute in the drive."""
    parent: int
    user: str
    deleted_ns: int
    is_directory: bool

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Amount(NamedTuple):
    """How much an entry is."""

    nodes: int
    bytes: int


class Trash:
    """The trash of one drive. Any thread may ask."""

    def __init__(self, db: Database, guard: Guard, numbers: Numbers) -> None:
        """An entry's number is one of `numbers`, which are those of nodes."""
        self._db = db
        self._guard = guard
        self._numbers = numbers

    def basket(self) -> Basket:
        """Room for what a transaction may throw away."""
        return Basket(self._numbers.take()[0], self._guard)

    def entries(
        self, below: Path = (), after: Entry | None = None, limit: int = 1000
    ) -> list[Entry]:
        """The next entries that were below this directory, in the order of their deletion."""
        with self._db.read() as connection:
            return entries(
                connection, below, (after.deleted_ns, after.no) if after else (-1, 0), limit
            )

    def amount(self, entry: int) -> Amount:
        """How many nodes and bytes the entry is; looks at each of its nodes."""
        with self._db.read() as connection:
            return Amount(*map(int, connection.execute(_AMOUNT, {"entry": entry}).one()))

    def restore(self, entry: int, permit: Permit, to: Path | None = None) -> Path:
        """Put the entry back whole, where it was or at `to`; return where that is.

        Where it was is its directory by number, so one that was moved meanwhile gets it
        where that is now. Nobody's quota is asked. Raises `NotFound`, `ParentMissing`,
        `NotADirectory`, `AlreadyExists`, `LimitReached`, `Locked`; then nothing changed.
        """
        return self._db.write(lambda connection: _restore(connection, entry, permit, to))

    def forget(self, wanted: Collection[int]) -> int:
        """Give up these entries for good; the number of those that were there.

        Their space comes back by `expire` and gc.
        """
        return sum(
            self._db.write(partial(_forget, wanted=part)) for part in index.batches(wanted, BATCH)
        )

    def forget_older(self, before_ns: int) -> int:
        """Give up a page of what was deleted before then; how much it was, 0 in the end."""

        def work(connection: Connection) -> int:
            told = {"before_ns": before_ns, "most": BATCH}
            return _forget(connection, list(connection.scalars(_OLD, told)))

        return self._db.write(work)

    def forget_versions_older(self, before_ns: int) -> int:
        """Give up a page of versions that were replaced before then; 0 in the end."""

        def work(connection: Connection) -> int:
            told = {"before_ns": before_ns, "most": BATCH}
            found = [(row.node, row.version) for row in connection.execute(_OLD_VERSIONS, told)]
            if found:
                forget_versions(connection, found)
                journal.append(connection, {"did": "forget", "trash": [], "versions": found})
            return len(found)

        return self._db.write(work)


def find(connection: Connection, entry: int) -> Entry | None:
    """The entry, unless it is forgotten."""
    row = connection.execute(_FIND, {"entry": entry}).one_or_none()
    return None if row is None else Entry(*row)


def entries(connection: Connection, below: Path, after: tuple[int, int], limit: int) -> list[Entry]:
    """The next entries after (deletion in ns, number) that were below this directory."""
    values: dict[str, object] = {"after_ns": after[0], "after_no": after[1], "most": limit}
    if not below:
        return [Entry(*row) for row in connection.execute(_ENTRIES, values)]
    path = "/" + "/".join(below)
    values |= {"first_path": path + "/", "end_path": path + "0"}
    return [Entry(*row) for row in connection.execute(_ENTRIES_BELOW, values)]


def forget_entries(connection: Connection, numbers: Sequence[int]) -> None:
    """Put these entries on their way out."""
    for batch in index.batches(numbers):
        connection.execute(_FORGET, {"entries": batch})


def forget_versions(connection: Connection, old: Iterable[Sequence[int]]) -> None:
    """Let go of these old versions, (node, version) each."""
    rows = [{"of_node": node, "of_version": version} for node, version in old]
    if rows:
        connection.execute(_FORGET_VERSION, rows)


def take_out(connection: Connection, no: int, directory: int, name: str) -> None:
    """Give what is in the entry this place in the tree, which is free."""
    subtrees.bring_back(connection, no, directory, name)
    connection.execute(_DROP, {"entry": no})


def _restore(connection: Connection, no: int, permit: Permit, to: Path | None) -> Path:
    entry = find(connection, no)
    if entry is None:
        raise NotFound(f"the trash has no entry {no}")
    chain, name = _place(connection, entry, to)
    directory = chain[-1]
    if not directory.is_directory:
        raise NotADirectory("a file has the path of the directory to put it into")
    if len(nodes.follow(connection, directory.no, (name,))) > 1:
        raise AlreadyExists("another node has this path by now; name another with --to")
    depth = len(chain) + connection.scalars(_HEIGHT, {"top": entry.node}).one()
    if depth > DEPTH_LIMIT:
        raise LimitReached(f"a path has at most {DEPTH_LIMIT} names, not {depth}")
    if locks.are_kept(connection):
        locks.require_change(connection, [each.no for each in chain], permit)
    take_out(connection, no, directory.no, name)
    told = {"node": entry.node, "trash": no, "parent": directory.no, "name": name}
    journal.append(connection, {"did": "restore", **told})
    return (*(each.name for each in chain[1:]), name)


def _place(connection: Connection, entry: Entry, to: Path | None) -> tuple[list[Node], str]:
    """The nodes from the root to the directory that gets the entry, and its name there."""
    if to is not None:
        if not to:
            raise Forbidden("the root stays where it is")
        chain = nodes.walk(connection, to[:-1])
        if len(chain) < len(to):
            raise ParentMissing("the directory that should get it does not exist")
        return chain, to[-1]
    numbers = nodes.lineage(connection, entry.parent)
    if not numbers:
        above = entry.path.rpartition("/")[0]
        chain = nodes.walk(connection, parse(above or "/"))
        if len(chain) <= len(parse(above or "/")):
            raise ParentMissing("its directory is gone; restore that first, or name a path by --to")
        return chain, entry.name
    return [nodes.follow(connection, no, ())[0] for no in numbers], entry.name


def _forget(connection: Connection, wanted: list[int]) -> int:
    found = list(connection.scalars(_KEPT, {"entries": wanted}))
    if found:
        forget_entries(connection, found)
        journal.append(connection, {"did": "forget", "trash": found, "versions": []})
    return len(found)
