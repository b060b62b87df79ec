"""Chunk to sealed block and back. Pure, but for the nonce.

A frame is `nonce 12 | masked header 12 | body | tag 16`. The header, `version, codec,
aead, 0, size 4, body size 4`, and the block id are the associated data. The mask (as
in QUIC, RFC 9001, 5.4) hides where each block of a pack ends, so which file was cut.
"""

import os
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tgdav.blocks.form.keys import Keys
from tgdav.errors import BlockDamaged
from tgdav.stores.base import Buffer

AES_GCM = 1
CHACHA20 = 2
RAW = 0
ZSTD = 1

VERSION = 1
NONCE_SIZE = 12
TAG_SIZE = 16
LARGEST = 16 << 20
"""Bytes of a chunk; no frame that claims more is opened."""

PROBED = 256 << 10
"""Bytes from which a chunk is probed before it is compressed whole."""
SAMPLE = 32 << 10
PROBE_RATIO = 0.93
KEEP_RATIO = 0.97

_HEADER = struct.Struct(">BBBxII")
_BODY = NONCE_SIZE + _HEADER.size
_OVERHEAD = _BODY + TAG_SIZE


def cipher(aead: int, key: bytes) -> AESGCM | ChaCha20Poly1305:
    """The cipher that `aead` means; `ValueError` if it means none."""
    if aead == AES_GCM:
        return AESGCM(key)
    if aead == CHACHA20:
        return ChaCha20Poly1305(key)
    raise ValueError(f"no AEAD has the number {aead}")


def best_aead() -> int:
    """AES-256-GCM, unless this processor is slow at it. Takes about a millisecond."""
    return AES_GCM if _time_s(AES_GCM) < 2 * _time_s(CHACHA20) else CHACHA20


def sealed_bound(size: int) -> int:
    """The most bytes that a sealed chunk of `size` can have."""
    return size + _OVERHEAD


class _Header(NamedTuple):
    version: int
    codec: int
    aead: int
    size: int
    body_size: int

    def is_believable(self, sealed_size: int) -> bool:
        if self.version != VERSION or self.codec not in (RAW, ZSTD):
            return False
        if self.codec == RAW and self.size != self.body_size:
            return False
        return self.body_size == sealed_size - _OVERHEAD and self.size <= LARGEST


class _Opening(NamedTuple):
    """A frame whose header was read: what is left to decrypt, and what that takes."""

    nonce: bytes
    plain: bytes
    header: _Header
    body: memoryview


