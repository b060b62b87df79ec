"""Garbage collection in two looks: what nothing names is dropped, late and carefully.

An unreferenced block is condemned; a grace of uptime later it is looked at again and
leaves the index; packs in which no block lies are dropped a grace after that. A pack that
is mostly dead is rewritten. Refuses where anything is not as it should be. A crash leaves
at worst a pack that nothing names, and a store without what was to go: the next run goes on.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, exists, select

from tgdav.blocks.flushing.rewriting import Rewriting
from tgdav.blocks.form.pack import parse_caption
from tgdav.blocks.rows import condemned, uptime, waste
from tgdav.blocks.rows.tables import packs, replicas, stores
from tgdav.blocks.rows.tables import waste as waste_rows
from tgdav.blocks.rows.waste import Wasted
from tgdav.blocks.workshop import Workshop
from tgdav.errors import Busy, CollectionRefused, StoreError
from tgdav.maintenance.turn import turn
from tgdav.stores.base import Locator

NUMBERS = 10_000
"""Numbers of blocks that one step of the first look goes through."""
ACCIDENT = 0.5
"""The share of all sealed bytes above which a collection has to be confirmed."""
HOLDS_S = 86400.0
"""How long after its end a hold is forgotten."""

Step = Callable[[int, int], None]
"""Told how much of how much is done (0: unknown) between two steps; may raise to end it."""


@dataclass(frozen=True, slots=True)
class Graces:
    """How patient gc is."""

    age_s: float = 86400.0
    """How old a block or pack is before gc looks at it."""
    uptime_s: float = 86400.0
    """How long the drive is served between two looks."""
    waste_share: float = 0.5
    """The share of a pack that was collected before it is rewritten."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was done, or would be."""

    is_dry: bool
    condemned_blocks: int
    condemned_bytes: int
    """Sealed; 0 where it was not looked at."""
    collected_blocks: int
    collected_bytes: int
    dropped_packs: int
    dropped_bytes: int
    rewritten_packs: int
    """Packs from which what lives was copied."""


