"""Is this password right: asked at every request, computed once.

What was verified is remembered under a keyed digest, together with the password hash
that it fitted, so that a new password, a removed user, count from the next request on.
As long as the hash is the user's it stays: what would have to be tried again would stand
behind the wrong tries of its neighbours. Keeps no password. Knows no HTTP.
"""

import hashlib
import logging
import secrets
import threading
from urllib.parse import quote

from tgdav.dav.throttle import Throttle
from tgdav.tree.users import User, Users

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
LANES = 64


class Logins:
    """Any thread may ask."""

    def __init__(self, users: Users, throttle: Throttle) -> None:
        self._users = users
        self._throttle = throttle
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, str] = {}
        self._remembering = threading.Lock()
        # Guesses that one address sends side by side are counted one after the other, and
        # its first requests with a right password cost one computation, not one each.
        self._lanes = [threading.Lock() for _ in range(LANES)]

    def admit(self, name: str, password: str, address: str) -> User | None:
        """The user, if this is their password. Raises `Throttled` if it is not tried.

        A password that is known to be right is never held back.
        """
        user = self._users.get(name)
        guess = self._digest(name, password)
        if user is not None and self._knows(guess, user):
            return user
        with self._lanes[hash(address) % LANES]:
            if user is not None and self._knows(guess, user):
                return user
            return self._try(name, password, address, guess)

    def _try(self, name: str, password: str, address: str, guess: bytes) -> User | None:
        self._throttle.require_turn(address, name)
        user = self._users.verify(name, password)
        if user is None:
            self._throttle.note_failure(address, name, guess)
            # Quoted, so that a name cannot forge the rest of the line for fail2ban.
            _log.warning("auth failed user=%s ip=%s", quote(name[:64], safe="@"), address)
            return None
        self._throttle.note_success(address, name)
        self._remember(guess, user)
        return user

    def _digest(self, name: str, password: str) -> bytes:
        # A name has no colon: two pairs never give one text.
        text = f"{name}:{password}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key, digest_size=16).digest()

    def _knows(self, guess: bytes, user: User) -> bool:
        return self._verified.get(guess) == user.password_hash

    def _remember(self, guess: bytes, user: User) -> None:
        with self._remembering:
            self._verified.pop(guess, None)
            self._verified[guess] = user.password_hash
            if len(self._verified) > REMEMBERED:
                del self._verified[next(iter(self._verified))]
