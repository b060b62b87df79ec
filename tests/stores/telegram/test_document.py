from hypothesis import given
from hypothesis import strategies as st

from tgdav.stores.base import Locator
from tgdav.stores.telegram.document import (
    CHUNK,
    GRAIN,
    PART,
    TRAILER,
    Place,
    file_name,
    part_count,
    part_of,
    place_of,
    windows,
)

sizes = st.one_of(
    st.integers(0, 3 * PART), st.integers(-20, 20).map(lambda by: max(0, 2 * PART + by))
)


@given(size=sizes)
def test_the_parts_are_the_pack_and_the_trailer(size: int):
    data = bytes(at % 251 for at in range(1000)) * (size // 1000 + 1)
    data = data[:size]
    parts = [part_of(data, part) for part in range(part_count(size))]
    assert b"".join(parts) == data + TRAILER
    # All but the last are equal, as Telegram demands, and none is empty.
    assert {len(part) for part in parts[:-1]} <= {PART}
    assert 0 < len(parts[-1]) <= PART


@given(offset=st.integers(0, 1 << 32), size=st.integers(0, 8 << 20))
def test_windows_bring_what_was_asked_for_within_telegrams_rules(offset: int, size: int):
    at = offset
    for window in windows(offset, size):
        assert window.offset % GRAIN == window.limit % GRAIN == 0
        assert 0 < window.limit <= CHUNK
        assert window.offset // CHUNK == (window.offset + window.limit - 1) // CHUNK
        assert window.offset + window.skip == at
        assert 0 < window.size <= window.limit - window.skip
        assert window.limit - window.skip - window.size < GRAIN
        at += window.size
    assert at == offset + size


@given(offset=st.integers(0, 1 << 32), size=st.integers(1, 8 << 20))
def test_no_more_windows_than_chunks(offset: int, size: int):
    chunks = (offset + size - 1) // CHUNK - offset // CHUNK + 1
    assert len(windows(offset, size)) == chunks


@given(channel=st.integers(1, 10**18), message=st.integers(1, 2**31 - 1))
def test_a_locator_names_its_place(channel: int, message: int):
    place = Place(channel, message)
    assert place_of(place.locator) == place


def test_a_foreign_locator_names_none():
    for foreign in ("", "ab/abcd.pack", "12/", "/12", "1/2/3", "-1/2", "1/x", "1/2\n"):
        assert place_of(Locator(foreign)) is None


def test_a_file_name_is_plain():
    assert file_name(bytes(range(16))) == "000102030405060708090a0b0c0d0e0f.tgdav"
