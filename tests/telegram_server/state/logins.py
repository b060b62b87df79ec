"""Logins: who speaks with which authorization key, and what only that login may use.

A login is one row of account.getAuthorizations. Its key at home may be joined by keys in other
data centres, to which it was exported; access hashes and file references hold for all of them.
"""

import secrets
from dataclasses import dataclass, field
from hashlib import blake2b

from tests.telegram_server.caller import Caller
from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.accounts import Account
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.password import Challenge
from tests.telegram_server.state.switches import Switches


class Login:
    def __init__(self, account: Account, home: Caller, now: float) -> None:
        self.account = account
        self.home = home
        self.hash = secrets.randbits(62)
        self.began = self.used = now
        self.ended: RpcError | None = None
        """What its keys are told once it is over."""
        self.exported: list[Caller] = []
        self._secret = secrets.token_bytes(32)
        self._access_hashes: dict[tuple[str, int], int] = {}

    @property
    def login_id(self) -> int:
        return self.home.key_id

    def access_hash(self, kind: str, of: int) -> int:
        """What this login, and no other, addresses a user, channel or document by."""
        known = self._access_hashes.get((kind, of))
        if known is None:
            digest = self.sign(b"%s %d" % (kind.encode(), of))
            known = int.from_bytes(digest[:8], "little", signed=True) or 1
            self._access_hashes[kind, of] = known
        return known

    def sign(self, message: bytes) -> bytes:
        """16 bytes that only this login's secret makes of `message`."""
        return blake2b(message, digest_size=16, key=self._secret).digest()


@dataclass(eq=False)
class Standing:
    """How far an authorization key has come."""

    login: Login | None = None
    awaiting: Account | None = None
    """Whose second factor is asked for."""
    challenge: Challenge | None = None
    refusal: RpcError | None = None
    """The key is dead: everything is answered with this."""
    speaking: set[int] = field(default_factory=set)
    """Live connections on which it said more than upload.*."""


class Logins:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._all: list[Login] = []
        self._exports: dict[bytes, tuple[Login, int, float]] = {}
        self._live: dict[int, set[Standing]] = {}

    def standing(self, caller: Caller) -> Standing:
        if caller.state is None:
            caller.state = Standing()
        standing: Standing = caller.state
        return standing

    def begin(self, caller: Caller, account: Account) -> Login:
        """Log the account in; what the key was logged in as before is over."""
        standing = self.standing(caller)
        if standing.login and standing.login.home is caller:
            self.end(standing.login)
        login = Login(account, caller, self._clock.now())
        self._all.append(login)
        standing.login, standing.awaiting, standing.challenge = login, None, None
        return login

    def of(self, account: Account) -> list[Login]:
        """Those that are not over, oldest first."""
        return [one for one in self._all if one.account is account and not one.ended]

    def end(self, login: Login, code: int = 401, message: str = "AUTH_KEY_UNREGISTERED") -> None:
        """Let it be over, and say so to all of its keys."""
        login.ended = login.ended or RpcError(code, message)

    def export(self, login: Login, data_centre: int) -> bytes:
        """What logs a key in in that data centre."""
        token = secrets.token_bytes(96)
        self._exports[token] = (login, data_centre, self._clock.now())
        return token

    def take_in(self, caller: Caller, token: bytes) -> Login | None:
        """Let the key join the login that was exported; None if the token is good for nothing."""
        login, data_centre, at = self._exports.pop(token, (None, 0, 0.0))
        is_late = self._clock.now() - at > self._switches.export_life_s
        if login is None or login.ended or is_late or data_centre != caller.data_centre:
            return None
        self.join(caller, login)
        return login

    def join(self, caller: Caller, login: Login) -> None:
        """Let a key in another data centre speak for the login."""
        self.standing(caller).login = login
        login.exported.append(caller)

    def forget_exports(self, login: Login) -> None:
        """Log out the keys in other data centres, and only those."""
        for caller in login.exported:
            self.standing(caller).login = None
        login.exported.clear()

    def connected(self, caller: Caller, connection: int) -> None:
        self._live.setdefault(connection, set()).add(self.standing(caller))

    def closed(self, connection: int) -> None:
        for standing in self._live.pop(connection, ()):
            standing.speaking.discard(connection)

    def speak(self, caller: Caller, connection: int) -> None:
        """Note that a login's key says more than upload.*; a second voice kills it.

        Raises `RpcError` AUTH_KEY_DUPLICATED. D: only data centres that are not for media
        do so; of a key in a foreign one just the key dies (U).
        """
        standing = self.standing(caller)
        if standing.login is None or standing not in self._live.get(connection, ()):
            return
        standing.speaking.add(connection)
        if len(standing.speaking) > 1:
            refusal = RpcError(406, "AUTH_KEY_DUPLICATED")
            if self._switches.duplicated_ends_login:
                standing.refusal = refusal
                if standing.login.home is caller:
                    standing.login.ended = refusal
            raise refusal