def gc(
    workshop: Workshop,
    step: Step,
    *,
    graces: Graces,
    dry: bool = True,
    yes: bool = False,
    floor: int = 0,
    spend: Callable[[int], None] = lambda size: None,
    require_current: Callable[[], None] = lambda: None,
    now_ns: int | None = None,
) -> Collected:
    """Look at everything once; with `dry` change nothing.

    `floor`: the journal up to this number is in a snapshot, so packs need not carry it.
    `require_current` raises where the stores know more than this database. Raises
    `CollectionRefused` (nothing was changed), `Busy` if another process is at it,
    `Stopped` if it lost the turn, `StoreError`, `DatabaseBusy`, and what `step` does: what
    was done by then is done, and the next run goes on.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    with turn(workshop.db) as check:

        def next_step(done: int, of: int) -> None:
            step(done, of)
            check()

        require_current()
        _require_readable(workshop)
        run = _Run(workshop, next_step, graces, floor, now_ns)
        if dry:
            return run.look()
        run.require_no_accident(yes)
        return run.collect(spend)


class _Run:
    """One run, in one thread, within the lease."""

    def __init__(
        self, workshop: Workshop, step: Step, graces: Graces, floor: int, now_ns: int
    ) -> None:
        self._workshop = workshop
        self._db = workshop.db
        self._step = step
        self._graces = graces
        self._floor = floor
        self._older_ns = now_ns - int(graces.age_s * 1e9)
        self._now_ns = now_ns
        with self._db.read() as connection:
            self._uptime_ns = uptime.read(connection)
        self._due_ns = self._uptime_ns - int(graces.uptime_s * 1e9)

    def look(self) -> Collected:
        """What `collect` would do."""
        with self._db.read() as connection:
            due = condemned.due_in_all(connection, self._due_ns)
        fresh = [size for page in self._unreferenced() for _, size in page]
        going = [pack for pack in self._dead() if self._is_due(pack)]
        return Collected(
            is_dry=True,
            condemned_blocks=len(fresh),
            condemned_bytes=sum(fresh),
            collected_blocks=due.blocks,
            collected_bytes=due.bytes,
            dropped_packs=len(going),
            dropped_bytes=sum(pack.size for pack in going),
            rewritten_packs=sum(1 for _ in self._worth_rewriting()),
        )

    def require_no_accident(self, yes: bool) -> None:
        """Raise `CollectionRefused` if this would take an unlikely share, unless confirmed."""
        with self._db.read() as connection:
            due = condemned.due_in_all(connection, self._due_ns).bytes
            whole = condemned.sealed_bytes(connection)
        if due > ACCIDENT * whole and not yes:
            raise CollectionRefused(
                f"{due} of {whole} bytes would go: that looks like an accident; "
                "tgdav gc --run --yes collects them all the same"
            )

    def collect(self, spend: Callable[[int], None]) -> Collected:
        """The second look, then the first, so that no block gets both in one run."""
        before_ns = self._now_ns - int(HOLDS_S * 1e9)
        self._db.write(partial(condemned.drop_void_holds, before_ns=before_ns))
        blocks, size = self._collect_due()
        fresh_blocks, fresh_size = self._condemn()
        packs_dropped, packs_size = self._drop_dead()
        return Collected(
            is_dry=False,
            condemned_blocks=fresh_blocks,
            condemned_bytes=fresh_size,
            collected_blocks=blocks,
            collected_bytes=size,
            dropped_packs=packs_dropped,
            dropped_bytes=packs_size,
            rewritten_packs=self._rewrite(spend),
        )

    def _collect_due(self) -> tuple[int, int]:
        count = size = after = 0
        while True:
            with self._db.read() as connection:
                page = condemned.due(connection, self._due_ns, after)
            if not page:
                return count, size
            done = self._db.write(partial(condemned.collect, numbers=page))
            count, size, after = count + done.blocks, size + done.bytes, page[-1]
            self._step(count, 0)

    def _condemn(self) -> tuple[int, int]:
        count = size = 0
        for page in self._unreferenced():
            for start in range(0, len(page), 500):
                part = dict(page[start : start + 500])
                done = self._db.write(
                    partial(condemned.condemn, numbers=list(part), uptime_ns=self._uptime_ns)
                )
                count, size = count + done, size + sum(part.values())
        return count, size

    def _unreferenced(self) -> Iterator[list[tuple[int, int]]]:
        """(number, sealed size) of the blocks that may be condemned, in pages."""
        with self._db.read() as connection:
            last = condemned.last(connection)
        for after in range(0, last, NUMBERS):
            with self._db.read() as connection:
                page = condemned.unreferenced(connection, after, after + NUMBERS, self._older_ns)
            self._step(min(after + NUMBERS, last), last)
            if page:
                yield page

    def _drop_dead(self) -> tuple[int, int]:
        count = size = 0
        for pack in self._dead():
            if pack.dead_uptime_ns is None:
                self._db.write(partial(waste.note_dead, pack=pack.no, uptime_ns=self._uptime_ns))
            elif self._is_due(pack) and self._drop(pack):
                count, size = count + 1, size + pack.size
            self._step(count, 0)
        return count, size

    def _dead(self) -> Iterator[Wasted]:
        """Dead packs whose journal nobody needs from them."""
        after = 0
        while True:
            with self._db.read() as connection:
                page = waste.dead(connection, after, self._older_ns)
            for pack in page:
                if self._is_ours(pack) and (pack.heir or not self._carries_journal(pack)):
                    yield pack
            if not page:
                return
            after = page[-1].no

    def _is_due(self, pack: Wasted) -> bool:
        return pack.dead_uptime_ns is not None and pack.dead_uptime_ns <= self._due_ns

    def _drop(self, pack: Wasted) -> bool:
        """Have the stores delete the pack, then forget it; False if it is needed after all."""
        with self._db.read() as connection:
            may_go = waste.may_go(connection, pack.no, self._workshop.pool.copies)
            kept_by = waste.kept_by(connection, pack.no)
        if not may_go:
            return False
        for replica in kept_by:
            self._workshop.pool.store(replica.store).delete([replica.locator])
        self._db.write(partial(waste.forget, pack=pack.no))
        return True

    def _worth_rewriting(self) -> Iterator[Wasted]:
        """Packs of which enough was collected, and in which something is needed still."""
        after = 0
        while True:
            with self._db.read() as connection:
                page = waste.wasted(connection, after, self._graces.waste_share)
                alive = {pack.no for pack in page if waste.live(connection, pack.no, -1)}
            for pack in page:
                if self._is_ours(pack) and (pack.no in alive or self._carries_journal(pack)):
                    yield pack
            if not page:
                return
            after = page[-1].no

    def _rewrite(self, spend: Callable[[int], None]) -> int:
        count = 0
        rewriting = Rewriting(self._workshop, self._floor, spend)
        try:
            for pack in self._worth_rewriting():
                rewriting.copy(pack)
                count += 1
                self._step(count, 0)
            rewriting.close()
        finally:
            rewriting.abandon()
        return count

    def _is_ours(self, pack: Wasted) -> bool:
        """Snapshots and heads have no blocks, and are not garbage."""
        said = parse_caption(pack.caption)
        return said is not None and said.kind == "pack"

    def _carries_journal(self, pack: Wasted) -> bool:
        said = parse_caption(pack.caption)
        return said is not None and said.position > self._floor


_STORES = select(stores.c.no, stores.c.kind).where(
    stores.c.state != "gone", stores.c.kind != "spool"
)
# What a run before this one was about to drop, a store need not have any more.
_is_going = exists().where(
    waste_rows.c.pack == packs.c.no, waste_rows.c.dead_uptime_ns.is_not(None)
)
_NEWEST = (
    select(replicas.c.locator, packs.c.size)
    .join(packs, packs.c.no == replicas.c.pack)
    .where(replicas.c.state == "sound", ~_is_going)
    .order_by(replicas.c.pack.desc())
    .limit(1)
)


def _require_readable(workshop: Workshop) -> None:
    """Raise `CollectionRefused` unless all stores answer and nothing needed is lost."""
    with workshop.db.read() as connection:
        rows = [(store, _newest(connection, store)) for store, _ in connection.execute(_STORES)]
        lost = condemned.lost_packs(connection)
    if lost:
        raise CollectionRefused(f"{lost} packs that files need are in no store: see tgdav fsck")
    for store, newest in rows:
        try:
            _ask(workshop, store, newest)
        except (StoreError, Busy) as error:
            raise CollectionRefused(f"store {store} cannot be asked: {error}") from error


def _newest(connection: Connection, store: int) -> tuple[str, int] | None:
    row = connection.execute(_NEWEST.where(replicas.c.store == store)).one_or_none()
    return row and (row.locator, row.size)


def _ask(workshop: Workshop, store: int, newest: tuple[str, int] | None) -> None:
    at = workshop.pool.store(store)
    if newest is None:
        next(iter(at.scan()), None)
        return
    locator, size = newest
    found = at.probe(Locator(locator))
    if found != size:
        raise StoreError(f"{locator} has {found} bytes and not {size}: see tgdav fsck")


__all__ = ["Collected", "Graces", "Step", "gc"]
