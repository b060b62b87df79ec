"""How long work is watched: by whoever asked for it, and for how long without a move."""

import time
from collections.abc import Callable

from tgdav.errors import StoreBusy

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are done."""


def unseen(_done: int, _total: int) -> None:
    """Nobody watches."""


class Patience:
    """Gives up when a figure has stayed the same for `for_s`. One thread."""

    def __init__(self, for_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._for_s = for_s
        self._clock = clock
        self._figure: object = object()
        self._since = 0.0

    def see(self, figure: object, what: str) -> None:
        """Raises `StoreBusy`, saying `what` does not move."""
        now = self._clock()
        if figure != self._figure:
            self._figure, self._since = figure, now
        elif now - self._since >= self._for_s:
            raise StoreBusy(f"{what}: nothing has moved for {self._for_s:.0f} s")
