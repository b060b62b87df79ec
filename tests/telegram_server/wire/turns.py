"""Links take turns at the processor: a step of one, then whatever has become due, then the next.

Without this a burst on many connections is answered before the first answer is sent, and
a client that waits for it has nothing to do meanwhile: both work by turns, not at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """On the event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], bool]] = deque()
        self._is_called = False

    def want(self, step: Callable[[], bool]) -> None:
        """Have `step` called until it says that nothing is left to do."""
        if step not in self._waiting:
            self._waiting.append(step)
            self._call()

    def _call(self) -> None:
        if self._waiting and not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._is_called = False
        step = self._waiting.popleft()
        try:
            if step():
                self._waiting.append(step)
        finally:
            self._call()
