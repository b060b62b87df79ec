"""A thread that goes its round again and again, and waits longer after trouble."""

import logging
import threading
from collections.abc import Callable

from tgdav.errors import Busy, TgdavError

LOG = logging.getLogger(__name__)

LONGEST_S = 60.0
"""A store that comes back is noticed within this."""


class Rounds:
    """Calls `go` each `every_s` from `start` to `close`, in a thread of its own.

    An error of ours is logged when it is new; the next round then comes after a pause
    that doubles up to `LONGEST_S`, or after what a `Busy` asks for.
    """

    def __init__(self, name: str, go: Callable[[], None], every_s: float) -> None:
        self._go = go
        self._every_s = every_s
        self._name = name
        self._pause_s = every_s
        self._trouble = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def close(self, grace_s: float) -> None:
        """Begin no further round; wait at most `grace_s` for the running one."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(grace_s)

    def _run(self) -> None:
        while not self._over.wait(self._pause_s):
            try:
                self._go()
            except TgdavError as error:
                self._note(error)
            except Exception:
                # A round that can never be gone again would be noticed far too late.
                LOG.exception("%s: the round ended early", self._name)
                self._pause_s = LONGEST_S
            else:
                self._trouble, self._pause_s = "", self._every_s

    def _note(self, error: TgdavError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            LOG.warning("%s: %s", self._name, error)
        wish = error.retry_after_s if isinstance(error, Busy) else 0.0
        self._pause_s = min(LONGEST_S, max(2 * self._pause_s, wish, 1.0))
