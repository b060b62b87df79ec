"""Who gets a worker: pure, with work that is only a name."""

import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav.server.turns import Turns


class Floor:
    """Eight workers; sixteen may wait."""

    def __init__(self, many: str = "") -> None:
        self.running: list[str] = []
        self.turns: Turns[str] = Turns(8, 16, self.running.append, lambda address: address == many)

    def enter(self, address: str, count: int = 1) -> int:
        """How many of `count` were let in, to run or to wait."""
        return sum(self.turns.enter(address, address) for _ in range(count))

    def leave(self, address: str) -> None:
        self.running.remove(address)
        self.turns.leave(address)


def test_one_alone_leaves_an_eighth() -> None:
    floor = Floor()
    assert floor.enter("a", 8) == 8
    assert floor.running == ["a"] * 7


def test_another_finds_a_worker_whatever_the_first_does() -> None:
    floor = Floor()
    floor.enter("a", 100)
    floor.enter("b")
    assert floor.running.count("b") == 1


def test_while_others_wait_nobody_gets_more_than_half() -> None:
    floor = Floor()
    floor.enter("a", 15)
    floor.enter("b", 7)
    for _ in range(20):
        if "a" in floor.running:
            floor.leave("a")
    assert floor.running.count("b") >= 4


def test_those_who_wait_take_turns() -> None:
    floor = Floor()
    floor.enter("x", 4)
    floor.enter("y", 4)
    for address in "aaabbb":
        floor.enter(address)
    assert floor.running == ["x"] * 4 + ["y"] * 4
    for _ in range(4):
        floor.leave("x")
    assert floor.running[4:] == ["a", "b", "a", "b"]


def test_too_many_are_refused_the_greedy_first() -> None:
    floor = Floor()
    assert floor.enter("a", 100) == 7 + 8
    assert floor.enter("b", 100) == 1 + 8
    assert floor.enter("c", 100) == 0
    floor.leave("a")
    assert floor.enter("c") == 1


def test_a_proxy_may_have_them_all() -> None:
    floor = Floor(many="proxy")
    assert floor.enter("proxy", 100) == 8 + 16
    assert len(floor.running) == 8


def test_what_waits_can_be_taken_back() -> None:
    floor = Floor()
    floor.enter("a", 10)
    assert list(floor.turns.clear()) == ["a"] * 3
    floor.leave("a")
    assert floor.running == ["a"] * 6


def test_spare_workers() -> None:
    floor = Floor()
    floor.enter("a", 4)
    assert floor.turns.has_spare
    floor.enter("a")
    assert not floor.turns.has_spare


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=80))
def test_no_worker_is_lost_or_doubled(steps: list[tuple[str, bool]]) -> None:
    floor, entered, left = Floor(), 0, 0
    for address, enters in steps:
        if enters:
            entered += floor.enter(address)
        elif address in floor.running:
            floor.leave(address)
            left += 1
        assert len(floor.running) <= 8
    while floor.running:
        floor.leave(floor.running[0])
        left += 1
    assert left == entered


def test_threads_share_the_count() -> None:
    running: list[str] = []
    turns: Turns[str] = Turns(4, 1000, running.append)

    def come_and_go(address: str) -> None:
        for _ in range(300):
            assert turns.enter(address, address)
            turns.leave(address)

    threads = [threading.Thread(target=come_and_go, args=(each,)) for each in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(running) == {"a": 300, "b": 300}
    assert turns.has_spare
