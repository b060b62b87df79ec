import contextlib
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.budget import Budget


class Taker(threading.Thread):
    """Takes in a thread of its own, and says whether it has."""

    def __init__(self, budget, n):
        super().__init__(daemon=True)
        self.budget, self.n = budget, n
        self.start()

    def run(self):
        self.budget.take(self.n)

    def has_taken(self):
        self.join(5)
        return not self.is_alive()

    def waits(self):
        self.join(0.05)
        return self.is_alive()


def test_what_is_taken_is_used_until_given():
    budget = Budget(100)
    budget.take(60)
    budget.take(40)
    assert budget.used == 100
    budget.give(60)
    budget.give(40)
    assert budget.used == 0


def test_a_full_budget_makes_wait():
    budget = Budget(100)
    budget.take(100)
    taker = Taker(budget, 1)
    assert taker.waits()
    budget.give(1)
    assert taker.has_taken()
    assert budget.used == 100


def test_what_is_granted_never_waits():
    budget = Budget(100)
    budget.take(100)
    budget.take(50, granted=True)
    assert budget.used == 150


def test_more_than_the_limit_goes_alone():
    budget = Budget(100)
    budget.take(1)
    taker = Taker(budget, 500)
    assert taker.waits()
    budget.give(1)
    assert taker.has_taken()
    assert budget.used == 500


def test_a_large_request_is_not_overtaken():
    budget = Budget(100)
    budget.take(60)
    large = Taker(budget, 100)
    assert large.waits()
    small = Taker(budget, 1)
    assert small.waits()
    budget.give(60)
    assert large.has_taken()
    assert small.waits()
    budget.give(100)
    assert small.has_taken()


def test_one_give_lets_in_all_that_fit():
    budget = Budget(100)
    budget.take(100)
    takers = [Taker(budget, 30) for _ in range(4)]
    assert all(taker.waits() for taker in takers)
    budget.give(100)
    time.sleep(0.05)
    assert sorted(not taker.is_alive() for taker in takers) == [False, True, True, True]
    budget.give(30)
    assert all(taker.has_taken() for taker in takers)


def test_an_offer_is_taken_only_if_there_is_room():
    budget = Budget(100)
    assert budget.offer(70)
    assert not budget.offer(40)
    assert budget.used == 70


def test_an_offer_overtakes_nobody():
    budget = Budget(100)
    budget.take(60)
    taker = Taker(budget, 50)
    assert taker.waits()
    assert not budget.offer(10)
    budget.give(60)
    assert taker.has_taken()
    assert budget.offer(10)


def test_hold_gives_back_whatever_happens():
    budget = Budget(100)
    with contextlib.suppress(KeyError), budget.hold(70):
        assert budget.used == 70
        raise KeyError
    assert budget.used == 0


def test_hold_can_be_granted():
    budget = Budget(100)
    with budget.hold(100), budget.hold(50, granted=True):
        assert budget.used == 150


def test_giving_back_more_than_was_taken_is_refused():
    budget = Budget(100)
    budget.take(10)
    with pytest.raises(ValueError, match="11 bytes given back, 10 taken"):
        budget.give(11)
    assert budget.used == 10


@pytest.mark.parametrize("admitted", [False, True])
def test_an_interrupted_taker_leaves_nothing(monkeypatch, admitted):
    budget = Budget(100)
    budget.take(100)

    class Turn(threading.Event):
        def wait(self, timeout=None):
            if admitted:
                budget.give(100)
            raise KeyboardInterrupt

    monkeypatch.setattr("tgdav.blocks.budget.threading.Event", Turn)
    with pytest.raises(KeyboardInterrupt):
        budget.take(30)
    if not admitted:
        budget.give(100)
    assert budget.used == 0


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.lists(st.integers(1, 80), max_size=8), min_size=1, max_size=4))
def test_no_crowd_takes_more_than_the_limit(sizes):
    budget = Budget(100)
    most = [0]

    def run(mine):
        for n in mine:
            with budget.hold(n):
                most[0] = max(most[0], budget.used)

    threads = [threading.Thread(target=run, args=(mine,)) for mine in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert most[0] <= 100
    assert budget.used == 0
