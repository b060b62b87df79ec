"""Memory for blocks, used again and again.

Blocks come and go in all sizes: left to malloc, what 64 streams let go is worth three
times what they hold, and each fresh page costs more than encrypting it.
"""

import threading
from collections import defaultdict

from tgdav.stores.base import Buffer

ROUND = 256 << 10
"""Slabs have multiples of this many bytes, so that few kinds serve all blocks."""
SMALL = 64 << 10
"""Bytes that malloc deals with well."""


class Slabs:
    """Buffers on loan; up to `keep` bytes of those given back are kept. Any thread.

    One that is never given back is lost to nobody: it goes as any object goes.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._free: defaultdict[int, list[bytearray]] = defaultdict(list)
        self.free_bytes = 0
        """Bytes that nobody uses now."""

    def take(self, size: int) -> memoryview:
        """Exactly `size` bytes of anything."""
        whole = -(-size // ROUND) * ROUND
        with self._lock:
            slab = self._free[whole].pop() if self._free[whole] else None
            self.free_bytes -= whole if slab is not None else 0
        return memoryview(slab if slab is not None else bytearray(whole))[:size]

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
        with self._lock:
            if self.free_bytes + len(slab) <= self._keep:
                self._free[len(slab)].append(slab)
                self.free_bytes += len(slab)
