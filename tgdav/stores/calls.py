"""A store's running calls: `close` waits for them, and none begins afterwards."""

import contextlib
import threading
from collections.abc import Iterator

from tgdav.errors import StoreError


class Calls:
    """Counts them. Any thread."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._running = 0
        self._is_closed = False

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Around each call, once. Raises `StoreError` if the store is closed."""
        with self._changed:
            if self._is_closed:
                raise StoreError(f"{self._store} is closed")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Return after so long, between two calls, or when the store is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, seconds)

    def close(self) -> None:
        """Let no further call begin; return when those that run have ended."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._running == 0)
