"""What a method is: the function that answers a request, and who may ask.

Each module beside this one registers its own by `answers`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from telethon.tl import TLRequest

from tests.telegram_server.caller import Caller
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.logins import Login, Standing
from tests.telegram_server.state.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """One request's surroundings."""

    state: State
    caller: Caller
    standing: Standing

    @property
    def login(self) -> Login:
        """Raises `RpcError` if the key is not logged in."""
        if self.standing.login is None:
            raise RpcError(401, "AUTH_KEY_UNREGISTERED")
        return self.standing.login

    @property
    def account(self) -> Account:
        return self.login.account


Answer = Callable[[Call, Any], object]


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    """As Telegram writes it: "messages.sendMedia"."""
    answer: Answer
    anybody: bool
    """Whether a key may ask that is not logged in."""
    users_only: bool
    writes: bool
    """Whether frozen accounts are refused."""

    @property
    def is_anywhere(self) -> bool:
        """Whether any data centre answers; the others send the caller home."""
        return self.name.startswith(("upload.", "auth.", "help."))


METHODS: dict[type[TLRequest], Method] = {}


def answers(
    request: type[TLRequest],
    *,
    anybody: bool = False,
    users_only: bool = False,
    writes: bool = False,
) -> Callable[[Answer], Answer]:
    """Register the decorated function as what answers `request`."""

    def register(answer: Answer) -> Answer:
        METHODS[request] = Method(name_of(request), answer, anybody, users_only, writes)
        return answer

    return register


def name_of(request: type[TLRequest]) -> str:
    """The method's name as Telegram writes it."""
    space = request.__module__.rpartition(".")[2]
    name = request.__name__.removesuffix("Request")
    name = name[0].lower() + name[1:]
    return name if space == "functions" else f"{space}.{name}"
