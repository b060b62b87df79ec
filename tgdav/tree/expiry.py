"""Versions and entries of the trash that were given up, dropped page by page.

Each page is one short transaction, and every rule of the tree holds after each. A version
is dropped when no node, no entry and no history has it, and a grace after it was let go,
as somebody may be reading it still.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from tgdav.db import Database
from tgdav.tree.tables import (
    extents,
    history,
    nodes,
    retired,
    trash,
    trashed,
    trashed_properties,
    versions,
)

PAGE = 1000
"""Rows of one kind that a transaction drops."""
EXTENTS_PAGE = 5000

_MOST = bindparam("most", type_=Integer)
_ENTRY = bindparam("entry", type_=BigInteger)
_FORGOTTEN = select(trash.c.no).where(trash.c.forgotten).order_by(trash.c.no).limit(1)
_SOME = select(trashed.c.no).where(trashed.c.trash == _ENTRY).limit(_MOST)
_NUMBERS = bindparam("numbers", expanding=True, type_=BigInteger)
_DROP_PAGE = (
    delete(history).where(history.c.node.in_(_NUMBERS)),
    delete(trashed_properties).where(trashed_properties.c.node.in_(_NUMBERS)),
    delete(trashed).where(trashed.c.no.in_(_NUMBERS)),
)
_DROP_ENTRY = delete(trash).where(trash.c.no == _ENTRY)
_OF = {
    table: exists().select_from(table).where(table.c.version == retired.c.version)
    for table in (nodes, trashed, history)
}
_is_named = _OF[nodes] | _OF[trashed] | _OF[history]
_GIVEN_UP = (
    select(retired.c.version)
    .where(
        retired.c.retired_ns < bindparam("before_ns", type_=BigInteger),
        retired.c.version > bindparam("after", type_=BigInteger),
        ~_is_named,
    )
    .order_by(retired.c.version)
    .limit(_MOST)
)
_VERSION = bindparam("of_version", type_=BigInteger)
_IS_GIVEN_UP = select(retired.c.version).where(retired.c.version == _VERSION, ~_is_named)
_CUT = (
    select(extents.c.offset)
    .where(extents.c.version == _VERSION)
    .order_by(extents.c.offset.desc())
    .limit(_MOST)
    .subquery()
)
_WHERE_TO_CUT = select(func.min(_CUT.c.offset))
_SHORTEN = (
    delete(extents).where(
        extents.c.version == _VERSION, extents.c.offset >= bindparam("size", type_=BigInteger)
    ),
    update(versions)
    .where(versions.c.no == _VERSION)
    .values(size=bindparam("size", type_=BigInteger)),
)
_DROP_VERSION = (
    delete(retired).where(retired.c.version == _VERSION),
    delete(versions).where(versions.c.no == _VERSION),
)

Step = Callable[[], None]
"""Called between two transactions; it may raise to end the work there."""


class Dropped(NamedTuple):
    """What is gone for good."""

    nodes: int
    versions: int


def drop_forgotten(db: Database, step: Step) -> int:
    """Drop all nodes of forgotten entries, and the history of these; how many nodes."""
    dropped = 0
    while True:
        with db.read() as connection:
            entry = connection.scalars(_FORGOTTEN).one_or_none()
        if entry is None:
            return dropped
        while count := db.write(partial(_drop_page, entry=entry)):
            dropped += count
            step()
        step()


def drop_versions(db: Database, before_ns: int, step: Step) -> int:
    """Drop the versions that nothing has, let go before then; how many."""
    dropped = after = 0
    while True:
        with db.read() as connection:
            told = {"before_ns": before_ns, "after": after, "most": PAGE}
            page = list(connection.scalars(_GIVEN_UP, told))
        if not page:
            return dropped
        for version in page:
            while db.write(partial(_shorten, version=version)):
                step()
            dropped += 1
        after = page[-1]
        step()


def _drop_page(connection: Connection, entry: int) -> int:
    numbers = list(connection.scalars(_SOME, {"entry": entry, "most": PAGE}))
    if not numbers:
        connection.execute(_DROP_ENTRY, {"entry": entry})
        return 0
    for statement in _DROP_PAGE:
        connection.execute(statement, {"numbers": numbers})
    return len(numbers)


def _shorten(connection: Connection, version: int) -> bool:
    """Drop a version's last extents, or the version when none is left; True if some are.

    A page of them at a time: the version is shorter after each, but whole.
    """
    told = {"of_version": version}
    if connection.scalars(_IS_GIVEN_UP, told).one_or_none() is None:
        return False
    size = connection.scalars(_WHERE_TO_CUT, told | {"most": EXTENTS_PAGE}).one()
    if size is not None:
        for statement in _SHORTEN:
            connection.execute(statement, told | {"size": size})
    if size:
        return True
    for statement in _DROP_VERSION:
        connection.execute(statement, told)
    return False
