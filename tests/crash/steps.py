"""The durable steps of this process: whatever it does that reaches a disk or a store.

Each is counted, and what a test wants happens right before or right after one of them.
They are caught here, from outside: the product knows nothing of it.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy.engine.default import DefaultDialect

from tgdav.stores.directory import DirectoryStore

FILES = ("rename", "replace", "unlink", "fsync", "mkdir", "link")
WRITES = ("write", "posix_fallocate")
STORES = ("put", "delete")


class Step(NamedTuple):
    """One step, as it is told."""

    number: int
    when: str
    """"before" or "after"."""
    name: str

    def __str__(self) -> str:
        return f"{self.number}, {self.when} {self.name}"


class Steps:
    """Counts; calls `happen` with the step that has this number. Any thread.

    With `writes` each write into a pack counts, too.
    """

    def __init__(
        self, wanted: int, when: str, happen: Callable[[Step], None], *, writes: bool = False
    ) -> None:
        self.names: list[str] = []
        self._wanted = wanted
        self._when = when
        self._happen = happen
        self._writes = writes
        self._counting = threading.Lock()

    def catch(self) -> None:
        """From now on, until this process ends."""
        for name in FILES + (WRITES if self._writes else ()):
            setattr(os, name, self._counted(f"os.{name}", getattr(os, name)))
        os.open = self._counted_if_new(os.open)
        for name in STORES:
            inner = getattr(DirectoryStore, name)
            setattr(DirectoryStore, name, self._counted(f"store.{name}", inner))
        committed = self._counted("commit", DefaultDialect.do_commit)
        DefaultDialect.do_commit = committed  # type: ignore[method-assign]

    def _counted(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*said: Any, **options: Any) -> Any:
            number = self._begun(name)
            try:
                return inner(*said, **options)
            finally:
                self._ended(number, name)

        return counted

    def _counted_if_new(self, inner: Callable[..., int]) -> Callable[..., int]:
        """`os.open`: a step only where it makes a file."""
        making = self._counted("os.open", inner)

        def opened(path: Any, flags: int, *said: Any, **options: Any) -> int:
            return (making if flags & os.O_CREAT else inner)(path, flags, *said, **options)

        return opened

    def _begun(self, name: str) -> int:
        with self._counting:
            self.names.append(name)
            number = len(self.names)
            if number == self._wanted and self._when == "before":
                self._happen(Step(number, self._when, name))
            return number

    def _ended(self, number: int, name: str) -> None:
        if number == self._wanted and self._when == "after":
            self._happen(Step(number, self._when, name))
