"""Guessing passwords made slow: for an address, and for a user at an address.

Five tries are free, then each failure doubles the wait, from one second to sixty. A
password that failed before is no new guess of its address: one device with an old
password slows itself, not its household. Knows no user and no HTTP.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tgdav.dav.addresses import household

FREE = 5
LONGEST_S = 60.0
FORGOTTEN_S = 900.0
"""After this long without a failure all tries are free again."""
KEPT = 10_000
"""Addresses and users at addresses that are remembered; the oldest are forgotten."""


class Throttled(Exception):
    """Nothing is tried before `retry_after_s` are over."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"no try for {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Failures:
    count: int = 0
    at_s: float = 0.0
    guess: bytes = b""

    def wait_s(self, now_s: float) -> float:
        if self.count < FREE:
            return 0.0
        wait_s = min(2.0 ** min(self.count - FREE, 10), LONGEST_S)
        return min(wait_s, self.at_s + wait_s - now_s)  # clocks are floats: never more


class Throttle:
    """Failures by address and user. Any thread may call; `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()

    def require_turn(self, address: str, name: str) -> None:
        """Raise `Throttled` unless a password of `name` may be tried from `address` now."""
        now_s = self._clock()
        with self._lock:
            known = (self._failures.get(key) for key in _keys(address, name))
            wait_s = max((each.wait_s(now_s) for each in known if each), default=0.0)
        if wait_s > 0:
            raise Throttled(wait_s)

    def note_failure(self, address: str, name: str, guess: bytes) -> None:
        """`guess`: a digest of what was tried, the same for the same name and password."""
        pair, whole = _keys(address, name)
        with self._lock:
            is_new = self._entry(pair).guess != guess
            self._add(pair, guess)
            if is_new:
                self._add(whole, guess)

    def note_success(self, address: str, name: str) -> None:
        """The user's own failures are forgotten; the address's are not.

        Else whoever has one right password could guess others without end.
        """
        with self._lock:
            self._failures.pop(_keys(address, name)[0], None)

    def _entry(self, key: tuple[str, ...]) -> _Failures:
        entry = self._failures.get(key)
        if entry is None or self._clock() - entry.at_s > FORGOTTEN_S:
            entry = self._failures[key] = _Failures()
        return entry

    def _add(self, key: tuple[str, ...], guess: bytes) -> None:
        entry = self._entry(key)
        entry.count += 1
        entry.at_s = self._clock()
        entry.guess = guess
        self._failures.move_to_end(key)
        while len(self._failures) > KEPT:
            self._failures.popitem(last=False)


def _keys(address: str, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the user at the address, and of the address."""
    at = household(address)
    return (at, name[:64]), (at,)
