"""Time and flood waits."""

from dataclasses import asdict
from typing import Any

from tests.telegram_server.state.state import State
from tests.telegram_server.verbs.verb import verb


@verb
def limits(state: State, **values: Any) -> dict[str, Any]:
    """Set some of `Switches`; 0 or null is off. All of them as they are now."""
    state.switches.set(**values)
    return asdict(state.switches)


@verb
def clock(state: State, advance_s: float = 0) -> float:
    """Let so much time pass at once; the world's time then, in seconds since 1970."""
    state.clock.advance(advance_s)
    return state.clock.now()


@verb
def flood_wait(state: State, account: int, seconds: float, method: str = "") -> None:
    """FLOOD_WAIT for a method ("messages.sendMedia"), or for all, for so long."""
    state.limits.tell_to_wait(state.accounts.of(account), seconds, method)


@verb
def reference_life(state: State, seconds: float) -> None:
    """How long file references last."""
    state.switches.reference_life_s = seconds


@verb
def expire_references(state: State) -> None:
    """FILE_REFERENCE_EXPIRED for all that were given so far."""
    state.references.expire()


@verb
def answer_false(state: State, times: int = 1) -> None:
    """The next saves of a part are answered with false, and keep nothing."""
    state.false_saves = times


@verb
def lose_parts(state: State, part: int | None = None) -> int:
    """Forget what was saved and not sent: all, or one part of each file; how many parts."""
    return state.uploads.lose(part)
