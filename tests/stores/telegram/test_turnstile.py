"""How many rounds of the event loop go by between those that are let through."""

import asyncio
from collections.abc import Callable

from tgdav.stores.telegram.turnstile import pass_turnstile


class Rounds:
    """Counts the rounds of the running event loop, until it is stopped."""

    def __init__(self) -> None:
        self.count = 0
        self._next()

    def _next(self) -> None:
        self.count += 1
        self._handle = asyncio.get_running_loop().call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


async def passed_in(count: int, then: Callable[[list[asyncio.Task[None]]], None]) -> list[int]:
    """Let so many through at once; the rounds in which those passed that had the time."""
    rounds, passed = Rounds(), []

    async def work() -> None:
        await pass_turnstile()
        passed.append(rounds.count)

    tasks = [asyncio.ensure_future(work()) for _ in range(count)]
    await asyncio.sleep(0)
    then(tasks)
    await asyncio.wait(tasks, timeout=20)
    rounds.stop()
    return passed


def test_one_passes_in_each_round():
    for _ in range(2):  # each event loop has a turnstile of its own
        passed = asyncio.run(passed_in(30, lambda tasks: None))
        assert len(set(passed)) == 30
        assert passed == sorted(passed)
        assert passed[-1] - passed[0] <= 2 * 30


def test_who_gives_up_keeps_nobody_waiting():
    def give_up(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks[::2]:
            task.cancel()

    assert len(asyncio.run(passed_in(9, give_up))) == 4
    assert asyncio.run(passed_in(5, lambda tasks: [task.cancel() for task in tasks] and None)) == []


def test_it_opens_again_after_a_pause():
    async def twice() -> None:
        await asyncio.wait_for(pass_turnstile(), 20)
        await asyncio.sleep(0.01)
        await asyncio.wait_for(pass_turnstile(), 20)

    asyncio.run(twice())
