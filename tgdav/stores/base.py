"""The one Protocol of the program: what a place that keeps packs must do.

A pack is opaque bytes under an id that the caller chose. Its locator is issued
by the store and means something to that store only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NewType, Protocol, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
Locator = NewType("Locator", str)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store can take: data to plan with, never a type check."""

    largest_pack: int
    """Bytes; a larger `put` raises `StoreError`."""
    concurrency: int
    """Calls at once that still make it faster."""
    local: bool
    """True if reading costs no network: caching its bytes on disk is waste."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One replica as `scan` finds it."""

    locator: Locator
    caption: str
    size: int


class Store(Protocol):
    """Keeps packs. Calls block and may come from any thread."""

    limits: Limits

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        """Keep `data`; return only when `read` would find it, even if we die now.

        `caption` (printable ASCII, at most 200 characters) is kept beside the
        bytes so that `scan` can name them. If this raises, the bytes may be there
        all the same: a stray replica. Calling it again with the same `pack_id`
        does not make a second replica. Raises `StoreBusy`, `StoreError`, `DiskFull`.
        """
        ...

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`.

        Raises `ReplicaMissing` if the replica is absent or ends before that,
        `StoreBusy`, `StoreError`.
        """
        ...

    def read_into(self, locator: Locator, offset: int, target: memoryview) -> None:
        """Fill `target` with the bytes from `offset`; raises what `read` raises.

        Memory that was used before costs a third of fresh memory. If this raises, anything
        may be in there.
        """
        ...

    def probe(self, locator: Locator) -> int | None:
        """The replica's size in bytes, or None if it is absent.

        Raises `StoreBusy`, `StoreError` when the store cannot tell: that is never None.
        """
        ...

    def delete(self, locators: Iterable[Locator]) -> None:
        """Forget these replicas; one that is absent is no error."""
        ...

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        """Every replica, lazily, in the order of its keeping.

        May rest between two, about as long as it has taken so far: not for somebody who
        waits. Raises `StoreBusy`, `StoreError`; who scans again begins anew.
        """
        ...

    def close(self) -> None:
        """Wait for running calls, then let go; the store is not used afterwards."""
        ...
