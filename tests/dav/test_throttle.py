"""Guessing is slow: for a user at an address, and for the address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgdav.dav import throttle
from tgdav.dav.throttle import FORGOTTEN_S, FREE, Throttle, Throttled

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Guessing:
    """Somebody who tries passwords; `wait_s` until the next may be tried."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.throttle = Throttle(self.clock)
        self.tried = 0

    def fail(self, address: str = HOME, name: str = "ann", guess: bytes | None = None) -> None:
        self.tried += 1
        self.throttle.note_failure(address, name, guess or b"%d" % self.tried)

    def wait_s(self, address: str = HOME, name: str = "ann") -> float:
        try:
            self.throttle.require_turn(address, name)
        except Throttled as error:
            return error.retry_after_s
        return 0.0


@pytest.fixture
def guessing() -> Guessing:
    return Guessing()


def test_some_tries_are_free_and_then_each_costs_twice_the_last(guessing: Guessing) -> None:
    waits = []
    for _ in range(13):
        guessing.clock.now_s += waits[-1] if waits else 0
        assert guessing.wait_s() == 0
        guessing.fail()
        waits.append(guessing.wait_s())
    assert waits == [0] * (FREE - 1) + [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_user_is_not_held_back_elsewhere(guessing: Guessing) -> None:
    for _ in range(20):
        guessing.fail()
    assert guessing.wait_s(ELSEWHERE) == 0


def test_nor_may_the_address_try_other_users(guessing: Guessing) -> None:
    for number in range(FREE):
        guessing.fail(name=f"user {number}")
    assert guessing.wait_s(name="somebody else") == 1


def test_an_old_password_somewhere_does_not_shut_out_its_household(guessing: Guessing) -> None:
    for _ in range(100):
        guessing.fail(name="ann", guess=b"the old one")
    assert guessing.wait_s(name="ann") == 60
    assert guessing.wait_s(name="bob") == 0


def test_the_right_password_clears_the_user_and_not_the_address(guessing: Guessing) -> None:
    for _ in range(FREE + 3):
        guessing.fail()
    guessing.throttle.note_success(HOME, "ann")
    assert guessing.wait_s() == 8, "of the address"
    guessing.clock.now_s += 8
    assert guessing.wait_s() == 0


def test_all_is_forgotten_in_time(guessing: Guessing) -> None:
    for _ in range(FREE + 5):
        guessing.fail()
    guessing.clock.now_s += FORGOTTEN_S + 1
    guessing.fail()
    assert guessing.wait_s() == 0


def test_a_whole_ipv6_household_is_one(guessing: Guessing) -> None:
    for number in range(FREE):
        guessing.fail(address=f"2001:db8::{number}")
    assert guessing.wait_s("2001:db8::ffff") == 1
    assert guessing.wait_s("2001:db8:0:1::1") == 0


def test_memory_is_bounded(guessing: Guessing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "KEPT", 50)
    for number in range(1000):
        guessing.fail(address=f"10.0.{number // 256}.{number % 256}", name="x" * 5000)
    assert len(guessing.throttle._failures) == 50


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100)), max_size=40))
def test_a_wait_is_never_longer_than_a_minute(steps: list[tuple[str, float]]) -> None:
    guessing = Guessing()
    for name, pause_s in steps:
        guessing.clock.now_s += pause_s
        guessing.fail(name=name)
        assert 0 <= guessing.wait_s(name=name) <= 60
