"""A second factor: Telegram's SRP, the server's half.

Source: core.telegram.org/api/srp.
"""

import secrets
from functools import cached_property
from hashlib import sha256

from telethon.password import big_num_for_hash, compute_hash, xor
from telethon.tl import types

from tests.telegram_server.wire.exchange import PRIME, G

P_BYTES = PRIME.to_bytes(256, "big")
G_BYTES = big_num_for_hash(G)


def _number(*pieces: bytes) -> int:
    return int.from_bytes(sha256(b"".join(pieces)).digest(), "big")


class Challenge:
    """One question; it is answered once."""

    def __init__(self, verifier: int) -> None:
        self.srp_id = secrets.randbits(62)
        self._verifier = verifier
        self._secret = secrets.randbits(2048)
        multiplied = _number(P_BYTES, G_BYTES) * verifier
        self.public = ((multiplied + pow(G, self._secret, PRIME)) % PRIME).to_bytes(256, "big")

    def session_key(self, theirs: bytes) -> bytes:
        """The key that only who knows the password has as well."""
        mixed = _number(theirs, self.public)
        base = int.from_bytes(theirs, "big") * pow(self._verifier, mixed, PRIME)
        return sha256(big_num_for_hash(pow(base, self._secret, PRIME))).digest()


class Password:
    """What an account keeps of its password."""

    def __init__(self, password: str) -> None:
        self._password = password
        self.algorithm = types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(
            salt1=secrets.token_bytes(40), salt2=secrets.token_bytes(16), g=G, p=P_BYTES
        )

    @cached_property
    def _verifier(self) -> int:
        x = int.from_bytes(compute_hash(self.algorithm, self._password), "big")
        return pow(G, x, PRIME)

    def ask(self) -> Challenge:
        return Challenge(self._verifier)

    def accepts(self, challenge: Challenge, answer: types.InputCheckPasswordSRP) -> bool:
        """Whether `answer` shows that the client knows the password."""
        expected = sha256(
            b"".join(
                (
                    xor(sha256(P_BYTES).digest(), sha256(G_BYTES).digest()),
                    sha256(self.algorithm.salt1).digest(),
                    sha256(self.algorithm.salt2).digest(),
                    answer.A.rjust(256, b"\0"),
                    challenge.public,
                    challenge.session_key(answer.A.rjust(256, b"\0")),
                )
            )
        ).digest()
        return secrets.compare_digest(expected, answer.M1)
