"""Small secrets at rest in the database: logins, keys, invitations.

Sealed under a key of their own, and to what they belong to: a value moved to another
row does not open.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tgdav.blocks.form.keys import Keys
from tgdav.errors import DatabaseError

NONCE = 12


class Safe:
    """`nonce 12 | ciphertext | tag 16` by AES-256-GCM. Any thread."""

    def __init__(self, keys: Keys) -> None:
        self._aead = AESGCM(keys.derive("account session"))

    def seal(self, secret: bytes, of: str) -> bytes:
        """`secret` as only `open` with the same `of` gives it back."""
        nonce = os.urandom(NONCE)
        return nonce + self._aead.encrypt(nonce, secret, of.encode())

    def open(self, sealed: bytes, of: str) -> bytes:
        """What was sealed as the secret of `of`. Raises `DatabaseError` if nothing was."""
        try:
            return self._aead.decrypt(sealed[:NONCE], sealed[NONCE:], of.encode())
        except (InvalidTag, ValueError) as error:
            raise DatabaseError(f"the secret of {of} in the database is damaged") from error
