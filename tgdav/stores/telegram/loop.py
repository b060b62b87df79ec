"""The one event loop, in a thread of its own: the way in for all other threads.

Everything of Telethon's lives on it and is touched nowhere else.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from tgdav.errors import StoreBusy, StoreError

T = TypeVar("T")


class EventLoop:
    """Runs coroutines for threads that wait for them. Any thread but its own."""

    def __init__(self) -> None:
        self.asyncio = asyncio.new_event_loop()
        self.asyncio.set_exception_handler(_tell)
        self._is_closed = False
        self._thread = threading.Thread(target=self.asyncio.run_forever, name="telegram")
        self._thread.daemon = True
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """What `work` returns; it is cancelled if it takes longer, or the thread is interrupted.

        Raises `StoreBusy` on the time-out, `StoreError` when the loop is closed, and
        what `work` raises.
        """
        future = self.submit(work)
        try:
            return future.result(timeout_s)
        except FutureTimeout:
            if future.done():
                raise  # the work's own
            raise StoreBusy(f"Telegram: no answer in {timeout_s:.0f} s") from None
        except CancelledError:
            raise StoreError("Telegram: closed while it was at work") from None
        finally:
            future.cancel()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin `work`; raises `StoreError` when the loop is closed."""
        if self._is_closed:
            work.close()
            raise StoreError("Telegram: closed")
        return asyncio.run_coroutine_threadsafe(work, self.asyncio)

    def close(self) -> None:
        """Cancel what runs, wait until it has ended, and stop."""
        if self._is_closed:
            return
        self._is_closed = True
        asyncio.run_coroutine_threadsafe(_cancel_all(), self.asyncio).result()
        self.asyncio.call_soon_threadsafe(self.asyncio.stop)
        self._thread.join()
        self.asyncio.close()


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What ended with nobody waiting for it: connections do, and Telethon waits for few."""
    if not isinstance(context.get("exception"), OSError | EOFError):
        loop.default_exception_handler(context)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
