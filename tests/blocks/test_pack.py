from pathlib import Path

import pytest
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.form import pack
from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.pack import (
    Caption,
    PackEntry,
    PackHeader,
    PackWriter,
    caption,
    padded_size,
    parse_caption,
    read_header,
    read_pack,
)
from tgdav.blocks.form.seal import AES_GCM, CHACHA20
from tgdav.errors import PackDamaged

GOLDEN = Path(__file__).parent / "golden"
KEYS = Keys(bytes(range(32)))
DRIVE = b"D" * 16
PACK = b"P" * 16
HEADER_SIZE = 50
BLOCKS = [(bytes([n]) * 32, bytes([n]) * (n * 37), n * 100) for n in range(1, 6)]
JOURNAL = b"made a directory\nsaved a file\n" * 20


def write(blocks=BLOCKS, journal=JOURNAL, aead=AES_GCM, **more):
    pieces = []
    writer = PackWriter(lambda data: pieces.append(bytes(data)), KEYS, aead, DRIVE, PACK, **more)
    for block_id, sealed, size in blocks:
        writer.add(block_id, sealed, size)
    if journal:
        writer.journal(journal)
    return b"".join(pieces), writer, pieces


def finished(*args, **more):
    _, writer, pieces = write(*args, **more)
    summary = writer.finish()
    return b"".join(pieces), summary


def read(content, keys=KEYS):
    def exactly(offset, size):
        assert 0 <= offset <= offset + size <= len(content), "a store would raise here"
        return content[offset : offset + size]

    return read_pack(exactly, len(content), keys)


def count():
    drawn = iter(range(1, 100))
    return lambda size: bytes([next(drawn)]) * size


@pytest.mark.parametrize("aead", [AES_GCM, CHACHA20])
@pytest.mark.parametrize("name", ["plain", "journal"])
def test_a_pack_of_every_release_is_understood(aead, name):
    contents = read((GOLDEN / f"pack-1-{aead}-{name}.bin").read_bytes())
    assert (contents.drive_id, contents.pack_id) == (DRIVE, PACK)
    assert [(e.block_id, e.size) for e in contents.entries] == [(b[0], b[2]) for b in BLOCKS]
    assert contents.journal == (JOURNAL if name == "journal" else b"")


@pytest.mark.parametrize("aead", [AES_GCM, CHACHA20])
def test_a_pack_is_written_as_in_every_release(aead):
    content, _ = finished(journal=b"", aead=aead, random_bytes=count())
    assert content == (GOLDEN / f"pack-1-{aead}-plain.bin").read_bytes()


def test_a_pack_explains_itself():
    content, summary = finished()
    contents = read(content)
    assert contents.entries == summary.entries
    assert contents.journal == JOURNAL
    for (block_id, sealed, size), entry in zip(BLOCKS, contents.entries, strict=True):
        assert entry == PackEntry(block_id, entry.offset, len(sealed), size)
        assert content[entry.offset : entry.offset + entry.sealed_size] == sealed


def test_the_summary_is_the_packs():
    content, summary = finished()
    assert summary.size == len(content)
    assert summary.digest == blake3(content).digest()


def test_add_returns_where_the_block_lies():
    content, writer, _ = write(blocks=[])
    assert writer.add(b"a" * 32, b"1234", 9) == len(content) == HEADER_SIZE
    assert writer.add(b"b" * 32, memoryview(b"56"), 9) == HEADER_SIZE + 4


def test_size_tells_how_large_the_pack_would_be():
    blocks = [(bytes([n]) * 32, bytes(9 << 20), 9 << 20) for n in range(2)]
    _, writer, _ = write(blocks, journal=b"")
    foreseen = writer.size
    assert writer.finish().size == foreseen


@settings(max_examples=50, deadline=None)
@given(
    blocks=st.lists(
        st.tuples(
            st.binary(min_size=32, max_size=32),
            st.binary(max_size=3000),
            st.integers(0, 2**32 - 1),
        ),
        max_size=30,
    ),
    journals=st.lists(st.binary(max_size=2000), max_size=3),
    aead=st.sampled_from([AES_GCM, CHACHA20]),
)
def test_what_is_written_is_read(blocks, journals, aead):
    _, writer, pieces = write(blocks, b"", aead)
    for rows in journals:
        writer.journal(rows)
    summary = writer.finish()
    contents = read(b"".join(pieces))
    assert contents.entries == summary.entries
    assert [(e.block_id, e.sealed_size, e.size) for e in contents.entries] == [
        (block_id, len(sealed), size) for block_id, sealed, size in blocks
    ]
    assert contents.journal == b"".join(journals)


