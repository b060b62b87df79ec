"""Checksums that come with a body, counted while it is read. Pure.

ownCloud's `OC-Checksum`, `Content-MD5`, `Digest` (RFC 3230), and `Content-Digest` and
`Repr-Digest` (RFC 9530). An algorithm that we do not know is no promise, so none is broken.
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from tgdav.errors import ChecksumMismatch

LONGEST_KEPT = 128
"""Characters that a version has for them."""
TOLD = ("SHA1", "MD5")
"""Counted for whoever sends an `OC-Checksum`: rclone sends SHA1 and then compares MD5."""

_HEXADECIMAL = re.compile(r"([A-Za-z0-9-]+):([^\s,]*)")
_BASE64 = re.compile(r"([A-Za-z0-9-]+)=:?([A-Za-z0-9+/]+={0,2})")


class Hash(Protocol):
    """What `hashlib` gives."""

    def update(self, data: memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


class Adler32:
    """zlib's Adler-32 with the face of `hashlib`."""

    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_HASHES: dict[str, Callable[[], Hash]] = {
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "ADLER32": Adler32,
}


class Claim(NamedTuple):
    """What the client says that a body's digest is."""

    algorithm: str
    digest: bytes


class Checksums:
    """The digests of one body, beside what was claimed of it. Used by one thread."""

    def __init__(self, headers: Mapping[str, str], *, whole: bool = True) -> None:
        """Take the claims of `headers`; of a partial body (not `whole`) only its own."""
        kept = list(_oc_checksum(headers)) if whole else []
        self._claims = kept + list(_content_claims(headers))
        if whole:
            self._claims += _representation_claims(headers)
        self._kept = dict.fromkeys((*TOLD, *(claim.algorithm for claim in kept))) if kept else {}
        names = {*self._kept, *(claim.algorithm for claim in self._claims)}
        self._hashes = {name: _HASHES[name]() for name in names}

    def update(self, data: memoryview) -> None:
        for each in self._hashes.values():
            each.update(data)

    def verify(self) -> str:
        """What to keep with the version: "SHA1:0a… MD5:…", or "" without an `OC-Checksum`.

        Raises `ChecksumMismatch`.
        """
        digests = {name: each.digest() for name, each in self._hashes.items()}
        for claim in self._claims:
            if digests[claim.algorithm] != claim.digest:
                raise ChecksumMismatch(f"the body has another {claim.algorithm}")
        text = ""
        for name in self._kept:
            longer = f"{text} {name}:{digests[name].hex()}".strip()
            text = longer if len(longer) <= LONGEST_KEPT else text
        return text


def _oc_checksum(headers: Mapping[str, str]) -> Iterator[Claim]:
    for name, digest in _HEXADECIMAL.findall(headers.get("OC-Checksum", "")):
        if (algorithm := _known(name)) is not None:
            yield Claim(algorithm, _decoded(digest, binascii.unhexlify))


def _content_claims(headers: Mapping[str, str]) -> Iterator[Claim]:
    if "Content-MD5" in headers:
        yield Claim("MD5", _decoded(headers["Content-MD5"].strip(), base64.b64decode))
    yield from _digests(headers.get("Content-Digest", ""))


def _representation_claims(headers: Mapping[str, str]) -> Iterator[Claim]:
    for name in ("Digest", "Repr-Digest"):
        yield from _digests(headers.get(name, ""))


def _digests(value: str) -> Iterator[Claim]:
    for name, digest in _BASE64.findall(value):
        algorithm = _known(name)
        # RFC 3230 writes Adler-32 in hexadecimal, and no client of ours sends it so.
        if algorithm is not None and algorithm != "ADLER32":
            yield Claim(algorithm, _decoded(digest, base64.b64decode))


def _known(name: str) -> str | None:
    """Our name of an algorithm that is spelled SHA1, sha-256, SHA ..."""
    algorithm = name.upper().replace("-", "")
    algorithm = "SHA1" if algorithm == "SHA" else algorithm
    return algorithm if algorithm in _HASHES else None


def _decoded(text: str, decode: Callable[[str], bytes]) -> bytes:
    """The bytes of a digest; none, which fits no body, when `text` is not one."""
    try:
        return decode(text)
    except ValueError:
        return b""
