"""How a job runs: how fast, whether it may go on, and who watches.

Jobs work in steps and speak to this between two of them; it knows no job.
"""

import time
from collections.abc import Callable

from tgdav.stores.pace import Pace

Progress = Callable[[int, int], None]
"""How much of how much is done; in what unit, the job says."""

SLICE_S = 0.2
"""How long a job that waits for its allowance does not listen."""


class Stopped(Exception):
    """The job is to end here: its process stops, or somebody paused the jobs."""


def _ignore(*_: object) -> None:
    pass


class Course:
    """One run of one job, in one thread.

    `bytes_per_s` bounds what it reads from stores, 0 does not; `puts`, what it puts into
    distant ones, and runs may share it. `go_on` raises `Stopped` when the job is to end;
    what it has done by then stays done.
    """

    def __init__(
        self,
        bytes_per_s: int = 0,
        *,
        puts: Pace | None = None,
        progress: Progress = _ignore,
        go_on: Callable[[], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._puts = puts
        self._progress = progress
        self._go_on = go_on
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    def step(self, done: int = 0, of: int = 0) -> None:
        """Tell how far it is, and raise `Stopped` if it may go no further."""
        self._progress(done, of)
        self._go_on()

    def spend(self, size: int) -> None:
        """Return when `size` more bytes may be read. Raises `Stopped`."""
        self._go_on()
        if not self._bytes_per_s:
            return
        self._free_at = max(self._free_at, self._clock()) + size / self._bytes_per_s
        while (wait_s := self._free_at - self._clock()) > 0:
            self._sleep(min(wait_s, SLICE_S))
            self._go_on()

    @property
    def may_put(self) -> bool:
        """True if one more pack may be put into a distant store now."""
        return self._puts is None or not self._puts.wait_s()

    def count_put(self) -> None:
        """One was."""
        if self._puts:
            self._puts.count()
