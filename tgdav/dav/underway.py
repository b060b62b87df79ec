"""Names that are being saved, so that who asks for one too early can wait a moment.

gvfs lets a program go on before it has begun to send the file that was written, and may
ask for it first: a name is never shown without its content, but its coming can be
awaited. Knows this process's saves only.
"""

import contextlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from tgdav.tree.paths import Path

PATIENCE_S = 1.0
"""Longer than any small save takes, shorter than a person notices."""
EXPECTED_S = 60.0
"""How long a save may take to begin, from the moment at which its file was opened."""
EXPECTED_MOST = 1000
"""Names that are expected at once."""


@dataclass(slots=True)
class _Expected:
    until: float
    was_asked: bool = False


class Underway:
    """The paths of running saves, and of those that will begin. Any thread."""

    def __init__(self) -> None:
        self._saves: Counter[Path] = Counter()
        self._expected: OrderedDict[Path, _Expected] = OrderedDict()
        self._ended = threading.Condition()

    def expect(self, path: Path) -> None:
        """Expect a save of a free `path`, whose client asks once more before it writes."""
        with self._ended:
            self._expected[path] = _Expected(time.monotonic() + EXPECTED_S)
            self._expected.move_to_end(path)
            while len(self._expected) > EXPECTED_MOST:
                self._expected.popitem(last=False)

    @contextlib.contextmanager
    def saving(self, path: Path) -> Iterator[None]:
        """Let others know of a save of `path` while the block runs."""
        with self._ended:
            self._saves[path] += 1
            self._expected.pop(path, None)
        try:
            yield
        finally:
            with self._ended:
                self._saves[path] -= 1
                if not self._saves[path]:
                    del self._saves[path]
                    self._ended.notify_all()

    def await_end(self, path: Path) -> bool:
        """Wait for the saves of `path` that run or are expected.

        False if there was none, or they take too long.
        """
        if path not in self._saves and path not in self._expected:
            return False
        with self._ended:
            if path not in self._saves and not self._is_due(path):
                return False
            has_ended = self._ended.wait_for(lambda: not self._is_coming(path), PATIENCE_S)
            # One that did not begin by now was perhaps given up: nobody waits for it again.
            self._expected.pop(path, None)
            return has_ended

    def _is_due(self, path: Path) -> bool:
        """The save may begin any moment: whoever opened the file has asked once more."""
        expected = self._expected.get(path)
        if expected is None or time.monotonic() > expected.until:
            self._expected.pop(path, None)
            return False
        was_asked, expected.was_asked = expected.was_asked, True
        return was_asked

    def _is_coming(self, path: Path) -> bool:
        return path in self._saves or path in self._expected
