"""Several coroutines at once, of which all have to succeed, or one."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each returned, in order. The first error ends them all, and is raised as it is."""
    tasks = [asyncio.ensure_future(work) for work in works]
    if len(tasks) == 1:
        return [await tasks[0]]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _end(tasks)


async def first_of(
    works: Iterable[Callable[[], Awaitable[T]]], patience_s: float, passed_over: type[Exception]
) -> T:
    """What the first of them to succeed returned.

    They begin one by one: the next when one has failed with `passed_over`, or took longer
    than `patience_s`. Raises the last failure when all have failed; another error at once.
    """
    waiting = iter(works)
    running: set[asyncio.Future[T]] = set()
    failure: Exception | None = None
    try:
        while True:
            work = next(waiting, None)
            if work is not None:
                running.add(asyncio.ensure_future(_run(work)))
            elif not running:
                raise failure or ValueError("nothing to do")
            done, running = await asyncio.wait(
                running,
                timeout=None if work is None else patience_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                try:
                    return task.result()
                except passed_over as error:
                    failure = error
    finally:
        await _end(running)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _end(tasks: Iterable["asyncio.Future[T]"]) -> None:
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)
