"""What the scripts say is believed only where all of it agrees."""

from pathlib import Path

import pytest

from tests.clients.bench import Ran, hold_to_account, require, run

LIMITS = {"link": "the client has none", "race": "the client's own"}
FAILED = pytest.fail.Exception


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (0, "ok   a\nok   b\nSUITE: 2 pass, 0 fail, 0 warn, 0 skip\n"),
        (0, "ok   a\nWARN link: Function not implemented\nSUITE: 1 pass, 0 fail, 1 warn, 0 skip"),
        (1, "ok   a\nFAIL race: differs\nSUITE: 1 pass, 1 fail, 0 warn, 0 skip, 2 info (0.1s)"),
    ],
)
def test_a_client_within_its_limits(code: int, output: str):
    hold_to_account(Ran(code, output), LIMITS)


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (1, "ok   a\nFAIL b: broken\nSUITE: 1 pass, 1 fail, 0 warn, 0 skip"),
        (0, "ok   a\nWARN b c: odd: very\nSUITE: 1 pass, 0 fail, 1 warn, 0 skip"),
        (0, "ok   a\nSKIP b: not installed\nSUITE: 1 pass, 0 fail, 0 warn, 1 skip"),
        (0, "ok   a\nSUITE: 1 pass, 0 fail, 1 warn, 0 skip"),
        (1, "ok   a\nSUITE: 1 pass, 0 fail, 0 warn, 0 skip"),
        (0, "ok   a\nFAIL race: differs\nSUITE: 1 pass, 1 fail, 0 warn, 0 skip"),
        (0, "SUITE: 0 pass, 0 fail, 0 warn, 0 skip"),
        (0, "SUITE: 1 pass, 0 fail, 0 warn, 0 skip\nSegmentation fault"),
        (0, ""),
    ],
)
def test_whatever_else_is_a_failure(code: int, output: str):
    with pytest.raises((AssertionError, FAILED)):
        hold_to_account(Ran(code, output), LIMITS)


def test_a_script_that_does_not_end_is_ended_and_shown(tmp_path: Path):
    with pytest.raises(FAILED, match=r"(?s)not done after 0.5 s.*begun"):
        run(["bash", "-c", "echo begun; sleep 60"], {"PATH": "/usr/bin:/bin"}, tmp_path, 0.5)


@pytest.mark.parametrize(
    ("value", "outcome"), [("1", FAILED), ("0", pytest.skip.Exception), ("", pytest.skip.Exception)]
)
def test_what_lacks_is_skipped_or_fails(
    monkeypatch: pytest.MonkeyPatch, value: str, outcome: type[BaseException]
):
    monkeypatch.setenv("TGDAV_TEST_REQUIRE_ALL", value)
    require(True, "nothing lacks")
    with pytest.raises(outcome, match="no such client"):
        require(None, "no such client")