def test_only_the_ends_are_read():
    blocks = [(bytes([n]) * 32, bytes(1 << 20), 1 << 20) for n in range(18)]
    content, _ = finished(blocks)
    reads = []

    def watched(offset, size):
        reads.append((offset, size))
        return content[offset : offset + size]

    assert len(read_pack(watched, len(content), KEYS).entries) == 18
    assert reads == [(0, HEADER_SIZE), (len(content) - pack.TAIL, pack.TAIL)]


def test_an_index_longer_than_the_tail_is_read_whole():
    blocks = [(n.to_bytes(32), b"x", 1) for n in range(5000)]
    content, summary = finished(blocks)
    assert read(content).entries == summary.entries


def test_no_byte_of_header_and_index_can_be_changed():
    content, summary = finished(blocks=BLOCKS[:2], journal=b"a row")
    last = summary.entries[-1]
    blocks = range(HEADER_SIZE, last.offset + last.sealed_size)
    for place in set(range(len(content))) - set(blocks):
        damaged = bytearray(content)
        damaged[place] ^= 0x01
        with pytest.raises(PackDamaged):
            read(bytes(damaged))


def test_no_byte_can_be_missing_or_added():
    content, _ = finished()
    for size in range(len(content)):
        with pytest.raises(PackDamaged):
            read(content[:size])
    for other in (content + b"\0", b"\0" + content, content + content):
        with pytest.raises(PackDamaged):
            read(other)


def test_a_pack_that_was_not_finished_is_none():
    content, _, _ = write()
    with pytest.raises(PackDamaged):
        read(content)


def test_parts_of_two_packs_make_none():
    first, _ = finished()
    second, _ = finished(blocks=[(BLOCKS[0][0], *rest) for _, *rest in BLOCKS])
    assert len(first) == len(second)
    for cut in (len(first) - 10, len(first) - 20, len(first) - 50, len(first) - 200):
        with pytest.raises(PackDamaged):
            read(first[:cut] + second[cut:])


def test_a_pack_without_one_of_its_blocks_is_found_out():
    content, summary = finished()
    gone = summary.entries[2]
    end = gone.offset + gone.sealed_size
    with pytest.raises(PackDamaged):
        read(content[: gone.offset] + content[end:])


def test_a_store_that_answers_short_is_found_out():
    content, _ = finished()
    with pytest.raises(PackDamaged):
        read_pack(lambda offset, size: content[offset : offset + size - 1], len(content), KEYS)


def test_another_drives_pack_is_told():
    content, _ = finished()
    with pytest.raises(PackDamaged, match="another drive's key"):
        read(content, Keys(bytes(32)))


def test_a_newer_pack_is_told():
    content, _ = finished()
    with pytest.raises(PackDamaged, match="version 2"):
        read(content[:8] + b"\x02" + content[9:])


def test_the_header_is_for_everybody():
    content, _ = finished(aead=CHACHA20)
    assert read_header(content) == PackHeader(CHACHA20, KEYS.key_id, DRIVE, PACK)
    for other in (b"", content[:49], b"PK\x03\x04" + bytes(100)):
        with pytest.raises(PackDamaged, match="no pack"):
            read_header(other)


def test_nothing_but_the_header_is_clear():
    secret = b"a name that nobody shall read "
    content, _ = finished([], journal=secret)
    assert secret not in content
    assert zstandard.ZstdCompressor().compress(secret)[:12] not in content
    assert content.count(DRIVE) == 1
    assert b"\0" * 8 not in content[HEADER_SIZE:]


def seal_by_hand(index, *, index_size=None):
    """A pack of one 10-byte block with whatever index, sound in all else."""
    header, _, _ = write(blocks=[], journal=b"")
    key = AESGCM(KEYS.pack_key(PACK))
    sealed_index = bytes(12) + key.encrypt(bytes(12), index, header + b"index")
    trailer = (index_size or len(sealed_index)).to_bytes(4)
    sealed_trailer = bytes(12) + key.encrypt(bytes(12), trailer, header + b"trailer")
    return header + bytes(10) + sealed_index + sealed_trailer


