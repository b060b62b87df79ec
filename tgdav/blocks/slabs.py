"""Memory for blocks, used again and again.

Blocks come and go in all sizes: left to malloc, what 64 streams let go is worth three
times what they hold, and each fresh page costs more than encrypting it.
"""

import threading

from tgdav.stores.base import Buffer

ROUND = 256 << 10
"""Slabs have multiples of this many bytes, so that few kinds serve all blocks."""
SPARE = 512 << 10
"""By so many bytes a slab may be larger than it need be: fewer are made anew."""
SMALL = 64 << 10
"""Bytes that malloc deals with well."""


class Slabs:
    """Buffers on loan; up to `keep` bytes of those given back are kept. Any thread.

    One that is never given back is lost to nobody: it goes as any object goes.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._free: list[bytearray] = []  # the longest unused first
        self.free_bytes = 0
        """Bytes that nobody uses now."""

    def take(self, size: int) -> memoryview:
        """Exactly `size` bytes of anything."""
        if size <= SMALL:
            return memoryview(bytearray(size))
        whole = -(-size // ROUND) * ROUND
        slab = self._fitting(whole)
        return memoryview(bytearray(whole) if slab is None else slab)[:size]

    def copy(self, data: memoryview) -> Buffer:
        """The same bytes: in a slab, unless they are few."""
        if len(data) <= SMALL:
            return bytes(data)
        loan = self.take(len(data))
        loan[:] = data
        return loan

    def give(self, loan: object) -> None:
        """Take back what `take` returned, which is void from now on; ignore all else."""
        if not isinstance(loan, memoryview) or not isinstance(loan.obj, bytearray):
            return
        slab = loan.obj
        loan.release()
        if len(slab) <= SMALL:
            return
        with self._lock:
            self._free.append(slab)
            self.free_bytes += len(slab)
            while self.free_bytes > self._keep:
                self.free_bytes -= len(self._free.pop(0))

    def _fitting(self, whole: int) -> bytearray | None:
        """The free slab that wastes least, of those the one used last: it is in the caches."""
        with self._lock:
            fitting = [
                (len(slab), -at)
                for at, slab in enumerate(self._free)
                if whole <= len(slab) <= whole + SPARE
            ]
            if not fitting:
                return None
            slab = self._free.pop(-min(fitting)[1])
            self.free_bytes -= len(slab)
            return slab
