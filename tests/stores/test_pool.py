import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.contracts.store import content, in_threads, pack_id
from tests.doubles.faulty import FaultyStore
from tgdav.errors import (
    ContentLost,
    DiskFull,
    PackDamaged,
    ReplicaMissing,
    StoreBusy,
    StoreError,
)
from tgdav.stores.base import Locator
from tgdav.stores.memory import MemoryStore
from tgdav.stores.pool import Replica, StorePool

PACK = pack_id(1)
DATA = content(1)


class Stores:
    """Three stores in memory, numbered 1, 2, 3, in a pool that reports what it finds bad."""

    def __init__(self, copies: int) -> None:
        self.pool = StorePool(copies)
        self.reported: list[tuple[int, type[Exception]]] = []
        self.pool.on_bad = lambda replica, error: self.reported.append((replica.store, type(error)))
        self.of = {no: FaultyStore(MemoryStore()) for no in (1, 2, 3)}
        for no, store in self.of.items():
            self.pool.set(no, store, writable=True)

    def put(self, *, present: tuple[int, ...] = ()) -> list[Replica]:
        return list(self.pool.put(PACK, DATA, "a caption", present=present))

    def keeping(self) -> list[int]:
        return [no for no, store in self.of.items() if list(store.scan())]

    def replicas(self) -> list[Replica]:
        return [Replica(no, Locator(PACK.hex())) for no in self.keeping()]


@pytest.fixture
def stores() -> Stores:
    return Stores(copies=2)


# Putting.


def test_a_pack_gets_the_promised_replicas_and_no_more(stores: Stores):
    assert [replica.store for replica in stores.put()] == [1, 2]
    assert stores.keeping() == [1, 2]
    assert all(listed.caption == "a caption" for listed in stores.of[1].scan())


def test_each_replica_is_told_before_the_next_is_made(stores: Stores):
    putting = stores.pool.put(PACK, DATA, "")
    assert stores.keeping() == []
    assert next(putting).store == 1
    assert stores.keeping() == [1]


def test_replicas_that_are_there_count(stores: Stores):
    assert [replica.store for replica in stores.put(present=(1,))] == [2]
    assert stores.put(present=(1, 3)) == []
    assert stores.keeping() == [2]


def test_a_replica_in_a_store_that_is_not_at_hand_counts(stores: Stores):
    assert [replica.store for replica in stores.put(present=(77,))] == [1]


def test_a_store_that_is_not_writable_gets_nothing(stores: Stores):
    stores.pool.set(1, stores.of[1], writable=False)
    assert [replica.store for replica in stores.put()] == [2, 3]


@pytest.mark.parametrize("error", [StoreError("broken"), StoreBusy("later"), DiskFull("full")])
def test_a_store_that_fails_is_passed_over_and_logged(
    stores: Stores, error: Exception, caplog: pytest.LogCaptureFixture
):
    stores.of[1].fail_put(1, error)
    assert [replica.store for replica in stores.put()] == [2, 3]
    assert caplog.messages == [f"store 1 passed over: {error}"]


@pytest.mark.parametrize("error", [StoreError("broken"), StoreBusy("later", 7), DiskFull("full")])
def test_the_last_failure_is_raised_after_what_could_be_had(
    stores: Stores, error: Exception, caplog: pytest.LogCaptureFixture
):
    stores.of[1].fail_put(1, StoreError("the first failure"))
    stores.of[3].fail_put(1, error)
    putting = stores.pool.put(PACK, DATA, "")
    assert next(putting).store == 2
    with pytest.raises(type(error)) as told:
        next(putting)
    assert told.value is error
    assert stores.keeping() == [2]
    assert caplog.record_tuples == [], "what is raised is not logged"


def test_too_few_stores_is_an_error_that_says_how_many():
    pool = StorePool(copies=3)
    pool.set(1, MemoryStore(), writable=True)
    putting = pool.put(PACK, DATA, "")
    assert next(putting).store == 1
    with pytest.raises(StoreError, match="3 replicas are promised, and stores for 1 are there"):
        next(putting)


