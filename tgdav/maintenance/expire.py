"""What was kept for its time, given up: old versions, and what was deleted.

Space comes back afterwards, by gc. Safe beside writers, and again after any break.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tgdav.db import Database
from tgdav.tree import expiry
from tgdav.tree.trash import Trash

DAY_S = 86400.0

Step = Callable[[int, int], None]
"""Told how much of how much is done (0: unknown) between two steps; may raise to end it."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What was given up and dropped."""

    entries: int
    versions: int
    nodes_dropped: int
    versions_dropped: int


def expire(
    db: Database,
    trash: Trash,
    step: Step,
    *,
    keep_s: float,
    grace_s: float = DAY_S,
    now_ns: int | None = None,
) -> Expired:
    """Give up what was replaced or deleted longer than `keep_s` ago, and drop it.

    A version that was let go less than `grace_s` ago stays for those who read it. Raises
    `DatabaseBusy`, `DiskFull`, and what `step` does; what was dropped by then is.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    before_ns = now_ns - int(keep_s * 1e9)
    entries = _all(lambda: trash.forget_older(before_ns), step)
    versions = _all(lambda: trash.forget_versions_older(before_ns), step)
    return Expired(
        entries=entries,
        versions=versions,
        nodes_dropped=expiry.drop_forgotten(db, lambda: step(0, 0)),
        versions_dropped=expiry.drop_versions(db, now_ns - int(grace_s * 1e9), lambda: step(0, 0)),
    )


def _all(page: Callable[[], int], step: Step) -> int:
    """Call `page` until it does nothing more; how much it did in all."""
    done = 0
    while count := page():
        done += count
        step(done, 0)
    return done
