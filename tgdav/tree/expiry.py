"""Versions and entries of the trash that were given up, dropped page by page.

Each page is one short transaction, and every rule of the tree holds after each. A version
is dropped when no node, no entry and no history has it, and a grace after it was let go,
as somebody may be reading it still.
"""

from collections.abc import Callable, Iterator
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
    unsaved,
    versions,
)

PAGE = 1000
"""Rows of one kind that a transaction drops."""
EXTENTS_PAGE = 5000
SMALL = 64 << 20
"""Bytes of a version that is dropped at once with others."""
TOGETHER = 1 << 30
"""Bytes of all versions that are dropped at once: some thousand extents."""

_MOST = bindparam("most", type_=Integer)
_SOME = (
    select(trashed.c.no)
    .join(trash, trash.c.no == trashed.c.trash)
    .where(trash.c.forgotten)
    .order_by(trashed.c.trash, trashed.c.no)
    .limit(_MOST)
)
_NUMBERS = bindparam("numbers", expanding=True, type_=BigInteger)
_DROP_PAGE = (
    delete(history).where(history.c.node.in_(_NUMBERS)),
    delete(trashed_properties).where(trashed_properties.c.node.in_(_NUMBERS)),
    delete(trashed).where(trashed.c.no.in_(_NUMBERS)),
)
_DROP_EMPTY = delete(trash).where(
    trash.c.forgotten, ~exists().select_from(trashed).where(trashed.c.trash == trash.c.no)
)
_OF = {
    table: exists().select_from(table).where(table.c.version == retired.c.version)
    for table in (nodes, trashed, history)
}
# What a recovery is about to give back is somebody's.
_is_former = exists().select_from(unsaved).where(unsaved.c.former == retired.c.version)
_is_named = _OF[nodes] | _OF[trashed] | _OF[history] | _is_former
_GIVEN_UP = (
    select(retired.c.version, versions.c.size)
    .join(versions, versions.c.no == retired.c.version)
    .where(
        retired.c.retired_ns < bindparam("before_ns", type_=BigInteger),
        retired.c.version > bindparam("after", type_=BigInteger),
        ~_is_named,
    )
    .order_by(retired.c.version)
    .limit(_MOST)
)
_VERSION = bindparam("of_version", type_=BigInteger)
_ARE_GIVEN_UP = select(retired.c.version).where(retired.c.version.in_(_NUMBERS), ~_is_named)
_DROP_WHOLE = (
    delete(extents).where(extents.c.version.in_(_NUMBERS)),
    delete(retired).where(retired.c.version.in_(_NUMBERS)),
    delete(versions).where(versions.c.no.in_(_NUMBERS)),
)
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
    while count := db.write(_drop_page):
        dropped += count
        step()
    return dropped


def drop_versions(db: Database, before_ns: int, step: Step) -> int:
    """Drop the versions that nothing has, let go before then; how many."""
    dropped = after = 0
    while True:
        with db.read() as connection:
            told = {"before_ns": before_ns, "after": after, "most": PAGE}
            page = [(no, size) for no, size in connection.execute(_GIVEN_UP, told)]
        if not page:
            return dropped
        for group in _groups(page):
            db.write(partial(_drop_whole, numbers=group))
            step()
        for version in (no for no, size in page if size > SMALL):
            while db.write(partial(_shorten, version=version)):
                step()
        dropped += len(page)
        after = page[-1][0]
        step()


def _groups(page: list[tuple[int, int]]) -> Iterator[list[int]]:
    """The small versions of the page, as many together as one transaction may drop."""
    group: list[int] = []
    total = 0
    for no, size in page:
        if size > SMALL:
            continue
        if total + size > TOGETHER:
            yield group
            group, total = [], 0
        group.append(no)
        total += size
    if group:
        yield group


def _drop_page(connection: Connection) -> int:
    numbers = list(connection.scalars(_SOME, {"most": PAGE}))
    if numbers:
        for statement in _DROP_PAGE:
            connection.execute(statement, {"numbers": numbers})
    connection.execute(_DROP_EMPTY)
    return len(numbers)


def _drop_whole(connection: Connection, numbers: list[int]) -> None:
    found = list(connection.scalars(_ARE_GIVEN_UP, {"numbers": numbers}))
    if found:
        for statement in _DROP_WHOLE:
            connection.execute(statement, {"numbers": found})


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
