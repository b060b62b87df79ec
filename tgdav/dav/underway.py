"""Names that are being saved, so that who asks for one too early can wait a moment.

gvfs lets a program go on before it has begun to send the file that was written, and
asks for it 7 ms after it has: a name is never shown without its content, but its
coming can be awaited. Knows this process's saves only.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from tgdav.tree.paths import Path

PATIENCE_S = 1.0
"""Longer than any small save takes, shorter than a person notices."""


class Underway:
    """The paths of running saves. Any thread."""

    def __init__(self) -> None:
        self._saves: Counter[Path] = Counter()
        self._ended = threading.Condition()

    @contextlib.contextmanager
    def saving(self, path: Path) -> Iterator[None]:
        """Let others know of a save of `path` while the block runs."""
        with self._ended:
            self._saves[path] += 1
        try:
            yield
        finally:
            with self._ended:
                self._saves[path] -= 1
                if not self._saves[path]:
                    del self._saves[path]
                    self._ended.notify_all()

    def await_end(self, path: Path) -> bool:
        """Wait for the running saves of `path`; False if none was, or they take too long."""
        if path not in self._saves:
            return False
        with self._ended:
            return self._ended.wait_for(lambda: path not in self._saves, PATIENCE_S)
