"""Latency and bandwidth in virtual time: when a packet is at the other end.

Each line has a clock that says when it is free; a packet takes size / rate of it. Nothing
is slept for here, so a shaped run costs no work, and a late timer costs no bandwidth.
"""

from collections import defaultdict
from collections.abc import Hashable


class Line:
    """One direction of something that carries bytes one after the other."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def carry(self, size: int, bytes_s: float | None, now: float) -> float:
        """When `size` bytes that come up now are through."""
        if not bytes_s:
            return now
        self._free_at = max(now, self._free_at) + size / bytes_s
        return self._free_at


class Shape:
    """The network between the clients and us; by default it is fast without bound.

    The rates hold for each direction of every connection, and of every account's
    connections together.
    """

    def __init__(self) -> None:
        self._latency_s = 0.0
        self._connection_bytes_s: float | None = None
        self._account_bytes_s: float | None = None
        self._accounts: dict[Hashable, Line] = defaultdict(Line)

    def shape(
        self,
        latency_s: float = 0,
        connection_bytes_s: float | None = None,
        account_bytes_s: float | None = None,
    ) -> None:
        """Set all three; `latency_s` is a whole round trip."""
        self._latency_s = latency_s
        self._connection_bytes_s = connection_bytes_s
        self._account_bytes_s = account_bytes_s
        self._accounts.clear()

    def arrival(self, line: Line, account: str | None, way: str, size: int, now: float) -> float:
        """When `size` bytes that are sent now on a connection's `line` have arrived."""
        through = line.carry(size, self._connection_bytes_s, now)
        if account and self._account_bytes_s:
            shared = self._accounts[account, way]
            through = max(through, shared.carry(size, self._account_bytes_s, now))
        return through + self._latency_s / 2
