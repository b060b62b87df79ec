"""One pack gets its promised replicas again, from whatever is sound of it.

Suspect replicas are deleted only when a sound one, in a store or in the spool, outlives
them, and their rows stay until others are there: a crash in between leaves it to the next run.
"""

import mmap
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from tgdav.blocks.form.patchwork import Patchwork
from tgdav.blocks.form.soundness import Read, examine
from tgdav.blocks.rows import holdings, index
from tgdav.blocks.rows.holdings import SPOOL, Held, PackRow
from tgdav.blocks.rows.tables import NO_DIGEST
from tgdav.blocks.workshop import Workshop
from tgdav.disk import told
from tgdav.errors import Busy, DiskFull, PackDamaged, ReplicaMissing, StoreError
from tgdav.maintenance.course import Course
from tgdav.maintenance.turn import turn
from tgdav.stores.pool import Replica

ROUND_S, POLL_S = 70.0, 0.1
"""A round of the delivery is shorter, and the pause between two of them is longer."""
PATIENCE = 3
"""Failures of a store after which a run asks nothing more of it."""


class Mended(NamedTuple):
    """What became of one pack."""

    promised: int
    """Replicas that it has now, sound and to stay."""
    made: int = 0
    """Of these, how many stores had none."""
    replaced: int = 0
    """And how many are in the place of a bad one."""
    is_lost: bool = False
    """True if all replicas were read and none is whole, nor are they together."""
    trouble: str = ""
    """Why it has fewer than promised still, if that is no loss."""


