"""fsck: the metadata against itself, and against what the stores list.

Reads and changes nothing. What it finds is told as it is found, so that any number of
findings takes no memory.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from tgdav.blocks.form.draft import Logged
from tgdav.blocks.rows import holdings, lost, staging
from tgdav.blocks.rows.holdings import SPOOL, Owed, StoreOf
from tgdav.blocks.rows.tables import packed
from tgdav.blocks.workshop import Workshop
from tgdav.db import Database
from tgdav.errors import Busy, StoreError
from tgdav.maintenance import inventory, losses
from tgdav.maintenance.course import Course
from tgdav.maintenance.inventory import Difference, Inventory
from tgdav.maintenance.rules import MUST, SHOULD, Rule
from tgdav.tree.tables import journal

SETTLED_S = 600.0
"""How long a pack may be on its way to the stores before that is worth a word."""

SENTENCES = {rule.kind: rule.sentence for rule in MUST + SHOULD} | {
    inventory.MISSING: "a store has not the replica that it should have",
    inventory.TRUNCATED: "a replica has another size than its pack",
    inventory.STRAY: "a store has a replica that no row mentions",
    inventory.UNKNOWN: "a store has a pack of this drive that no row mentions",
    inventory.DOUBLE: "a store has a pack twice",
    "staged_missing": "a staged block is not in the staging log: put its file back if you can",
    "store_ahead": "a store has a journal that is newer than the database",
    "store_unreachable": "a store cannot be read now, so nothing is said of it",
    "pack_short": "a pack has fewer sound replicas than are promised",
    "pack_lost": "no sound replica of a pack is left",
    "file_lost": "a file has bytes that no sound replica has",
}
"""Every kind of finding, and what it means. Programs may read them: they stay."""


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    kind: str
    what: str
    """Which: numbers of rows, or the path of a file."""
    number: int
    """The figure that it is about: the row's number, or how many."""


def fsck(
    workshop: Workshop,
    course: Course | None = None,
    *,
    scan: bool = True,
    clock: Callable[[], int] = time.time_ns,
) -> Iterator[Finding]:
    """Everything that is wrong, as it is found; `scan` asks the stores, too.

    May run beside saves, and beside other jobs. Raises `Stopped`, `DatabaseBusy`,
    `DatabaseError`.
    """
    course = course or Course()
    yield from _broken(workshop.db, MUST, course, clock)
    yield from _staged(workshop)
    with workshop.db.read() as connection:
        stores = holdings.stores_in_use(connection) if scan else []
    for done, store in enumerate(stores):
        course.step(done, len(stores))
        yield from _scanned(workshop, store, course)
    # Last: a store that is asked may notice that it has lost much at once.
    yield from _broken(workshop.db, SHOULD, course, clock)
    yield from _promises(workshop, clock() - int(SETTLED_S * 1e9))


def _broken(
    db: Database, rules: Iterable[Rule], course: Course, clock: Callable[[], int]
) -> Iterator[Finding]:
    for rule in rules:
        course.step()
        yield from broken(db, rule, now_ns=clock())


def broken(db: Database, rule: Rule, now_ns: int = 0) -> Iterator[Finding]:
    """What breaks the rule."""
    with db.read() as connection:
        for row in _rows(connection, rule, now_ns):
            yield Finding(rule.kind, rule.names.format(*row), int(row[0]))


def _staged(workshop: Workshop) -> Iterator[Finding]:
    """What this machine's staging log has not any more; another gateway's only that one sees."""
    after = -1
    while workshop.log:
        with workshop.db.read() as connection:
            page = staging.logged(connection, after)
        for block, logged in page:
            # It may have been packed since the page was read: then it is not staged now.
            if not workshop.log.has(logged) and _is_staged(workshop, block):
                yield _missing(block, logged)
        if not page:
            break
        after = page[-1][0]
    with workshop.db.read() as connection:
        mislaid = lost.all_mislaid(connection)
    for each in mislaid:
        if each.is_lost:
            yield _missing(each.no, each.logged)


def _missing(block: int, logged: Logged) -> Finding:
    return Finding("staged_missing", f"block {block}, log {logged.log}", block)


def _is_staged(workshop: Workshop, block: int) -> bool:
    with workshop.db.read() as connection:
        return staging.sealed(connection, block) is not None


def _rows(connection: Connection, rule: Rule, now_ns: int) -> Iterator[Sequence[int]]:
    told = {"now_ns": now_ns} if ":now_ns" in rule.select else {}
    statement = text(rule.select).execution_options(yield_per=500)
    with connection.execute(statement, told) as rows:
        for row in rows:
            yield tuple(row)


def _promises(workshop: Workshop, settled_ns: int) -> Iterator[Finding]:
    for pack in lost_packs(workshop):
        with workshop.db.read() as connection:
            count = losses.blocks_in(connection, pack.pack)
        yield Finding("pack_lost", f"pack {pack.pack}: {count} blocks", pack.pack)
        for node, path in losses.files(workshop.db, pack.pack):
            yield Finding("file_lost", path, node)
    after, copies = 0, workshop.pool.copies
    while page := _owed(workshop, settled_ns, after):
        after = page[-1].pack
        for pack in page:
            if pack.promised < copies:
                what = f"pack {pack.pack}: {pack.promised} of {copies}"
                yield Finding("pack_short", what, pack.pack)


def lost_packs(workshop: Workshop) -> Iterator[Owed]:
    """The packs of which no store has a sound replica, and somebody needs one."""
    after, is_over = 0, False
    while not is_over:
        with workshop.db.read() as connection:
            page = holdings.lost(connection, after)
        yield from page
        is_over = not page
        after = page[-1].pack if page else after


def _owed(workshop: Workshop, settled_ns: int, after: int) -> list[Owed]:
    with workshop.db.read() as connection:
        return holdings.owed(connection, workshop.pool.copies, settled_ns, after)


def _scanned(workshop: Workshop, store: StoreOf, course: Course) -> Iterator[Finding]:
    if store.kind == SPOOL and not workshop.pool.has(store.no):
        return  # another gateway's: only that one sees it
    try:
        compared = Inventory(workshop, store.no, workshop.pool.store(store.no), course)
        if store.kind != SPOOL:  # what the spool has more is being recorded, or swept
            yield from _strays(workshop, compared)
        yield from map(_told, compared.missing())
    except (StoreError, Busy) as error:
        yield Finding("store_unreachable", f"store {store.no}: {error}", store.no)


def _strays(workshop: Workshop, compared: Inventory) -> Iterator[Finding]:
    yield from map(_told, compared.strays())
    if compared.newest > (known := _journal_end(workshop)):
        what = f"store {compared.no}: up to {compared.newest}, the database ends at {known}"
        yield Finding("store_ahead", what, compared.newest)


def _told(difference: Difference) -> Finding:
    listed = difference.listed
    what = f"store {difference.store}: {listed.locator}, {listed.size} bytes"
    if difference.pack:
        what = f"pack {difference.pack}, {what}"
    return Finding(difference.kind, what, difference.pack)


def _journal_end(workshop: Workshop) -> int:
    """The newest number that the journal has given, as far as the rows tell."""
    with workshop.db.read() as connection:
        last = connection.scalars(select(func.max(journal.c.no))).one()
        gone = connection.scalars(select(func.max(packed.c.journal))).one()
    return max(last or 0, gone or 0)
