import json
import random
import tracemalloc
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.form.chunker import Chunker, ChunkSizes
from tgdav.blocks.slabs import Slabs

GOLDEN = Path(__file__).parent / "golden"
SMALL = ChunkSizes(256, 1024, 4096)
SEED = 0x1234_5678_9ABC


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


class Stream:
    """A chunker that is fed bytes, and gives what `made` makes of its chunks."""

    def __init__(self, sizes=SMALL, seed=SEED, expected=None, made=bytes):
        self.made = made
        self.slabs = Slabs(0)
        self.chunker = Chunker(sizes, seed, self.slabs, expected=expected)

    def feed(self, data):
        chunks, rest = [], memoryview(data)
        while rest:
            room = self.chunker.room
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            self.chunker.fill(count)
            rest = rest[count:]
            if self.chunker.is_full:
                chunks += self._cut(self.chunker.find())
        return chunks

    def finish(self):
        return self._cut(self.chunker.find(is_end=True))

    def _cut(self, sizes):
        batch = self.chunker.cut(sizes)
        chunks = [self.made(chunk) for chunk in batch.chunks]
        assert batch.size == sum(sizes)
        # It may be anybody's as soon as it is given back.
        for chunk in batch.chunks:
            chunk[0], chunk[-1] = 0, 0
        self.slabs.give(batch.memory)
        return chunks


def cut(data, sizes=SMALL, seed=SEED, feed=None, expected=None):
    stream = Stream(sizes, seed, expected)
    feed = feed or max(1, len(data))
    chunks = []
    for start in range(0, len(data), feed):
        chunks += stream.feed(data[start : start + feed])
    return chunks + stream.finish()


def names(chunks):
    """Short, so that a test that fails says so at once."""
    return [f"{len(chunk)} {blake3(chunk).hexdigest(8)}" for chunk in chunks]


def test_nothing_has_no_chunk():
    assert cut(b"") == []
    stream = Stream()
    assert stream.feed(b"") == stream.finish() == []


@pytest.mark.parametrize("size", [1, 255, 256])
def test_up_to_the_minimum_is_one_chunk(size):
    data = noise(size)
    assert cut(data) == cut(data, feed=7) == [data]


contents = st.one_of(
    st.builds(noise, st.integers(0, 30_000), st.integers(0, 10**6)),
    st.builds(lambda piece, size: (piece * size)[:size], st.binary(min_size=1), st.just(20_000)),
    st.builds(
        lambda seed, zeros: noise(5000, seed) + bytes(zeros) + noise(5000, seed),
        st.integers(0, 10**6),
        st.integers(0, 9000),
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    data=contents,
    feeds=st.lists(st.integers(0, 9000), max_size=40),
    expected=st.none() | st.integers(0, 30_000),
)
def test_cuts_do_not_depend_on_how_bytes_are_fed(data, feeds, expected):
    stream = Stream(expected=expected)
    chunks, start = [], 0
    for size in feeds:
        chunks += stream.feed(data[start : start + size])
        start += size
    chunks += stream.feed(data[start:])
    assert names(chunks + stream.finish()) == names(cut(data))


@settings(max_examples=100, deadline=None)
@given(contents)
def test_chunks_are_the_bytes_and_keep_their_bounds(data):
    chunks = cut(data)
    assert names([b"".join(chunks)]) == names([data])
    assert all(SMALL.min <= len(chunk) <= SMALL.max for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= SMALL.max for chunk in chunks)


@settings(max_examples=50, deadline=None)
@given(data=contents, feed=st.integers(1, 50))
def test_bytes_fed_one_by_one_are_cut_alike(data, feed):
    assert names(cut(data[:5000], feed=feed)) == names(cut(data[:5000]))


def test_equal_sizes_and_seed_give_equal_cuts():
    data = noise(100_000)
    first, second, other = (names(cut(data, seed=seed)) for seed in (5, 5, 6))
    assert first == second != other


def test_cuts_are_those_of_every_release():
    data = blake3(b"what the cuts are tried on").digest(24 << 20)
    golden = json.loads((GOLDEN / "cuts.json").read_text())
    assert [len(chunk) for chunk in cut(data, ChunkSizes(), SEED)] == golden


def test_the_mean_is_the_average():
    lengths = [len(chunk) for chunk in cut(noise(96 << 20), ChunkSizes(), SEED, 1 << 20)[:-1]]
    mean = sum(lengths) / len(lengths)
    assert 0.9 * (1 << 20) < mean < 1.1 * (1 << 20)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_is_the_average_for_every_seed(seed):
    secret = random.Random(seed).getrandbits(63)
    lengths = [len(chunk) for chunk in cut(noise(2 << 20), seed=secret)[:-1]]
    assert 0.95 * 1024 < sum(lengths) / len(lengths) < 1.05 * 1024


def test_a_byte_inserted_at_the_front_changes_few_chunks():
    data = noise(64 << 20, 3)
    before = names(cut(data, ChunkSizes(), feed=1 << 20))
    after = names(cut(b"x" + data, ChunkSizes(), feed=1 << 20))
    assert len(before) > 50
    assert len(set(after) - set(before)) <= 4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 200_000), st.binary(max_size=64), st.integers(0, 64))
def test_an_edit_changes_chunks_near_it_only(seed, place, inserted, removed):
    data = noise(200_000, seed)
    edited = data[:place] + inserted + data[place + removed :]
    changed = set(names(cut(edited))) - set(names(cut(data)))
    assert len(changed) <= 24


def test_a_fed_buffer_may_be_used_again():
    data = noise(50_000)
    stream, buffer, chunks = Stream(), bytearray(1000), []
    for start in range(0, len(data), 1000):
        buffer[:] = data[start : start + 1000]
        chunks += stream.feed(memoryview(buffer))
    assert names(chunks + stream.finish()) == names(cut(data))


@pytest.mark.parametrize("feed", [64 << 10, 1 << 20])
def test_memory_is_one_largest_chunk_and_what_comes_out(feed):
    sizes = ChunkSizes()
    stream, piece = Stream(sizes, made=len), noise(feed)
    tracemalloc.start()
    try:
        for _ in range((16 << 20) // feed):
            stream.feed(piece)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < sizes.max + (64 << 10)
    assert peak < 2 * sizes.max + feed


def test_a_small_file_holds_little_memory():
    tracemalloc.start()
    try:
        stream = Stream(ChunkSizes())
        stream.feed(bytes(4096))
        assert stream.finish() == [bytes(4096)]
        assert tracemalloc.get_traced_memory()[1] < 64 << 10
    finally:
        tracemalloc.stop()
