import os
import random
import threading
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.form import seal
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.seal import AES_GCM, CHACHA20, RAW, ZSTD, Sealer
from tgdav.errors import BlockDamaged

GOLDEN = Path(__file__).parent / "golden"
KEYS = Keys(bytes(range(32)))
OVERHEAD = 40
TEXT = b"all work and no play makes jack a dull boy\n" * 4000
NOISE = random.Random(2).randbytes(len(TEXT))


@pytest.fixture(params=[AES_GCM, CHACHA20])
def sealer(request):
    return Sealer(KEYS, request.param)


def sealed_by_hand(chunk, body, *, size=None, body_size=None, version=1, codec=ZSTD, aead=AES_GCM):
    """A frame with whatever is in its header, sound in all else."""
    block_id = KEYS.block_id(chunk)
    nonce = bytes(12)
    header = bytes([version, codec, aead, 0])
    header += (len(chunk) if size is None else size).to_bytes(4)
    header += (len(body) if body_size is None else body_size).to_bytes(4)
    mask = KEYS.frame_mask(block_id, nonce, 12)
    masked = bytes(a ^ b for a, b in zip(header, mask, strict=True))
    key = AESGCM(KEYS.sealing_key(block_id))
    return block_id, nonce + masked + key.encrypt(nonce, body, header + block_id)


@pytest.mark.parametrize("aead", [AES_GCM, CHACHA20])
@pytest.mark.parametrize("name", ["raw", "zstd"])
def test_a_frame_of_every_release_opens(aead, name):
    chunk = NOISE[:100] if name == "raw" else TEXT[:1000]
    frame = (GOLDEN / f"frame-1-{aead}-{name}.bin").read_bytes()
    assert Sealer(KEYS, AES_GCM).open(KEYS.block_id(chunk), frame) == chunk


@pytest.mark.parametrize("aead", [AES_GCM, CHACHA20])
def test_a_frame_is_sealed_as_in_every_release(aead):
    sealer = Sealer(KEYS, aead, random_bytes=lambda size: b"\x07" * size)
    chunk = NOISE[:100]
    golden = (GOLDEN / f"frame-1-{aead}-raw.bin").read_bytes()
    assert sealer.seal(KEYS.block_id(chunk), chunk) == golden


def test_the_frame_is_what_the_format_says():
    for chunk, body, codec in [
        (NOISE, NOISE, RAW),
        (TEXT, zstandard.ZstdCompressor(level=1).compress(TEXT), ZSTD),
    ]:
        sealer = Sealer(KEYS, AES_GCM, random_bytes=bytes)
        block_id, frame = sealed_by_hand(chunk, body, codec=codec)
        assert sealer.seal(block_id, chunk) == frame
        assert sealer.open(block_id, frame) == chunk


@settings(max_examples=100)
@given(st.binary(max_size=5000), st.integers(1, 100), st.sampled_from([AES_GCM, CHACHA20]))
def test_what_is_sealed_opens(piece, times, aead):
    chunk = piece * times
    block_id = KEYS.block_id(chunk)
    frame = Sealer(KEYS, aead).seal(block_id, chunk)
    assert Sealer(KEYS, AES_GCM).open(block_id, frame) == chunk
    assert len(frame) <= seal.sealed_bound(len(chunk))


