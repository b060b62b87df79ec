"""A client whose save waits for the stores hears from us; another does not."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from tgdav.dav.patience import KEEP_WAITING, kept_waiting


def request(said: list[float], durability: str = "remote") -> Any:
    return SimpleNamespace(
        environ={KEEP_WAITING: lambda: said.append(time.monotonic())},
        options=SimpleNamespace(durability=durability),
    )


def test_says_a_word_now_and_then_until_it_is_over() -> None:
    said: list[float] = []
    began = time.monotonic()
    with kept_waiting(request(said), every_s=0.02):
        while len(said) < 3:
            time.sleep(0.01)
    heard = len(said)
    assert heard <= (time.monotonic() - began) / 0.02
    time.sleep(0.06)
    assert len(said) == heard


def test_waits_for_the_word_that_is_being_said() -> None:
    said: list[float] = []

    def say() -> None:
        time.sleep(0.1)
        said.append(time.monotonic())

    asked = request(said)
    asked.environ[KEEP_WAITING] = say
    with kept_waiting(asked, every_s=0.01):
        time.sleep(0.05)
    assert len(said) == 1, "else it would come after the answer"


def test_ends_with_what_it_waited_for() -> None:
    said: list[float] = []
    with pytest.raises(ZeroDivisionError), kept_waiting(request(said), every_s=0.02):
        raise ZeroDivisionError
    time.sleep(0.06)
    assert said == []


def test_says_nothing_of_what_is_kept_here() -> None:
    said: list[float] = []
    with kept_waiting(request(said, "local"), every_s=0.01):
        time.sleep(0.05)
    assert said == []


def test_another_server_may_not_know_how() -> None:
    asked = request([])
    asked.environ.clear()
    with kept_waiting(asked, every_s=0.01):
        pass
