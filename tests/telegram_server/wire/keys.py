"""Keys: the server's own, and those that clients agreed on.

An authorization key is known in one data centre; what hangs on it (salts, sessions)
outlives its connections.
"""

import os
import time
from hashlib import sha1, sha256

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from telethon.crypto.rsa import get_byte_array
from telethon.tl import TLObject

from tests.telegram_server.caller import Caller
from tests.telegram_server.wire.session import Session

SALT_LIFE_S = 1800
"""A salt is good for this long, and as long again beside its successor."""
SESSIONS_KEPT = 64


class ServerKey:
    """The RSA key whose public half clients must know beforehand."""

    def __init__(self, private_pem: bytes | None = None) -> None:
        if private_pem is None:
            self._key = rsa.generate_private_key(65537, 2048)
        else:
            self._key = load_pem_private_key(private_pem, None)
        numbers = self._key.private_numbers()
        self._n, self._d = numbers.public_numbers.n, numbers.d
        halves = (self._n, numbers.public_numbers.e)
        digest = sha1(b"".join(TLObject.serialize_bytes(get_byte_array(x)) for x in halves))
        self.fingerprint = int.from_bytes(digest.digest()[-8:], "little", signed=True)

    @property
    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)

    @property
    def private_pem(self) -> bytes:
        return self._key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )

    def decrypt(self, block: bytes) -> bytes:
        """The 255 bytes that a client encrypted; nothing about them is checked."""
        return pow(int.from_bytes(block, "big"), self._d, self._n).to_bytes(256, "big")[1:]


class AuthKey:
    """What one client and one data centre agreed on."""

    def __init__(self, key: bytes, data_centre: int) -> None:
        self.bytes = key
        self.id_bytes = sha1(key).digest()[-8:]
        self.caller = Caller(int.from_bytes(self.id_bytes, "little"), data_centre)
        self._seed = os.urandom(8)
        self._sessions: dict[int, Session] = {}

    @property
    def salt(self) -> int:
        """What clients should send now."""
        return self._salt(_period())

    def is_salt(self, salt: int) -> bool:
        """Whether messages with it are accepted now."""
        return salt in (self.salt, self._salt(_period() - 1))

    def salts(self, number: int) -> list[tuple[int, int, int]]:
        """The next salts: valid since, valid until, salt."""
        periods = range(_period(), _period() + number)
        return [(p * SALT_LIFE_S, (p + 2) * SALT_LIFE_S, self._salt(p)) for p in periods]

    def change_salts(self) -> None:
        """Accept no salt that was told so far."""
        self._seed = os.urandom(8)

    def session(self, session_id: int) -> Session:
        """The session of that id, made if it is new; the oldest ones are forgotten."""
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(session_id)
            if len(self._sessions) > SESSIONS_KEPT:
                del self._sessions[next(iter(self._sessions))]
        return session

    def destroy_session(self, session_id: int) -> bool:
        """Forget it; False if it is not known."""
        return self._sessions.pop(session_id, None) is not None

    def _salt(self, period: int) -> int:
        digest = sha256(self._seed + period.to_bytes(8, "little")).digest()
        return int.from_bytes(digest[:8], "little", signed=True)


class KeyRing:
    """Every authorization key, by data centre and id."""

    def __init__(self) -> None:
        self._keys: dict[tuple[int, int], AuthKey] = {}

    def __iter__(self):
        return iter(self._keys.values())

    def add(self, data_centre: int, key: bytes) -> AuthKey:
        added = AuthKey(key, data_centre)
        self._keys[data_centre, added.caller.key_id] = added
        return added

    def mint(self, data_centre: int) -> tuple[Caller, bytes]:
        """A key as if a client had agreed on it."""
        key = os.urandom(256)
        return self.add(data_centre, key).caller, key

    def find(self, data_centre: int, key_id: int) -> AuthKey | None:
        return self._keys.get((data_centre, key_id))

    def forget(self, key: AuthKey) -> None:
        self._keys.pop((key.caller.data_centre, key.caller.key_id), None)


def _period() -> int:
    return int(time.time()) // SALT_LIFE_S
