"""Keeps a client waiting while its save waits for the stores.

davfs2 gives up after thirty seconds without a word. `100 Continue` is understood by all
clients that were tried; `102 Processing` is taken for the answer by some.
"""

import contextlib
import threading
from collections.abc import Iterator

from tgdav.dav.messages import Request

KEEP_WAITING = "tgdav.keep_waiting"
"""Where environ holds what sends the client a word, from any thread, until it is answered."""
EVERY_S = 5.0


@contextlib.contextmanager
def kept_waiting(request: Request, every_s: float = EVERY_S) -> Iterator[None]:
    """While the block runs the client hears every `every_s`; after it, no more."""
    say = request.environ.get(KEEP_WAITING)
    if say is None or request.options.durability == "local":
        yield
        return
    is_over = threading.Event()

    def keep() -> None:
        while not is_over.wait(every_s):
            say()

    thread = threading.Thread(target=keep, name="keep waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
