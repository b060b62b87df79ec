"""The world's time: the machine's, and as much later as a test wants."""

import time
from datetime import UTC, datetime


class Clock:
    """Flood windows, references, parts and codes all go by it."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead_s

    def date(self) -> datetime:
        """Now, in whole seconds as Telegram tells them."""
        return datetime.fromtimestamp(int(self.now()), UTC)

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds
