"""What was read lately, kept until anybody commits anything. Knows no table.

Most requests ask what the one before asked: who is this user, which node has this path.
While nothing changes the answer is the same, and asking whether anything did costs a
tenth of asking again. Where that cannot be told (PostgreSQL), every read is a new one.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from tgdav.db import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Answers by question, at most `limit` of them. Any thread."""

    def __init__(self, db: Database, limit: int) -> None:
        self._db = db
        self._limit = limit
        self._lock = threading.Lock()
        self._stamp: int | None = None
        self._answers: dict[K, V] = {}

    def get(self, key: K, read: Callable[[], V]) -> V:
        """The answer to `key` as of a moment after this call began.

        `read` looks it up; what it raises comes out of here and is not kept.
        """
        stamp = self._db.stamp()
        if stamp is None:
            return read()
        if stamp == self._stamp:
            try:
                return self._answers[key]
            except KeyError:
                pass
        answer = read()
        self._keep(stamp, key, answer)
        return answer

    def _keep(self, stamp: int, key: K, answer: V) -> None:
        """Keep what was read after `stamp`: if that has changed since, nobody will ask for it."""
        with self._lock:
            if stamp != self._stamp or len(self._answers) >= self._limit:
                # A new dict, as another thread may be looking into the old one.
                self._answers = {}
                self._stamp = stamp
            self._answers[key] = answer