def test_an_error_that_nobody_foresaw_is_not_hidden(stores: Stores):
    stores.of[1].fail_put(1, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        stores.put()


def test_a_put_that_failed_halfway_can_be_done_again(stores: Stores):
    stores.of[2].fail_put(1, kept=True)
    stores.of[3].fail_put(1)
    with pytest.raises(StoreError):
        stores.put()
    assert [replica.store for replica in stores.put(present=(1,))] == [2]
    assert [len(list(store.scan())) for store in stores.of.values()] == [1, 1, 0]


# Reading.


def test_any_sound_replica_will_do_and_the_bad_are_reported(stores: Stores):
    first, second = stores.put()
    stores.of[1].lose(first.locator)
    assert stores.pool.read([first, second], 10, 100) == DATA[10:110]
    assert stores.reported == [(1, ReplicaMissing)]


def test_bytes_that_are_not_sound_are_passed_over(stores: Stores):
    first, second = stores.put()
    stores.of[1].damage(first.locator, at=50)
    sound = DATA[10:110].__eq__
    assert stores.pool.read([first, second], 10, 100, sound) == DATA[10:110]
    assert stores.reported == [(1, PackDamaged)]
    assert stores.pool.read([first], 60, 100, DATA[60:160].__eq__) == DATA[60:160]


def test_memory_is_filled_from_the_first_replica_that_is_sound(stores: Stores):
    first, second = stores.put()
    stores.of[1].damage(first.locator, at=50)
    target = bytearray(100)
    stores.pool.read_into([first, second], 10, memoryview(target), lambda: target == DATA[10:110])
    assert target == DATA[10:110]
    assert stores.reported == [(1, PackDamaged)]


def test_a_store_out_of_reach_is_passed_over_and_reported(stores: Stores):
    replicas = stores.put()
    stores.of[1].is_away = True
    assert stores.pool.read(replicas, 0, 1000) == DATA
    assert stores.reported == [(1, StoreError)]


def test_a_busy_store_is_passed_over_and_nothing_is_said_against_it(stores: Stores):
    replicas = stores.put()
    stores.of[1].be_busy()
    assert stores.pool.read(replicas, 0, 1000) == DATA
    assert stores.reported == []


def test_local_stores_are_read_first(stores: Stores):
    replicas = stores.put()
    stores.of[1].limits = replace(stores.of[1].limits, local=False)
    assert not stores.pool.is_local(1)
    assert stores.pool.is_local(2)
    assert not stores.pool.is_local(77)
    assert stores.pool.read(replicas, 0, 1000) == DATA
    assert [len(store.reads) for store in stores.of.values()] == [0, 1, 0]


def test_replicas_that_are_alike_are_read_in_the_order_given(stores: Stores):
    stores.pool.read(stores.put()[::-1], 0, 1000)
    assert [len(store.reads) for store in stores.of.values()] == [0, 1, 0]


def test_lost_is_what_is_missing_or_damaged_everywhere(stores: Stores):
    first, second = stores.put()
    stores.of[1].lose(first.locator)
    stores.of[2].damage(second.locator)
    with pytest.raises(ContentLost, match="none of 2 replicas"):
        stores.pool.read([first, second], 0, 1000, DATA.__eq__)
    assert stores.reported == [(1, ReplicaMissing), (2, PackDamaged)]
    with pytest.raises(ContentLost):
        stores.pool.read([], 0, 1000)


def test_out_of_reach_is_not_lost(stores: Stores):
    first, second = stores.put()
    stores.of[1].is_away = True
    stores.of[2].lose(second.locator)
    with pytest.raises(StoreError, match="away"):
        stores.pool.read([first, second], 0, 1000)
    stores.of[1].is_away = False
    stores.pool.drop(1)
    with pytest.raises(StoreError, match="store 1 is not at hand"):
        stores.pool.read([first, second], 0, 1000)


def test_busy_is_said_when_waiting_may_help(stores: Stores):
    first, second = stores.put()
    stores.of[1].lose(first.locator)
    stores.of[2].be_busy(9.0)
    with pytest.raises(StoreBusy) as told:
        stores.pool.read([first, second], 0, 1000)
    assert told.value.retry_after_s == 9.0
    assert stores.reported == [(1, ReplicaMissing)]


# Which stores there are.


def test_stores_come_and_go(stores: Stores):
    assert stores.pool.numbers() == [1, 2, 3]
    stores.pool.drop(2)
    stores.pool.drop(77)
    assert stores.pool.numbers() == [1, 3]
    assert (stores.pool.has(1), stores.pool.has(2)) == (True, False)
    assert [replica.store for replica in stores.put()] == [1, 3]
    with pytest.raises(StoreError):
        stores.of[2].probe(Locator("closed"))


def test_a_store_that_is_replaced_is_closed_and_the_same_one_is_not(stores: Stores):
    stores.pool.set(1, stores.of[1], writable=False)
    stores.of[1].probe(Locator("open"))
    stores.pool.set(1, MemoryStore(), writable=True)
    with pytest.raises(StoreError):
        stores.of[1].probe(Locator("closed"))


def test_a_closed_pool_has_closed_its_stores(stores: Stores):
    stores.pool.close()
    assert stores.pool.numbers() == []
    for store in stores.of.values():
        with pytest.raises(StoreError):
            store.probe(Locator("closed"))


def test_dropping_waits_for_a_running_read(stores: Stores):
    replicas = stores.put()
    begun, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[Locator]:
        begun.set()
        assert go_on.wait(20)
        yield replicas[0].locator

    with ThreadPoolExecutor() as threads:
        deleting = threads.submit(stores.of[1].delete, slowly())
        assert begun.wait(20)
        dropping = threads.submit(stores.pool.drop, 1)
        with pytest.raises(TimeoutError):
            dropping.result(0.1)
        go_on.set()
        dropping.result(20)
        deleting.result(0)


def test_many_threads_while_stores_come_and_go(stores: Stores, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)

    def work(thread: int) -> None:
        for n in range(thread, 80, 8):
            if thread == 0:
                stores.pool.set(4 + n % 2, MemoryStore(), writable=True)
                stores.pool.drop(4 + (n + 1) % 2)
            data = content(n)
            replicas = list(stores.pool.put(pack_id(n), data, str(n)))
            assert [replica.store for replica in replicas] == [1, 2]
            assert stores.pool.read(replicas, 0, 1000, data.__eq__) == data

    in_threads(work)


# How much at once.


def test_the_store_that_takes_most_says_how_many_writes_help(stores: Stores):
    pool = stores.pool
    assert StorePool().write_concurrency() == 1
    limits = stores.of[1].limits
    stores.of[2].limits = replace(limits, concurrency=30)
    assert pool.write_concurrency() == 30
    pool.set(2, stores.of[2], writable=False)
    assert pool.write_concurrency() == limits.concurrency


def test_the_nearest_replica_says_how_many_reads_help(stores: Stores):
    replicas = stores.put()
    far = replace(stores.of[1].limits, concurrency=30, local=False)
    stores.of[1].limits = far
    assert stores.pool.read_concurrency(replicas) == stores.of[2].limits.concurrency
    stores.pool.drop(2)
    assert stores.pool.read_concurrency(replicas) == 30
    assert stores.pool.read_concurrency([]) == 1