class Sealer:
    """Seals with one AEAD and opens whatever its keys sealed. Any thread.

    `random_bytes` is the source of nonces: never a counter, which a restored
    database would repeat, and never the content.
    """

    def __init__(
        self,
        keys: Keys,
        aead: int,
        level: int = 1,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._keys = keys
        self._aead = aead
        self._random_bytes = random_bytes
        self._workspace = _Workspace(level)

    def seal(self, block_id: bytes, chunk: Buffer) -> bytes:
        """`chunk` compressed if that pays, encrypted and framed; another each time."""
        return bytes(self.seal_into(self._workspace.buffer, block_id, chunk))

    def seal_into(
        self, take: Callable[[int], memoryview], block_id: bytes, chunk: Buffer
    ) -> memoryview:
        """As `seal`, into what `take` gives for as many bytes as it has become."""
        codec, body = self._workspace.compress(chunk)
        nonce = self._random_bytes(NONCE_SIZE)
        header = _HEADER.pack(VERSION, codec, self._aead, len(chunk), len(body))
        target = take(len(body) + _OVERHEAD)
        target[:NONCE_SIZE] = nonce
        target[NONCE_SIZE:_BODY] = self._masked(block_id, nonce, header)
        aead = cipher(self._aead, self._keys.sealing_key(block_id))
        aead.encrypt_into(nonce, body, header + block_id, target[_BODY:])
        return target

    def open(self, block_id: bytes, sealed: Buffer) -> bytes:
        """The chunk that was sealed under `block_id`.

        Raises `BlockDamaged` if it is not the chunk of this id and these keys, down to
        the last byte; spends no more memory than `LARGEST` on finding out.
        """
        opening = self._read_header(block_id, sealed)
        chunk = bytearray(opening.header.size)
        self._decrypt(opening, block_id, memoryview(chunk))
        return bytes(chunk)

    def open_into(self, target: memoryview, block_id: bytes, sealed: Buffer) -> None:
        """As `open`, into `target`, which has the size that the chunk should have."""
        opening = self._read_header(block_id, sealed)
        if opening.header.size != len(target):
            raise _damaged(block_id, f"{opening.header.size} bytes, not {len(target)}")
        self._decrypt(opening, block_id, target)

    def _read_header(self, block_id: bytes, sealed: Buffer) -> "_Opening":
        frame = memoryview(sealed)
        if len(frame) < _OVERHEAD:
            raise _damaged(block_id, f"{len(frame)} bytes are no frame")
        nonce = bytes(frame[:NONCE_SIZE])
        plain = self._masked(block_id, nonce, bytes(frame[NONCE_SIZE:_BODY]))
        header = _Header(*_HEADER.unpack(plain))
        if not header.is_believable(len(frame)):
            raise _damaged(block_id, "its header cannot be believed")
        return _Opening(nonce, plain, header, frame[_BODY:])

    def _decrypt(self, opening: "_Opening", block_id: bytes, target: memoryview) -> None:
        """Open into `target`, which has the header's size, and look whether it is that chunk."""
        nonce, plain, header, body = opening
        try:
            aead = cipher(header.aead, self._keys.sealing_key(block_id))
            if header.codec == RAW:
                aead.decrypt_into(nonce, body, plain + block_id, target)
            else:
                compressed = self._workspace.buffer(header.body_size)
                aead.decrypt_into(nonce, body, plain + block_id, compressed)
                self._workspace.decompress(compressed, target)
        except (InvalidTag, ValueError, zstandard.ZstdError) as error:
            raise _damaged(block_id, "it does not open") from error
        if self._keys.block_id(target) != block_id:
            raise _damaged(block_id, "it holds another chunk")

    def _masked(self, block_id: bytes, nonce: bytes, header: bytes) -> bytes:
        """`header` masked, or unmasked: it is the same."""
        mask = self._keys.frame_mask(block_id, nonce, _HEADER.size)
        masked = int.from_bytes(header) ^ int.from_bytes(mask)
        return masked.to_bytes(_HEADER.size)


class _Workspace(threading.local):
    """One thread's zstd objects, which no two may share, and a buffer used again.

    A fresh buffer for each block costs more in page faults than encrypting it.
    """

    def __init__(self, level: int) -> None:
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._decompressor = zstandard.ZstdDecompressor()
        self._buffer = bytearray()

    def buffer(self, size: int) -> memoryview:
        """`size` bytes of anything, valid until this thread asks again."""
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        return memoryview(self._buffer)[:size]

    def compress(self, chunk: Buffer) -> tuple[int, Buffer]:
        """The codec that pays, and the chunk in it."""
        if len(chunk) >= PROBED and not self._probe(memoryview(chunk)):
            return RAW, chunk
        smaller = self._compressor.compress(chunk)
        return (ZSTD, smaller) if len(smaller) < KEEP_RATIO * len(chunk) else (RAW, chunk)

    def _probe(self, chunk: memoryview) -> bool:
        """True if a sample promises that compressing the whole is worth its time."""
        middle = (len(chunk) - SAMPLE) // 2
        sample = b"".join((chunk[:SAMPLE], chunk[middle : middle + SAMPLE], chunk[-SAMPLE:]))
        return len(self._compressor.compress(sample)) <= PROBE_RATIO * len(sample)

    def decompress(self, compressed: memoryview, target: memoryview) -> None:
        """Fill `target` exactly; `ValueError` or `ZstdError` if that is not what it takes."""
        if zstandard.frame_content_size(compressed) != len(target):
            raise ValueError("the codec's size is not the header's")
        # Three times as fast as into bytes of its own, whose pages are new each time.
        with self._decompressor.stream_reader(compressed) as reader:
            filled = reader.readinto(target)
            if filled != len(target) or reader.read(1):
                raise ValueError("the codec's bytes are more or fewer")


def _damaged(block_id: bytes, why: str) -> BlockDamaged:
    return BlockDamaged(f"block {block_id.hex()[:16]}: {why}")


def _time_s(aead: int) -> float:
    """The best of three: seconds to encrypt 64 KiB."""
    tool, data = cipher(aead, bytes(32)), bytes(64 << 10)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        tool.encrypt(bytes(NONCE_SIZE), data, None)
        times.append(time.perf_counter() - start)
    return min(times)
