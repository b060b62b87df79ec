"""Waiting for a store that is busy, where nobody else has anything to do meanwhile."""

import time
from collections.abc import Callable
from typing import TypeVar

from tgdav.errors import StoreBusy

T = TypeVar("T")

TRIES = 100
LONGEST_S = 60.0


def patiently(work: Callable[[], T]) -> T:
    """Do `work`, from its start again when a store is busy. Raises `StoreBusy` in the end."""
    for _ in range(TRIES):
        try:
            return work()
        except StoreBusy as busy:
            time.sleep(min(LONGEST_S, busy.retry_after_s))
    return work()
