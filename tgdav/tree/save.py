"""One file's content on its way in, from the first byte to the transaction.

Counts bytes against what was announced and what the user may keep. What becomes of
them when they are complete is for `publish` to say; a crash before that leaves what
was there, and after it the new content, whole.
"""

import contextlib
from types import TracebackType
from typing import Self

from tgdav.blocks.form.draft import Draft
from tgdav.errors import BodyIncomplete, TgdavError
from tgdav.stores.base import Buffer
from tgdav.tree.nodes import Node
from tgdav.tree.permit import Check, Permit
from tgdav.tree.publish import Details, Place, Publication, Stretch, Wiring

_ZEROS = bytes(256 << 10)


class Save:
    """The content of a file, or of a stretch of it. Used by one thread, as a context manager.

    Nothing of it can be seen before `publish` returns; leaving without it, or when it
    raised, leaves what was there.
    """

    def __init__(
        self,
        wiring: Wiring,
        place: Place,
        permit: Permit,
        *,
        stretch: Stretch | None,
        announced: int | None,
        check: Check | None,
    ) -> None:
        self._wiring = wiring
        self._place = place
        self._permit = permit
        self._stretch = stretch
        self._check = check
        self._size = 0
        self._gap = stretch.gap if stretch else 0
        wiring.quotas.require(permit.user, self._growth(announced or 0))
        self._writer = wiring.vault.writer(None if announced is None else announced + self._gap)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    @property
    def room(self) -> memoryview:
        """Where the next bytes of the content go, at least one; `filled` says how many did."""
        self._fill_gap()
        return self._writer.room

    def filled(self, count: int) -> None:
        """Take the bytes at the beginning of `room`, which is elsewhere from now on.

        Blocks while too much is under way. Raises `QuotaExceeded`, `StagingFull`,
        `DiskFull`, `StoreError`, `DatabaseBusy`; then the save is void.
        """
        self._count(count)
        self._writer.filled(count)

    def write(self, data: Buffer) -> None:
        """As `filled`, of bytes that lie elsewhere."""
        self._count(len(data))
        self._fill_gap()
        self._writer.write(data)

    def publish(
        self,
        *,
        size_expected: int | None = None,
        checksum: str = "",
        modified_ns: int | None = None,
        created_ns: int | None = None,
    ) -> tuple[Node, bool]:
        """Make the content the file's; return the node, and whether its name is new.

        A node that is replaced keeps its number, so its properties and locks; it counts
        on the quota of who saved it last. Times are now's unless given, but `created_ns`
        stays. Raises `BodyIncomplete`, `QuotaExceeded`, `ParentMissing`, `NotAFile`,
        `Locked`, `Busy`, `DiskFull`, what the check does; and `NotFound` if a stretch
        lost its file.
        """
        if size_expected is not None and self._size != size_expected:
            raise BodyIncomplete(f"{self._size} of {size_expected} bytes came")
        self._fill_gap()
        draft = self._writer.finish()
        try:
            return self._commit(draft, Details(checksum, modified_ns, created_ns))
        except BaseException:
            with contextlib.suppress(TgdavError):  # else they are let go when their time is up
                self._wiring.vault.release(draft)
            raise

    def _commit(self, draft: Draft, details: Details) -> tuple[Node, bool]:
        publication = Publication(
            vault=self._wiring.vault,
            place=self._place,
            permit=self._permit,
            check=self._check,
            draft=draft,
            stretch=self._stretch,
            details=details,
            node_no=self._wiring.node_numbers.take()[0],
            version_no=self._wiring.version_numbers.take()[0],
        )
        with self._wiring.quotas.growing(self._permit.user, self._growth(self._size)):
            return self._wiring.db.write(publication)

    def _count(self, count: int) -> None:
        self._size += count
        self._wiring.quotas.require(self._permit.user, self._growth(self._size))

    def _fill_gap(self) -> None:
        while self._gap:
            zeros = _ZEROS[: self._gap]
            self._writer.write(zeros)
            self._gap -= len(zeros)

    def _growth(self, size: int) -> int:
        """Bytes more that the user keeps once `size` of them are published."""
        node = self._place.node
        if node is None:
            return size
        if self._stretch is not None:
            offset = self._stretch.offset
            size = max(node.size, size + (node.size if offset is None else offset))
        return size - node.size if node.owner == self._permit.user else size
