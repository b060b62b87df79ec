"""Who there is: people with phones, bots with tokens, and what has befallen them."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.telegram_server.state.password import Password

FIRST_USER = 1001
CODE = "12345"


@dataclass(eq=False)
class Account:
    user_id: int
    home: int
    """The data centre where it lives."""
    name: str
    phone: str = ""
    """Digits only; empty for a bot."""
    token: str = ""
    """Empty for a user."""
    code: str = CODE
    password: Password | None = None
    premium: bool = False
    is_banned: bool = False
    frozen_since: int = 0
    frozen_until: int = 0
    """0: not frozen."""
    is_spammer: bool = False
    """Whatever it writes is PEER_FLOOD."""
    is_fresh: bool = False
    """Its login is too new to make admins."""
    is_private: bool = False
    """Nobody may add it to a channel."""
    forbidden: set[int] = field(default_factory=set)
    """Channels that it may not write in."""
    ttl_days: int = 365
    """Days without use after which it is deleted."""
    session_ttl_days: int = 180

    @property
    def is_bot(self) -> bool:
        return bool(self.token)

    @property
    def username(self) -> str | None:
        return self.name if self.is_bot else None


class Accounts:
    def __init__(self) -> None:
        self._all: dict[int, Account] = {}
        self.phone_states: dict[str, str] = {}
        """What is wrong with a phone number: banned, flood, invalid."""
        self.api_states: dict[int, str] = {}
        """What is wrong with an api_id: invalid, published."""

    def __iter__(self) -> Iterator[Account]:
        return iter(self._all.values())

    def add_user(self, phone: str, home: int) -> Account:
        """Raises `ValueError` if the number is taken."""
        phone = digits(phone)
        if self.by_phone(phone):
            raise ValueError(f"{phone} has an account")
        user_id = self._next_id()
        account = Account(user_id, home, f"User {user_id}", phone=phone)
        self._all[user_id] = account
        return account

    def add_bot(self, name: str, home: int) -> Account:
        """Raises `ValueError` if the name is taken."""
        if self.by_username(name):
            raise ValueError(f"{name} is taken")
        user_id = self._next_id()
        account = Account(user_id, home, name, token=f"{user_id}:{secrets.token_urlsafe(26)}")
        self._all[user_id] = account
        return account

    def of(self, user_id: int) -> Account:
        """Raises `ValueError` if there is none."""
        if user_id not in self._all:
            raise ValueError(f"no account {user_id}")
        return self._all[user_id]

    def get(self, user_id: int) -> Account | None:
        return self._all.get(user_id)

    def by_phone(self, phone: str) -> Account | None:
        phone = digits(phone)
        return next((one for one in self if one.phone and one.phone == phone), None)

    def by_token(self, token: str) -> Account | None:
        return next((one for one in self if one.token and one.token == token), None)

    def by_username(self, name: str) -> Account | None:
        wanted = name.lower().lstrip("@")
        return next((one for one in self if (one.username or "").lower() == wanted), None)

    def _next_id(self) -> int:
        return FIRST_USER + len(self._all)


def digits(phone: str) -> str:
    """A phone number as Telegram keeps it."""
    return "".join(sign for sign in phone if sign.isdigit())
