"""The drive's keys: everything secret comes from 32 random bytes. Pure.

Each use has a label of its own, so no key serves two purposes; each block and each
pack has a key of its own, so a nonce drawn twice by chance betrays nothing.
"""

import json
import os
import unicodedata
from dataclasses import dataclass
from typing import Any

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tgdav.errors import KeyRefused, PasswordRefused
from tgdav.stores.base import Buffer

MASTER_SIZE = 32
WRAPPED_LIMIT = 4096
"""Bytes; a wrapped key is about 300, and a forged one shall not cost more to read."""
_SHA256 = SHA256()


class Keys:
    """What one master key opens. Immutable; any thread. Its repr is no secret."""

    __slots__ = ("_frame_root", "_id_key", "_pack_root", "_seal_root", "key_id", "master")

    def __init__(self, master: bytes) -> None:
        if len(master) != MASTER_SIZE:
            raise KeyRefused(f"a master key has {MASTER_SIZE} bytes, not {len(master)}")
        self.master = master
        self.key_id = self.derive("key id")[:8]
        """Says which master key, not what it is; in the clear in every pack."""
        self._id_key = self.derive("block id")
        self._seal_root = self.derive("block")
        self._frame_root = self.derive("frame header")
        self._pack_root = self.derive("pack index")

    @classmethod
    def generate(cls) -> "Keys":
        """Keys that nobody has had before."""
        return cls(os.urandom(MASTER_SIZE))

    def __repr__(self) -> str:
        return f"<Keys {self.key_id.hex()}>"

    def derive(self, label: str) -> bytes:
        """32 bytes for one purpose; they tell nothing of any other label's."""
        return _hkdf(self.master, b"", label.encode(), 32)

    def block_id(self, chunk: Buffer) -> bytes:
        """The chunk's 32-byte name; without the key it confirms no content."""
        return blake3(chunk, key=self._id_key).digest()

    def sealing_key(self, block_id: bytes) -> bytes:
        """The 32-byte key of one block."""
        return _hkdf(self._seal_root, block_id, b"block", 32)

    def frame_mask(self, block_id: bytes, nonce: bytes, size: int) -> bytes:
        """What hides a frame's header, `size` bytes; another for each nonce."""
        return _hkdf(self._frame_root, block_id + nonce, b"frame header", size)

    def pack_key(self, pack_id: bytes) -> bytes:
        """The 32-byte key of one pack's index and trailer."""
        return _hkdf(self._pack_root, pack_id, b"pack index", 32)

    @property
    def chunk_seed(self) -> int:
        """What the chunker's cuts depend on: 63 bits, all that it takes."""
        return int.from_bytes(self.derive("chunk seed")[:8]) >> 1


def _hkdf(key: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(_SHA256, length, salt, b"tgdav/1 " + purpose).derive(key)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs: Argon2id's passes, memory and lanes."""

    t: int = 3
    m_kib: int = 256 * 1024
    p: int = 4

    def check(self) -> None:
        """Raise `KeyRefused` if it is too cheap to protect, or would eat the machine."""
        if not (1 <= self.t <= 10 and 64 <= self.m_kib / 1024 <= 1024 and 1 <= self.p <= 16):
            found = f"t={self.t} m={self.m_kib} KiB p={self.p}"
            raise KeyRefused(f"the passphrase's cost is out of bounds: {found}")


def wrap(master: bytes, passphrase: str, cost: Cost | None = None) -> bytes:
    """`master` as JSON that only `passphrase` opens.

    Takes seconds and `cost.m_kib` of memory. Raises `PasswordRefused` if the
    passphrase is empty, `KeyRefused` if the cost is out of bounds.
    """
    if not passphrase:
        raise PasswordRefused("an empty passphrase protects nothing")
    cost = cost or Cost()
    salt, nonce = os.urandom(16), os.urandom(12)
    ciphertext = _wrapping(passphrase, salt, cost).encrypt(nonce, master, _bound(salt, cost))
    fields = {
        "version": 1,
        "kdf": "argon2id",
        "salt": salt.hex(),
        "t": cost.t,
        "m_kib": cost.m_kib,
        "p": cost.p,
        "nonce": nonce.hex(),
        "ciphertext": ciphertext.hex(),
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def unwrap(wrapped: bytes, passphrase: str) -> bytes:
    """The master key in `wrapped`.

    Raises `KeyRefused`: wrong passphrase, damaged, or a cost out of bounds, which is
    found before anything is spent on it.
    """
    salt, nonce, ciphertext, cost = _parse(wrapped)
    try:
        return _wrapping(passphrase, salt, cost).decrypt(nonce, ciphertext, _bound(salt, cost))
    except InvalidTag as error:
        raise KeyRefused("the passphrase does not open this key") from error


def _parse(wrapped: bytes) -> tuple[bytes, bytes, bytes, Cost]:
    try:
        fields: dict[str, Any] = json.loads(wrapped) if len(wrapped) <= WRAPPED_LIMIT else {}
        if (fields["version"], fields["kdf"]) != (1, "argon2id"):
            raise KeyRefused("a wrapped key of a kind that this tgdav does not know")
        cost = Cost(*(_whole(fields[name]) for name in ("t", "m_kib", "p")))
        salt, nonce, ciphertext = (
            bytes.fromhex(fields[name]) for name in ("salt", "nonce", "ciphertext")
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeyRefused("the wrapped key is damaged") from error
    if (len(salt), len(nonce), len(ciphertext)) != (16, 12, MASTER_SIZE + 16):
        raise KeyRefused("the wrapped key is damaged")
    return salt, nonce, ciphertext, cost


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(type(value))
    return value


def _wrapping(passphrase: str, salt: bytes, cost: Cost) -> AESGCM:
    cost.check()
    # One keyboard sends é as one code point, another as two; both mean the same.
    typed = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    try:
        kdf = Argon2id(
            salt=salt, length=32, iterations=cost.t, lanes=cost.p, memory_cost=cost.m_kib
        )
        return AESGCM(kdf.derive(typed))
    except MemoryError as error:
        raise KeyRefused(f"opening the key takes {cost.m_kib // 1024} MiB of memory") from error


def _bound(salt: bytes, cost: Cost) -> bytes:
    """What the ciphertext is bound to, so that no field can be exchanged."""
    return b"tgdav wrapped key 1 argon2id %d %d %d " % (cost.t, cost.m_kib, cost.p) + salt