class Mending:
    """Mends packs, one after the other; in one thread.

    `scratch` is a folder on a disk that has room for one pack.
    """

    def __init__(self, workshop: Workshop, scratch: Path, course: Course) -> None:
        self._workshop = workshop
        self._pool = workshop.pool
        self._scratch = scratch
        self._course = course
        self._failures: Counter[int] = Counter()
        self._trouble = ""

    def mend(self, no: int) -> Mended:
        """Give the pack what it lacks. Raises `DatabaseBusy`, `DiskFull`, `Stopped`."""
        with self._workshop.db.read() as connection:
            pack = holdings.pack(connection, no)
        held = self._held(no)
        sound = _promised(held)
        if pack is None:
            return Mended(sound)
        if not pack.size:  # a recovery knows its blocks by name, and no store has any
            return Mended(sound, is_lost=True)
        if not self._bad(held) and not self._free(held):
            return self._without_store(sound)
        with ExitStack() as stack:
            whole = stack.enter_context(self._room(pack.size))
            damaged: list[Read] = []
            is_fetched, unread = self._fetch(pack, held, whole, damaged)
            if not is_fetched:
                if len(damaged) < 2 or not self._is_patched(pack, damaged, whole):
                    return Mended(sound, is_lost=not unread, trouble=unread)
                try:
                    stack.enter_context(self._in_spool(pack, whole))
                except Busy as error:
                    return Mended(sound, trouble=f"its spool: {error}")
            return self._spread(pack, whole)

    def _held(self, no: int) -> list[Held]:
        with self._workshop.db.read() as connection:
            return holdings.held(connection, no)

    def _bad(self, held: list[Held]) -> list[Held]:
        """Those that can be replaced now."""
        return [
            each
            for each in held
            if not each.is_sound and (each.kind == SPOOL or self._takes(each.store))
        ]

    def _free(self, held: list[Held]) -> list[int]:
        """Stores that have nothing of the pack and may get it."""
        present = {each.store for each in held}
        return [no for no in self._pool.numbers() if no not in present and self._takes(no)]

    def _takes(self, no: int) -> bool:
        if not self._pool.is_writable(no) or self._failures[no] >= PATIENCE:
            return False
        if self._pool.is_local(no) or self._course.may_put:
            return True
        self._trouble = "the jobs have put as many packs as they may in an hour"
        return False

    def _without_store(self, sound: int) -> Mended:
        copies = self._pool.copies
        none = f"{copies} replicas are promised, and stores for {sound} are there"
        return Mended(sound, trouble=self._trouble or none if sound < copies else "")

    def _note_failure(self, no: int, error: Exception) -> None:
        self._failures[no] += 1
        self._trouble = f"store {no}: {error}"

    @contextmanager
    def _room(self, size: int) -> Iterator[memoryview]:
        """Memory of `size` bytes that a disk backs, so that the system may take it back."""
        with ExitStack() as stack:
            with told(f"the folder {self._scratch}", StoreError):
                file = stack.enter_context(tempfile.TemporaryFile(dir=self._scratch))
                # Writing into a hole for which the disk has no room would end the process.
                os.posix_fallocate(file.fileno(), 0, size)
                mapped = stack.enter_context(mmap.mmap(file.fileno(), size))
            yield stack.enter_context(memoryview(mapped))

    def _fetch(
        self, pack: PackRow, held: list[Held], whole: memoryview, damaged: list[Read]
    ) -> tuple[bool, str]:
        """Fill `whole` with the pack from the first replica that is; tell of the damaged ones.

        True if that was done; else also why it might be done later, if it might.
        """
        unread = ""
        for each in held:
            if not self._pool.has(each.store) or self._failures[each.store] >= PATIENCE:
                unread = f"store {each.store} is not at hand"
                continue
            try:
                if self._is_whole(pack, self._reading(each.replica, whole)):
                    self._write(partial(index.record_replica, pack=pack.no, replica=each.replica))
                    return True, ""
                damaged.append(self._reading(each.replica))
            except ReplicaMissing:
                pass
            except (StoreError, Busy) as error:
                self._note_failure(each.store, error)
                unread = self._trouble
                continue
            self._write(partial(index.suspect, replica=each.replica))
        return False, unread

    def _is_whole(self, pack: PackRow, read: Read) -> bool:
        try:
            examined = examine(read, pack.size, self._workshop.keys, self._workshop.sealer)
        except PackDamaged:
            return False
        return pack.digest in (NO_DIGEST, examined.digest)

    def _is_patched(self, pack: PackRow, damaged: list[Read], whole: memoryview) -> bool:
        """True if the damaged replicas made one whole pack together."""
        patchwork = Patchwork(self._workshop.keys, self._workshop.sealer, damaged)
        try:
            if not patchwork.fill(whole):
                return False
        except (StoreError, Busy):
            return False
        return self._is_whole(pack, lambda offset, size: bytes(whole[offset : offset + size]))

    @contextmanager
    def _in_spool(self, pack: PackRow, whole: memoryview) -> Iterator[None]:
        """A replica in the spool meanwhile; it stays for the delivery if no store has got one.

        Raises `Busy` if the delivery, which would replace the same replicas, goes on and on.
        """
        spool, backlog = self._workshop.spool, self._workshop.backlog
        with self._undelivered(), spool.receive(pack.pack_id, pack.caption) as sink:
            sink.write(whole)
            kept = Replica(spool.no, sink.keep())
            self._write(partial(index.record_replica, pack=pack.no, replica=kept))
            backlog.add(spooled=pack.size)
            try:
                yield
            finally:
                held = self._held(pack.no)
                if any(each.is_sound and each.kind != SPOOL for each in held):
                    self._write(partial(holdings.forget, pack=pack.no, replica=kept))
                    spool.discard(kept.locator)
                    backlog.add(spooled=-pack.size)

    @contextmanager
    def _undelivered(self) -> Iterator[None]:
        """The turn of who delivers from the spool."""
        give_up = time.monotonic() + ROUND_S
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(turn(self._workshop.db, self._workshop.spool.lease))
                    break
                except Busy:
                    if time.monotonic() > give_up:
                        raise
                self._course.step()
                time.sleep(POLL_S)
            yield

    def _reading(self, replica: Replica, copy: memoryview | None = None) -> Read:
        """Reads of the replica within the allowance; what is read goes into `copy`, too."""
        store = self._pool.store(replica.store)

        def read(offset: int, size: int) -> bytes:
            self._course.spend(size)
            data = store.read(replica.locator, offset, size)
            if copy is not None:
                copy[offset : offset + size] = data
            return data

        return read

    def _spread(self, pack: PackRow, whole: memoryview) -> Mended:
        """Put the pack in place of what is bad, and where it is missing; tidy the spool."""
        held = self._held(pack.no)
        # All that is bad goes before anything comes: a store that has something of this pack
        # and size would keep that, and a copy by reference might refer to it.
        emptied = [each.store for each in self._bad(held) if each.is_promise and self._drop(each)]
        sound, made = _promised(held), 0
        replaced = sum(self._put(pack, whole, no) for no in emptied)
        for no in self._free(held):
            if sound + replaced + made >= self._pool.copies:
                break
            made += self._put(pack, whole, no)
        promised = sound + replaced + made
        if promised >= self._pool.copies:
            self._forget_spooled(pack, held)
            return Mended(promised, made, replaced)
        return self._without_store(promised)._replace(made=made, replaced=replaced)

    def _drop(self, bad: Held) -> bool:
        """True if the store has nothing more of this replica; its row stays."""
        try:
            self._pool.delete(bad.store, [bad.locator])
        except (StoreError, Busy) as error:
            self._note_failure(bad.store, error)
            return False
        return True

    def _put(self, pack: PackRow, whole: memoryview, no: int) -> bool:
        """True if the store, which had nothing of the pack, has it now."""
        self._course.step()
        store = self._pool.store(no)
        try:
            if not store.limits.local:
                self._course.count_put()
            replica = Replica(no, store.put(pack.pack_id, whole, pack.caption))
            # Refused if the store was given up meanwhile.
            self._write(partial(index.record_replica, pack=pack.no, replica=replica))
        except (StoreError, Busy, DiskFull) as error:
            self._note_failure(no, error)
            return False
        return True

    def _forget_spooled(self, pack: PackRow, held: list[Held]) -> None:
        """Let spools go of bad replicas, which no delivery would take; ours of the file, too."""
        for each in held:
            if each.kind == SPOOL and not each.is_sound:
                self._write(partial(holdings.forget, pack=pack.no, replica=each.replica))
                if each.store == self._workshop.spool.no:
                    self._workshop.spool.discard(each.locator)

    def _write(self, work: Callable[[Connection], object]) -> None:
        self._workshop.db.write(work)


def _promised(held: list[Held]) -> int:
    return sum(each.is_promise and each.is_sound for each in held)