@pytest.mark.parametrize("size", [0, 1, 39, 40, 41, 65536, 262143, 262144, 1 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_of_any_size_is_sealed(sealer, size, kind):
    chunk = random.Random(size).randbytes(size)
    block_id = KEYS.block_id(chunk)
    frame = sealer.seal(block_id, kind(chunk))
    assert type(frame) is bytes
    assert len(frame) == size + OVERHEAD
    assert sealer.open(block_id, kind(frame)) == chunk


@pytest.mark.parametrize("size", [1000, len(TEXT), 1 << 20])
def test_what_shrinks_is_compressed(sealer, size):
    chunk = (TEXT * 10)[:size]
    frame = sealer.seal(KEYS.block_id(chunk), chunk)
    assert len(frame) < 0.2 * size


@pytest.mark.parametrize(("values", "codec"), [(230, RAW), (200, ZSTD)])
def test_a_gain_under_three_percent_is_left(values, codec):
    chunk = bytes(byte % values for byte in NOISE[:100_000])
    frame = Sealer(KEYS, AES_GCM).seal(KEYS.block_id(chunk), chunk)
    assert len(zstandard.ZstdCompressor(level=1).compress(chunk)) < len(chunk)
    assert (RAW if len(frame) == len(chunk) + OVERHEAD else ZSTD) == codec


def test_a_large_chunk_is_probed_at_three_places():
    noise = random.Random(5).randbytes(1 << 20)
    for place in (0, (1 << 19) - (16 << 10), (1 << 20) - (32 << 10)):
        chunk = bytearray(noise)
        chunk[place : place + (32 << 10)] = bytes(32 << 10)
        frame = Sealer(KEYS, AES_GCM).seal(KEYS.block_id(chunk), chunk)
        assert len(frame) < len(chunk)
    # Between the places nobody looks: giving up early is what a probe is for.
    chunk = bytearray(noise)
    chunk[100_000:200_000] = bytes(100_000)
    assert len(Sealer(KEYS, AES_GCM).seal(KEYS.block_id(chunk), chunk)) == len(chunk) + OVERHEAD


def test_two_seals_of_a_chunk_show_nothing_in_common(sealer):
    chunk = NOISE[:5000]
    block_id = KEYS.block_id(chunk)
    frames = [sealer.seal(block_id, chunk) for _ in range(200)]
    # By chance two of 5040 bytes agree at about 20 places; a header in the clear, or
    # one that is masked alike each time, agrees at its 12 always.
    for place in range(24):
        most = max(sum(frame[place] == value for frame in frames) for value in range(256))
        assert most < 20
    assert sum(a == b for a, b in zip(*frames[:2], strict=True)) < 80


@pytest.mark.parametrize("chunk", [NOISE[:60], TEXT[:300]])
def test_no_byte_can_be_changed(sealer, chunk):
    block_id = KEYS.block_id(chunk)
    frame = sealer.seal(block_id, chunk)
    for place in range(len(frame)):
        for flip in (1, 0x80, 0xFF):
            damaged = bytearray(frame)
            damaged[place] ^= flip
            with pytest.raises(BlockDamaged):
                sealer.open(block_id, damaged)


@pytest.mark.parametrize("chunk", [NOISE[:60], TEXT[:300], b""])
def test_no_byte_can_be_missing_or_added(sealer, chunk):
    block_id = KEYS.block_id(chunk)
    frame = sealer.seal(block_id, chunk)
    for size in range(len(frame)):
        with pytest.raises(BlockDamaged):
            sealer.open(block_id, frame[:size])
    for other in (frame + b"\0", b"\0" + frame, frame[1:], frame + frame):
        with pytest.raises(BlockDamaged):
            sealer.open(block_id, other)


def test_a_frame_opens_under_its_own_id_only(sealer):
    first, second = NOISE[:60], NOISE[60:120]
    frame = sealer.seal(KEYS.block_id(first), first)
    with pytest.raises(BlockDamaged, match=f"block {KEYS.block_id(second).hex()[:16]}: "):
        sealer.open(KEYS.block_id(second), frame)


def test_parts_of_two_frames_make_none(sealer):
    chunk = NOISE[:60]
    block_id = KEYS.block_id(chunk)
    first, second = sealer.seal(block_id, chunk), sealer.seal(block_id, chunk)
    for cut in (12, 24, 84):
        with pytest.raises(BlockDamaged):
            sealer.open(block_id, first[:cut] + second[cut:])


def test_another_drives_keys_open_nothing(sealer):
    chunk = NOISE[:60]
    block_id = KEYS.block_id(chunk)
    with pytest.raises(BlockDamaged):
        Sealer(Keys(bytes(32)), AES_GCM).open(block_id, sealer.seal(block_id, chunk))


def test_a_chunk_sealed_under_anothers_id_does_not_open(sealer):
    block_id = KEYS.block_id(b"this one")
    with pytest.raises(BlockDamaged, match="another chunk"):
        sealer.open(block_id, sealer.seal(block_id, b"that one"))


BOMB = zstandard.ZstdCompressor().compress(bytes(64 << 20))


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (BOMB, {}),
        (BOMB, {"size": 64 << 20}),
        (BOMB, {"size": 0xFFFFFFFF}),
        (BOMB, {"size": len(BOMB) + 1}),
        (zstandard.ZstdCompressor(write_content_size=False).compress(TEXT), {}),
        (zstandard.ZstdCompressor().compress(TEXT) + b"more", {}),
        (zstandard.ZstdCompressor().compress(TEXT) * 2, {}),
        (zstandard.ZstdCompressor().compress(TEXT)[:-1], {}),
        (b"no zstd at all", {}),
        (b"", {}),
        (TEXT, {"codec": ZSTD}),
        (TEXT[:-1], {"codec": RAW}),
        (TEXT, {"codec": RAW, "size": len(TEXT) - 1}),
        (TEXT, {"codec": RAW, "size": len(TEXT) - 1, "body_size": len(TEXT) - 1}),
        (zstandard.ZstdCompressor().compress(TEXT), {"codec": 2}),
        (TEXT, {"codec": RAW, "aead": 3}),
        (TEXT, {"codec": RAW, "version": 2}),
    ],
)
def test_a_frame_that_lies_does_not_open(body, header):
    block_id, frame = sealed_by_hand(TEXT, body, **header)
    with pytest.raises(BlockDamaged):
        Sealer(KEYS, AES_GCM).open(block_id, frame)


