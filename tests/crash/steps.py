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

FILES = (
    *("rename", "replace", "unlink", "mkdir", "link"),
    *("fsync", "fdatasync", "write", "pwrite", "posix_fallocate"),
)
STORES = ("put", "delete")
WRITES = frozenset({"os.write", "os.pwrite", "os.posix_fallocate"})
"""Steps that leave less behind than those around them: a kill need not try them."""
ROOM = WRITES | {"os.open", "os.mkdir", "os.link", "os.fsync", "os.fdatasync", "commit"}
"""Steps that a full disk may refuse."""


class Step(NamedTuple):
    """One step, as it is told."""

    number: int
    when: str
    """"before" or "after"."""
    name: str

    def __str__(self) -> str:
        return f"{self.number}, {self.when} {self.name}"


class Steps:
    """Counts the steps that are `looked_at`; `happen` is called with those of `wanted`."""

    def __init__(
        self,
        wanted: range,
        when: str,
        happen: Callable[[Step], None],
        looked_at: Callable[[str], bool] = lambda name: name not in WRITES,
    ) -> None:
        self.count = 0
        self._wanted = wanted
        self._when = when
        self._happen = happen
        self._looked_at = looked_at
        self._counting = threading.Lock()

    def catch(self) -> None:
        """From now on, in all threads, until this process ends."""
        for name in FILES:
            setattr(os, name, self._counted(f"os.{name}", getattr(os, name)))
        os.open = self._counted_if_new(os.open)
        for name in STORES:
            inner = getattr(DirectoryStore, name)
            setattr(DirectoryStore, name, self._counted(f"store.{name}", inner))
        committed = self._counted("commit", DefaultDialect.do_commit)
        DefaultDialect.do_commit = committed  # type: ignore[method-assign]

    def stop(self) -> None:
        """Let nothing happen any more."""
        self._wanted = range(0)

    def _counted(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        if not self._looked_at(name):
            return inner

        def counted(*said: Any, **options: Any) -> Any:
            with self._counting:
                self.count += 1
                number = self.count
                self._reach(number, "before", name)
            try:
                return inner(*said, **options)
            finally:
                self._reach(number, "after", name)

        return counted

    def _counted_if_new(self, inner: Callable[..., int]) -> Callable[..., int]:
        """`os.open`: a step only where it makes a file."""
        making = self._counted("os.open", inner)

        def opened(path: Any, flags: int, *said: Any, **options: Any) -> int:
            return (making if flags & os.O_CREAT else inner)(path, flags, *said, **options)

        return opened

    def _reach(self, number: int, when: str, name: str) -> None:
        if number in self._wanted and when == self._when:
            self._happen(Step(number, when, name))
