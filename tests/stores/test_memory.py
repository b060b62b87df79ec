from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contracts.store import StoreContract, pack_id
from tgdav.errors import DiskFull
from tgdav.stores.memory import MemoryStore


class TestMemoryStore(StoreContract):
    @contextmanager
    def make_store(self) -> Iterator[MemoryStore]:
        yield MemoryStore()


def test_a_bounded_store_is_full_at_its_bound():
    store = MemoryStore(limit=100)
    first = store.put(pack_id(1), bytes(60), "")
    store.put(pack_id(2), bytes(40), "")
    with pytest.raises(DiskFull):
        store.put(pack_id(3), b"1", "")
    assert store.put(pack_id(1), bytes(60), "") == first
    store.delete([first, first])
    with pytest.raises(DiskFull):
        store.put(pack_id(3), bytes(61), "")
    store.put(pack_id(3), bytes(60), "")
