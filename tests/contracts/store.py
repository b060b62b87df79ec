"""What every store must do. A subclass supplies `make_store`, and nothing else."""

import dataclasses
import string
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tgdav.errors import ReplicaMissing, StoreError
from tgdav.stores.base import Listed, Locator, Store

PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " "
# A caption stands between other texts, so blanks at its ends may be lost.
captions = st.text(PRINTABLE, max_size=200).map(str.strip)
THREADS = 8

# Each subclass runs a property on its own store: that is what the contract is for.
few = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors],
)


def pack_id(number: int) -> bytes:
    """An id whose first byte differs from its neighbours'."""
    return bytes([number * 7 % 256]) + number.to_bytes(15, "big")


def content(number: int, size: int = 1000) -> bytes:
    return (number.to_bytes(4, "big") * (size // 4 + 1))[:size]


class StoreContract:
    """Collected only as a subclass whose name begins with `Test`."""

    def make_store(self) -> AbstractContextManager[Store]:
        """A new store without packs; what it took is given back at the end."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        with self.make_store() as store:
            yield store

    # What is put is there.

    @few
    @given(data=st.binary(max_size=3000), draw=st.data(), caption=captions)
    def test_every_range_of_a_pack_is_read_as_it_was_put(
        self, data: bytes, draw: st.DataObject, caption: str
    ):
        start = draw.draw(st.integers(0, len(data)))
        stop = draw.draw(st.integers(start, len(data)))
        with self.make_store() as store:
            locator = store.put(pack_id(1), data, caption)
            assert store.read(locator, start, stop - start) == data[start:stop]
            target = bytearray(stop - start)
            store.read_into(locator, start, memoryview(target))
            assert target == data[start:stop]
            assert store.probe(locator) == len(data)
            assert list(store.scan()) == [Listed(locator, caption, len(data))]

    @few
    @given(size=st.integers(0, 2000), start=st.integers(0, 2**40), more=st.integers(1, 2**31))
    def test_bytes_behind_the_end_are_missing_never_short(self, size: int, start: int, more: int):
        with self.make_store() as store:
            locator = store.put(pack_id(1), bytes(size), "")
            with pytest.raises(ReplicaMissing):
                store.read(locator, min(start, size), size - min(start, size) + more)
            with pytest.raises(ReplicaMissing):
                store.read(locator, size + start, more)
            with pytest.raises(ReplicaMissing):
                store.read_into(locator, size + start, memoryview(bytearray(1 + more % 5000)))

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_is_taken_and_may_change_afterwards(self, store: Store, kind: type):
        data = bytearray(content(1, 100_000))
        locator = store.put(pack_id(1), kind(data), "")
        data[:] = bytes(100_000)
        assert store.read(locator, 0, 100_000) == content(1, 100_000)

    def test_a_pack_of_a_usual_size(self, store: Store):
        data = content(7, 32 << 20)
        locator = store.put(pack_id(1), data, "a caption")
        assert store.read(locator, (32 << 20) - 5, 5) == data[-5:]
        assert store.read(locator, 0, 32 << 20) == data

    def test_a_pack_larger_than_the_limit_is_refused(self, store: Store):
        store.limits = dataclasses.replace(store.limits, largest_pack=100)
        store.put(pack_id(1), bytes(100), "")
        with pytest.raises(StoreError):
            store.put(pack_id(2), bytes(101), "")
        assert [listed.size for listed in store.scan()] == [100]

    def test_the_same_pack_put_twice_is_one_replica(self, store: Store):
        first = store.put(pack_id(1), content(1), "a caption")
        again = store.put(pack_id(1), content(1), "a caption")
        assert store.read(first, 0, 1000) == store.read(again, 0, 1000) == content(1)
        assert len(list(store.scan())) == 1

    def test_a_deleted_pack_can_be_put_again(self, store: Store):
        store.delete([store.put(pack_id(1), content(1), "a caption")])
        locator = store.put(pack_id(1), content(1), "a caption")
        assert store.read(locator, 0, 1000) == content(1)

    # What is absent is said to be absent.

    def absent(self, store: Store) -> Locator:
        locator = store.put(pack_id(9), content(9), "")
        store.delete([locator])
        return locator

    def test_an_absent_replica(self, store: Store):
        locator = self.absent(store)
        assert store.probe(locator) is None
        assert list(store.scan()) == []
        for size in (0, 1, 1000):
            with pytest.raises(ReplicaMissing):
                store.read(locator, 0, size)

    def test_deleting_what_is_absent_is_no_error(self, store: Store):
        gone, kept = self.absent(store), store.put(pack_id(1), content(1), "")
        dropped = store.put(pack_id(2), content(2), "")
        store.delete([gone, dropped, gone, dropped])
        store.delete([])
        assert store.probe(dropped) is None
        assert store.read(kept, 0, 1000) == content(1)

    def test_what_is_deleted_may_come_from_a_generator(self, store: Store):
        locators = [store.put(pack_id(n), content(n), "") for n in range(5)]
        store.delete(locator for locator in locators[1:])
        assert [listed.locator for listed in store.scan()] == locators[:1]

    # Scan.

    @pytest.mark.parametrize("newest_first", [True, False])
    def test_scan_is_in_the_order_of_keeping(self, store: Store, newest_first: bool):
        # The ids go down while the packs are kept: their order must not be seen.
        captions = [f"caption {n}" for n in range(40)]
        for n, caption in enumerate(captions):
            store.put(pack_id(200 - n), content(n, 10 + n), caption)
        found = list(store.scan(newest_first=newest_first))
        if newest_first:
            found.reverse()
        assert [listed.caption for listed in found] == captions
        assert [listed.size for listed in found] == list(range(10, 50))

    def test_a_scan_outlives_what_happens_meanwhile(self, store: Store):
        kept = [store.put(pack_id(n), content(n), str(n)) for n in range(6)]
        scan = store.scan()
        seen = [next(scan)]
        store.delete([kept[3]])
        store.put(pack_id(7), content(7), "7")
        seen += scan
        captions = {listed.caption for listed in seen}
        assert {"0", "1", "2", "4", "5"} <= captions <= set("0123457")

    def test_an_abandoned_scan_holds_nothing_up(self, store: Store):
        for n in range(3):
            store.put(pack_id(n), content(n), "")
        scan = store.scan()
        next(scan)
        store.close()

    def test_a_put_is_listed_at_once(self, store: Store):
        assert list(store.scan()) == []
        locator = store.put(pack_id(1), content(1), "now")
        assert [listed.locator for listed in store.scan()] == [locator]

    # From many threads.

    def test_many_threads_put_and_read_their_own(self, store: Store):
        def work(thread: int) -> None:
            for n in range(thread, 48, THREADS):
                locator = store.put(pack_id(n), content(n, 5000 + n), str(n))
                assert store.read(locator, n, 5000) == content(n, 5000 + n)[n:]
                assert store.probe(locator) == 5000 + n
                if n % 3 == 0:
                    store.delete([locator])

        in_threads(work)
        left = {listed.caption for listed in store.scan()}
        assert left == {str(n) for n in range(48) if n % 3}

    def test_many_threads_put_the_same_pack(self, store: Store):
        start = threading.Barrier(THREADS)
        data = content(1, 200_000)

        def work(_thread: int) -> Locator:
            start.wait()
            locator = store.put(pack_id(1), data, "the one")
            assert store.read(locator, 0, len(data)) == data
            return locator

        for locator in in_threads(work):
            assert store.read(locator, 0, len(data)) == data
        assert [listed.caption for listed in store.scan()] == ["the one"]

    def test_a_reader_sees_a_pack_whole_or_not_at_all(self, store: Store):
        data = content(1, 100_000)
        locator = self.absent(store)  # of pack 9, which now comes and goes
        done = threading.Event()

        def work(thread: int) -> int:
            seen = 0
            if thread == 0:
                for _ in range(30):
                    store.delete([store.put(pack_id(9), data, "")])
                store.put(pack_id(9), data, "")
                done.set()
            while not done.is_set() or not seen:
                if store.probe(locator) not in (None, len(data)):
                    raise AssertionError("a part of a pack was seen")
                try:
                    assert store.read(locator, 0, len(data)) == data
                except ReplicaMissing:
                    continue
                seen += 1
            return seen

        if store.put(pack_id(9), data, "") != locator:
            pytest.skip("locators of this store are never used again")
        assert all(in_threads(work))

    # The end.

    def test_a_closed_store_answers_no_more(self, store: Store):
        locator = store.put(pack_id(1), content(1), "")
        store.close()
        store.close()
        for call in (
            lambda: store.put(pack_id(2), content(2), ""),
            lambda: store.put(pack_id(1), content(1), ""),
            lambda: store.read(locator, 0, 1),
            lambda: store.probe(locator),
            lambda: store.delete([locator]),
            lambda: list(store.scan()),
        ):
            with pytest.raises(StoreError) as told:
                call()
            assert not isinstance(told.value, ReplicaMissing)

    def test_close_waits_for_running_calls(self, store: Store):
        locator = store.put(pack_id(1), content(1), "")
        begun, go_on = threading.Event(), threading.Event()

        def slowly() -> Iterator[Locator]:
            begun.set()
            go_on.wait(20)
            yield locator

        with ThreadPoolExecutor() as threads:
            deleting = threads.submit(store.delete, slowly())
            assert begun.wait(20)
            closing = threads.submit(store.close)
            with pytest.raises(TimeoutError):
                closing.result(0.1)
            go_on.set()
            closing.result(20)
            assert deleting.done()
            deleting.result()


def in_threads(work, within_s=60):
    """Run `work(number)` in `THREADS` threads at once; what each returned."""
    with ThreadPoolExecutor(THREADS) as threads:
        working = [threads.submit(work, n) for n in range(THREADS)]
        return [future.result(within_s) for future in working]
