"""What is due comes between two steps, whoever takes them."""

import asyncio

from tests.telegram_server.wire.turns import Turns


def test_steps_of_many_take_turns_and_let_others_in():
    async def work() -> list[str]:
        turns, did = Turns(), list[str]()

        def step(name: str) -> bool:
            did.append(name)
            asyncio.get_running_loop().call_soon(did.append, "other")
            return did.count(name) < 2

        a, b = lambda: step("a"), lambda: step("b")
        for each in (a, b, a):
            turns.want(each)
        for _ in range(9):
            await asyncio.sleep(0)
        return did

    assert asyncio.run(work()) == ["a", "other", "b", "other", "a", "other", "b", "other"]


def test_a_step_that_fails_stops_no_other():
    async def work() -> list[str]:
        turns, did = Turns(), list[str]()
        asyncio.get_running_loop().set_exception_handler(lambda *_: did.append("told"))

        def fail() -> bool:
            raise ValueError

        def go() -> bool:
            did.append("went")
            return False

        turns.want(fail)
        turns.want(go)
        for _ in range(5):
            await asyncio.sleep(0)
        return did

    assert asyncio.run(work()) == ["told", "went"]
