import asyncio
from functools import partial

import pytest

from tgdav.stores.telegram.tasks import all_of, first_of


class Failed(Exception):
    pass


def run(work):
    return asyncio.run(asyncio.wait_for(work, 20))


async def later(value, seconds=0.0):
    await asyncio.sleep(seconds)
    if isinstance(value, Exception):
        raise value
    return value


class Never:
    """Waits for ever, and knows how it ended."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_all_of_returns_in_order():
    assert run(all_of(later(n, 0.02 - n / 1000) for n in range(10))) == list(range(10))
    assert run(all_of([])) == []


@pytest.mark.parametrize("count", [0, 3])
def test_the_first_error_ends_the_others_and_is_itself(count: int):
    never = Never()

    async def work() -> None:
        await all_of([later(Failed("it"), 0.01), *(never() for _ in range(count))])

    with pytest.raises(Failed, match="it"):
        run(work())
    assert never.cancelled == never.begun == count


def test_cancelling_all_of_cancels_each():
    never = Never()

    async def work() -> None:
        await asyncio.wait_for(all_of(never() for _ in range(3)), 0.05)

    with pytest.raises(TimeoutError):
        run(work())
    assert never.cancelled == never.begun == 3


def test_first_of_asks_the_next_only_when_one_fails():
    never = Never()
    works = [partial(later, Failed()), partial(later, 2), never]
    assert run(first_of(works, 10, Failed)) == 2
    assert never.begun == 0


def test_first_of_asks_the_next_when_one_is_slow():
    never = Never()
    assert run(first_of([never, partial(later, 2)], 0.02, Failed)) == 2
    assert never.cancelled == never.begun == 1


def test_a_slow_one_may_still_be_the_first():
    never = Never()
    assert run(first_of([partial(later, 1, 0.1), never], 0.02, Failed)) == 1
    assert never.cancelled == 1


def test_the_last_failure_is_raised_and_others_at_once():
    with pytest.raises(Failed, match="second"):
        run(
            first_of([partial(later, Failed("first")), partial(later, Failed("second"))], 1, Failed)
        )
    with pytest.raises(ZeroDivisionError):
        run(first_of([partial(later, ZeroDivisionError()), partial(later, 2)], 1, Failed))
