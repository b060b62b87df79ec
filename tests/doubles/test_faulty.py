"""The double is a store; each of its faults is the one that was asked for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contracts.store import StoreContract, content, pack_id
from tests.doubles.faulty import FaultyStore
from tgdav.errors import DiskFull, ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.memory import MemoryStore


class TestFaultyStoreWithoutFaults(StoreContract):
    @contextmanager
    def make_store(self) -> Iterator[FaultyStore]:
        yield FaultyStore(MemoryStore())


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryStore())


def test_the_nth_put_fails_and_keeps_nothing(store: FaultyStore):
    store.fail_put(2, DiskFull("told"))
    store.put(pack_id(1), b"1", "")
    with pytest.raises(DiskFull):
        store.put(pack_id(2), b"2", "")
    store.put(pack_id(3), b"3", "")
    assert store.puts == 3
    assert len(list(store.scan())) == 2


def test_a_failed_put_may_leave_a_stray_replica(store: FaultyStore):
    store.fail_put(1, kept=True)
    with pytest.raises(StoreError):
        store.put(pack_id(1), b"1", "stray")
    assert [listed.caption for listed in store.scan()] == ["stray"]


def test_a_lost_replica_is_gone_until_it_is_put_again(store: FaultyStore):
    locator = store.put(pack_id(1), content(1), "")
    store.lose(locator)
    assert store.probe(locator) is None
    assert list(store.scan()) == []
    with pytest.raises(ReplicaMissing):
        store.read(locator, 0, 1)
    assert store.put(pack_id(1), content(1), "") == locator
    assert store.read(locator, 0, 1000) == content(1)


def test_one_damaged_byte_is_one_damaged_byte(store: FaultyStore):
    locator = store.put(pack_id(1), bytes(10), "")
    store.damage(locator, at=4)
    assert store.read(locator, 0, 10) == bytes(4) + b"\xff" + bytes(5)
    assert store.read(locator, 3, 2) == b"\x00\xff"
    assert store.read(locator, 5, 5) == bytes(5)


def test_busy_once_is_once(store: FaultyStore):
    store.be_busy(3.0)
    with pytest.raises(StoreBusy) as told:
        store.put(pack_id(1), b"1", "")
    assert told.value.retry_after_s == 3.0
    store.put(pack_id(1), b"1", "")


def test_away_and_slow_and_healed(store: FaultyStore):
    locator = store.put(pack_id(1), b"1", "")
    store.is_away = True
    with pytest.raises(StoreError) as told:
        store.probe(locator)
    assert not isinstance(told.value, ReplicaMissing)
    store.lose(locator)
    store.heal()
    store.delay_s = 0.05
    begun = time.monotonic()
    assert store.read(locator, 0, 1) == b"1"
    assert time.monotonic() - begun >= 0.05
    assert store.reads == [(locator, 0, 1)]
