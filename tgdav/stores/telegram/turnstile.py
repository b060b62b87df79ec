"""Long pieces of work on the event loop, one in each of its rounds.

A round runs all that is ready. With the packets of thirty connections to open in one, what
is short waits behind them all, at each of its steps. Knows nothing of what the work is.
"""

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

_Queue = deque[asyncio.Future[None]]
_QUEUES: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()


async def pass_turnstile() -> None:
    """Return in a round of one's own, in the order in which all came: to work at once."""
    loop = asyncio.get_running_loop()
    queue = _QUEUES.setdefault(loop, deque())
    turn = loop.create_future()
    queue.append(turn)
    if len(queue) == 1:
        loop.call_soon(_let_one_through, loop, queue)
    await turn


def _let_one_through(loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
    while queue and queue[0].done():  # it has given up
        queue.popleft()
    if queue:
        queue.popleft().set_result(None)
    if queue:
        loop.call_soon(_let_one_through, loop, queue)
