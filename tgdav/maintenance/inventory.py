"""What a store has against what the rows say that it has.

A scan takes its time while packs come and go, and may end early: what looks wrong is
looked at again before it is told, and what was not listed is asked for by name.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tgdav.blocks.form.pack import Caption, parse_caption
from tgdav.blocks.rows import holdings
from tgdav.blocks.rows.holdings import Kept, KnownPack
from tgdav.blocks.rows.index import SOUND, batches
from tgdav.blocks.workshop import Workshop
from tgdav.maintenance.course import Course
from tgdav.stores.base import Listed, Store

LISTED = 200
"""Replicas that are looked up at once."""
DOUBTS = 5000
"""Strays that are kept in mind until they are looked at again."""

MISSING, TRUNCATED = "replica_missing", "replica_truncated"
STRAY, UNKNOWN, DOUBLE = "replica_stray", "pack_unknown", "replica_double"


class Difference(NamedTuple):
    """Where the two disagree."""

    kind: str
    store: int
    pack: int
    """Its number; 0 if no row has it."""
    listed: Listed
    """What the store says, or what the row does if the store says nothing."""


class Inventory:
    """One store, compared once."""

    def __init__(self, workshop: Workshop, no: int, store: Store, course: Course) -> None:
        self._workshop = workshop
        self.no = no
        self._store = store
        self._course = course
        self._seen = _Seen()
        self.newest = 0
        """The journal's furthest position that a caption tells of."""
        self.foreign = 0
        """Objects in the store that are not this drive's."""

    def strays(self) -> Iterator[Difference]:
        """What the store lists and the rows do not, and what has another size there."""
        doubts: list[tuple[Listed, Caption]] = []
        for batch in batches(self._ours(), LISTED):
            self._course.step()
            doubts += [
                each for each, known in self._looked_up(batch) if not self._fits(each, known)
            ]
            if len(doubts) >= DOUBTS:
                yield from self._again(doubts)
                doubts = []
        yield from self._again(doubts)

    def missing(self) -> Iterator[Difference]:
        """What the rows have and the store has not; what `strays` has seen is not asked for."""
        after = 0
        while page := self._page(after):
            after = page[-1].pack
            for kept in page:
                # One that is suspect is a finding already.
                if kept.pack not in self._seen and kept.state == SOUND:
                    self._course.step()
                    yield from self._asked(kept)

    def _ours(self) -> Iterator[tuple[Listed, Caption]]:
        for listed in self._store.scan(newest_first=False):
            said = parse_caption(listed.caption)
            if said is None or said.drive_id != self._workshop.drive.drive_id:
                self.foreign += 1
            else:
                if said.epoch >= self._workshop.drive.epoch:  # else a history that was left
                    self.newest = max(self.newest, said.position)
                yield listed, said

    def _looked_up(
        self, batch: list[tuple[Listed, Caption]]
    ) -> list[tuple[tuple[Listed, Caption], KnownPack | None]]:
        with self._workshop.db.read() as connection:
            known = holdings.known(connection, self.no, {said.pack_id for _, said in batch})
        return [((listed, said), known.get(said.pack_id)) for listed, said in batch]

    def _fits(self, found: tuple[Listed, Caption], known: KnownPack | None) -> bool:
        listed, _ = found
        if known is None or known.locator != listed.locator or known.size != listed.size:
            return False
        self._seen.add(known.no)
        return True

    def _again(self, doubts: list[tuple[Listed, Caption]]) -> Iterator[Difference]:
        for batch in batches(doubts, LISTED):
            for found, known in self._looked_up(batch):
                if self._fits(found, known):
                    continue
                if kind := self._kind(found[0], known):
                    no = known.no if known else 0
                    yield Difference(kind, self.no, no, found[0])

    def _kind(self, listed: Listed, known: KnownPack | None) -> str | None:
        if known is None:
            # One that was deleted meanwhile is nobody's any more.
            return UNKNOWN if self._store.probe(listed.locator) is not None else None
        if known.locator is None:
            # A pack that is in a spool is being put here, and will be recorded or put again.
            return None if known.in_spool else STRAY
        if known.locator != listed.locator:
            return DOUBLE
        self._seen.add(known.no)
        return TRUNCATED

    def _page(self, after: int) -> list[Kept]:
        with self._workshop.db.read() as connection:
            return holdings.of_store(connection, self.no, after)

    def _asked(self, kept: Kept) -> Iterator[Difference]:
        size = self._store.probe(kept.locator)
        if size == kept.size or not self._is_kept_still(kept):
            return
        kind = MISSING if size is None else TRUNCATED
        yield Difference(kind, self.no, kept.pack, Listed(kept.locator, "", size or 0))

    def _is_kept_still(self, kept: Kept) -> bool:
        return any(each.locator == kept.locator for each in self._page(kept.pack - 1)[:1])


class _Seen:
    """Numbers, a bit for each: a million packs take 125 KB."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, no: int) -> None:
        if no // 8 >= len(self._bits):
            self._bits.extend(bytes(no // 8 + 1024 - len(self._bits)))
        self._bits[no // 8] |= 1 << no % 8

    def __contains__(self, no: int) -> bool:
        return no // 8 < len(self._bits) and bool(self._bits[no // 8] & 1 << no % 8)