@pytest.mark.parametrize("codec", [RAW, ZSTD])
def test_no_chunk_is_larger_than_the_largest(codec):
    chunk = bytes(seal.LARGEST + 1)
    body = chunk if codec == RAW else zstandard.ZstdCompressor().compress(chunk)
    block_id, frame = sealed_by_hand(chunk, body, codec=codec)
    with pytest.raises(BlockDamaged):
        Sealer(KEYS, AES_GCM).open(block_id, frame)


def test_a_bomb_takes_no_memory():
    block_id, frame = sealed_by_hand(TEXT, BOMB)
    sealer = Sealer(KEYS, AES_GCM)
    tracemalloc.start()
    try:
        with pytest.raises(BlockDamaged):
            sealer.open(block_id, frame)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_sealer_serves_many_threads(sealer):
    chunks = [random.Random(n).randbytes(1 << 20) for n in range(2)]
    chunks += [(random.Random(n).randbytes(500) * 400)[: n * 20_000] for n in range(10)]
    failures = []

    def run(seed):
        for chunk in random.Random(seed).choices(chunks, k=40):
            block_id = KEYS.block_id(chunk)
            try:
                if sealer.open(block_id, sealer.seal(block_id, chunk)) != chunk:
                    failures.append(len(chunk))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_nonces_are_drawn_anew_for_each_frame():
    drawn = []

    def draw(size):
        drawn.append(os.urandom(size))
        return drawn[-1]

    sealer = Sealer(KEYS, AES_GCM, random_bytes=draw)
    frames = [sealer.seal(KEYS.block_id(b"x"), b"x") for _ in range(3)]
    assert [frame[:12] for frame in frames] == drawn


def test_the_best_aead_is_one_of_the_two():
    assert seal.best_aead() in (AES_GCM, CHACHA20)


def test_a_processor_slow_at_aes_gets_chacha(monkeypatch):
    monkeypatch.setattr(seal, "_time_s", {AES_GCM: 5.0, CHACHA20: 1.0}.__getitem__)
    assert seal.best_aead() == CHACHA20


def test_an_unknown_aead_is_refused():
    with pytest.raises(ValueError, match="number 3"):
        seal.cipher(3, bytes(32))


def test_into_given_memory_is_the_same_as_without(sealer):
    for chunk in (b"", NOISE[:1000], TEXT):
        block_id = KEYS.block_id(chunk)
        frame = sealer.seal_into(lambda size: memoryview(bytearray(size)), block_id, chunk)
        assert sealer.open(block_id, frame) == chunk
        opened = memoryview(bytearray(len(chunk)))
        sealer.open_into(opened, block_id, frame)
        assert opened == chunk


@pytest.mark.parametrize("missed_by", [-1, 1])
def test_a_chunk_of_another_size_than_there_is_room_for_is_refused(sealer, missed_by):
    for chunk in (NOISE[:1000], TEXT):
        block_id = KEYS.block_id(chunk)
        room = memoryview(bytearray(len(chunk) + missed_by))
        with pytest.raises(BlockDamaged):
            sealer.open_into(room, block_id, sealer.seal(block_id, chunk))
