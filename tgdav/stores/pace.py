"""How often something may happen: what a stranger, or we ourselves, allow in a span of time.

Of messages, Telegram's real limits are unpublished; staying below what users report costs
nothing, as a pack is one message.
"""

import time
from collections import deque
from collections.abc import Callable


class Pace:
    """At most `most` events in any `span_s`. One thread."""

    def __init__(
        self, most: int, span_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._span_s = span_s
        self._clock = clock
        self._at: deque[float] = deque()

    def wait_s(self) -> float:
        """Seconds until one more is within the bound; 0 if it is now."""
        now = self._clock()
        while self._at and self._at[0] <= now - self._span_s:
            self._at.popleft()
        if len(self._at) < self._most:
            return 0.0
        return self._at[len(self._at) - self._most] + self._span_s - now

    def count(self) -> None:
        """One more has happened."""
        self._at.append(self._clock())
