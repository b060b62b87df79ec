"""Passwords: computed once, remembered until they change, slow to guess."""

import base64
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tgdav.dav import logins as module
from tgdav.dav.auth import credentials
from tgdav.dav.logins import Logins
from tgdav.dav.statuses import HttpError
from tgdav.dav.throttle import FREE, Throttle, Throttled
from tgdav.tree.tree import Tree
from tgdav.tree.users import User, Users

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Counted(Users):
    """The drive's users; how often a hash was computed."""

    computed = 0

    def verify(self, name: str, password: str) -> User | None:
        self.computed += 1
        return super().verify(name, password)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def counted(tree: Tree) -> Counted:
    counted = Counted(tree._db)
    counted.add("zoe", "her password")
    return counted


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(counted: Counted, clock: Clock) -> Logins:
    return Logins(counted, Throttle(clock))


@pytest.fixture
def enters(logins: Logins) -> Callable[..., bool]:
    def enters(password: str, name: str = "zoe", address: str = HOME) -> bool:
        return logins.admit(name, password, address) is not None

    return enters


def test_a_right_password_is_computed_once(
    enters: Callable[..., bool], counted: Counted, clock: Clock
) -> None:
    for address in (HOME, ELSEWHERE) * 3:
        assert enters("her password", address=address)
        clock.now_s += 100_000
    assert counted.computed == 1


def test_an_old_password_in_the_house_locks_no_right_one_out(
    enters: Callable[..., bool], clock: Clock
) -> None:
    for second in range(0, 7200, 5):
        if second % 15 == 0:
            assert enters("her password")
        if second % 10 == 0:
            with contextlib.suppress(Throttled):
                assert not enters("her old password")
        clock.now_s += 5


def test_what_is_remembered_is_neither_the_password_nor_for_another(
    enters: Callable[..., bool], logins: Logins
) -> None:
    assert enters("her password")
    assert "password" not in repr(logins._verified.keys())
    assert not enters("her password", name="nobody")
    assert not enters("zoe:her password", name="")


def test_a_new_password_counts_at_once(enters: Callable[..., bool], counted: Counted) -> None:
    assert enters("her password")
    counted.change_password("zoe", "a new one")
    assert not enters("her password")
    assert enters("a new one")


def test_a_removed_user_is_out_at_once(enters: Callable[..., bool], counted: Counted) -> None:
    assert enters("her password")
    counted.remove("zoe")
    assert not enters("her password")


def test_guessing_is_slowed_and_the_known_password_is_not(
    enters: Callable[..., bool], counted: Counted, clock: Clock
) -> None:
    assert enters("her password")
    for number in range(FREE):
        assert not enters(f"guess {number}")
    computed = counted.computed
    for number in range(50):
        with pytest.raises(Throttled):
            enters(f"another {number}")
    assert counted.computed == computed, "what is throttled costs nothing"
    assert enters("her password"), "it was verified before"
    assert enters("her password", address=ELSEWHERE)
    clock.now_s += 1
    assert not enters("one more")


def test_guesses_side_by_side_are_counted(logins: Logins, counted: Counted) -> None:
    def guess(number: int) -> bool:
        try:
            return logins.admit("zoe", f"guess {number}", HOME) is None
        except Throttled:
            return False

    with ThreadPoolExecutor(16) as threads:
        tried = sum(threads.map(guess, range(32)))
    assert tried == FREE == counted.computed


def test_first_requests_side_by_side_all_enter(logins: Logins, counted: Counted) -> None:
    with ThreadPoolExecutor(16) as threads:
        entered = list(threads.map(lambda _: logins.admit("zoe", "her password", HOME), range(32)))
    assert all(entered)
    assert counted.computed == 1


def test_failures_are_told_so_that_a_ban_can_follow(
    enters: Callable[..., bool], caplog: pytest.LogCaptureFixture
) -> None:
    enters("wrong")
    enters("secret", name="x ip=203.0.113.1\nforged", address=ELSEWHERE)
    messages = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert messages == [
        f"auth failed user=zoe ip={HOME}",
        f"auth failed user=x%20ip%3D203.0.113.1%0Aforged ip={ELSEWHERE}",
    ]


def test_an_unknown_user_takes_as_long(enters: Callable[..., bool], clock: Clock) -> None:
    def seconds(name: str) -> float:
        taken = []
        for number in range(5):
            clock.now_s += 1000
            began = time.thread_time()
            assert not enters(f"wrong {number}", name=name)
            taken.append(time.thread_time() - began)
        return min(taken)

    assert 0.7 < seconds("zoe") / seconds("nobody") < 1.4


def test_memory_is_bounded(
    logins: Logins, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    user = counted.get("zoe")
    assert user is not None
    for number in range(10):
        logins._remember(b"%d" % number, user)
    assert list(logins._verified) == [b"7", b"8", b"9"]


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


def test_credentials_are_read_as_they_were_typed() -> None:
    assert credentials(basic("zoë:p:ä:s ".encode())) == ("zoë", "p:ä:s ")
    assert credentials("bAsIc  " + basic(b"a:")[6:]) == ("a", "")


@pytest.mark.parametrize(
    "header",
    ["Basic !!!!", "Basic abc", basic(b"justuser"), basic(b"\xff\xfe:\xff"), "Basic", "Basic ", ""],
)
def test_credentials_that_are_none(header: str) -> None:
    with pytest.raises(HttpError) as error:
        credentials(header)
    assert error.value.status == 401