ENTRY = bytes(32) + (10).to_bytes(4) + (99).to_bytes(4)
BOMB = zstandard.ZstdCompressor().compress(bytes(1 << 20))


def counts(entries, packed, journal):
    return entries.to_bytes(4) + packed.to_bytes(4) + journal.to_bytes(8)


def test_a_pack_by_hand_is_read():
    index = counts(1, len(BOMB), 1 << 20) + ENTRY + BOMB + bytes(50)
    contents = read(seal_by_hand(index))
    assert contents.entries == (PackEntry(bytes(32), HEADER_SIZE, 10, 99),)
    assert contents.journal == bytes(1 << 20)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        counts(0, 0, 0),
        counts(2, 0, 0) + ENTRY * 2,
        counts(2, 0, 0) + ENTRY,
        counts(2**32 - 1, 0, 0) + ENTRY,
        counts(1, len(BOMB), 5) + ENTRY + BOMB,
        counts(1, len(BOMB), 1 << 20) + ENTRY + BOMB[:-1],
        counts(1, 0, 5) + ENTRY,
        counts(1, 5, 5) + ENTRY + b"12345",
    ],
)
def test_an_index_that_lies_is_found_out(index):
    with pytest.raises(PackDamaged):
        read(seal_by_hand(index))


@pytest.mark.parametrize("index_size", [1, 27, 1000, 2**32 - 1])
def test_a_trailer_that_lies_is_found_out(index_size):
    content = seal_by_hand(counts(1, 0, 0) + ENTRY, index_size=index_size)
    with pytest.raises(PackDamaged):
        read(content)


@settings(max_examples=300)
@given(st.integers(0, 1 << 26))
def test_padding_is_little_and_says_little(size):
    padded = padded_size(size)
    assert size <= padded <= 1.12 * size + 1
    assert padded_size(padded) == padded
    if 2 <= padded < pack.PADDED_BELOW:
        kept = padded.bit_length().bit_length()
        assert padded % (1 << max(0, padded.bit_length() - 1 - kept)) == 0


def test_padding_is_padme():
    # Of the paper: L = 9 has E = 3, S = 2 and one bit to lose.
    assert [padded_size(n) for n in (0, 1, 2, 8, 9, 10, 17, 100, 1000, 1 << 20)] == [
        0, 1, 2, 8, 10, 10, 18, 104, 1024, 1 << 20,
    ]  # fmt: skip


def test_small_packs_are_padded_and_full_ones_are_not():
    sizes = {finished([(b"a" * 32, bytes(n), n)], b"")[1].size for n in range(1000, 1030)}
    assert len(sizes) <= 2
    full = {finished([(b"a" * 32, bytes(n), n)], b"")[1].size for n in (17 << 20, (17 << 20) + 1)}
    assert len(full) == 2


def test_a_caption_is_short_and_plain():
    text = caption(PACK, DRIVE, "snapshot", 2**63 - 1)
    assert text == f"tgdav1 snapshot {'44' * 16} {'50' * 16} 9223372036854775807"
    assert text.isascii()
    assert len(text) <= 200
    assert caption(PACK, DRIVE).startswith("tgdav1 pack ")


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.sampled_from(["pack", "snapshot", "head"]),
    st.integers(0, 2**63 - 1),
)
def test_a_caption_is_parsed_back(pack_id, drive_id, kind, position):
    parsed = parse_caption(caption(pack_id, drive_id, kind, position))
    assert parsed == Caption(kind, drive_id, pack_id, position)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "holiday.jpg",
        caption(PACK, DRIVE) + " ",
        caption(PACK, DRIVE) + "\n",
        " " + caption(PACK, DRIVE),
        caption(PACK, DRIVE).replace("tgdav1", "tgdav2"),
        caption(PACK[:15], DRIVE),
        caption(PACK, DRIVE).replace("0", "٠"),
        caption(PACK, DRIVE, position=10**19),
    ],
)
def test_foreign_captions_are_nobodys(text):
    assert parse_caption(text) is None


@given(st.text())
def test_no_text_breaks_the_parser(text):
    parse_caption(text)
    parse_caption("tgdav1 " + text)
