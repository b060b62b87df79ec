import threading

import pytest

from tgdav.blocks.slabs import ROUND, SMALL, SPARE, Slabs


def test_a_loan_has_the_size_asked_for() -> None:
    slabs = Slabs(keep=1 << 20)
    for size in (0, 1, ROUND, ROUND + 1, 3 * ROUND):
        assert len(slabs.take(size)) == size


def test_what_is_given_back_is_lent_again() -> None:
    slabs = Slabs(keep=4 * ROUND)
    loan = slabs.take(ROUND - 5)
    slab = loan.obj
    slabs.give(loan)
    assert slabs.free_bytes == ROUND
    assert slabs.take(ROUND).obj is slab
    assert slabs.free_bytes == 0


def test_a_part_of_a_loan_gives_back_the_whole() -> None:
    slabs = Slabs(keep=4 * ROUND)
    slabs.give(slabs.take(ROUND)[:10])
    assert slabs.free_bytes == ROUND


def test_a_loan_is_void_once_it_is_given_back() -> None:
    slabs = Slabs(keep=4 * ROUND)
    loan = slabs.take(10)
    slabs.give(loan)
    with pytest.raises(ValueError, match="released"):
        loan[0]


def test_no_more_is_kept_than_was_said() -> None:
    slabs = Slabs(keep=3 * ROUND)
    for loan in [slabs.take(ROUND) for _ in range(10)]:
        slabs.give(loan)
    assert slabs.free_bytes == 3 * ROUND


def test_a_slab_serves_for_a_little_less_too() -> None:
    slabs = Slabs(keep=64 * ROUND)
    loans = [slabs.take(size) for size in (ROUND + SPARE, 2 * ROUND, 2 * ROUND, 8 * ROUND)]
    _, first, last, _ = slabs_given = [loan.obj for loan in loans]
    for loan in loans:
        slabs.give(loan)
    taken = [slabs.take(ROUND).obj for _ in range(4)]
    # The smallest that will do, of those alike the one used last; none that is far too large.
    assert taken[0] is last
    assert taken[1] is first
    assert taken[2] is slabs_given[0]
    assert all(taken[3] is not slab for slab in slabs_given)


def test_the_longest_unused_goes_first() -> None:
    slabs = Slabs(keep=2 * ROUND)
    loans = [slabs.take(ROUND) for _ in range(3)]
    given = [loan.obj for loan in loans]
    for loan in loans:
        slabs.give(loan)
    kept = [slabs.take(ROUND).obj for _ in range(3)]
    assert kept[0] is given[2]
    assert kept[1] is given[1]
    assert kept[2] is not given[0]


def test_the_memory_of_few_bytes_is_not_kept() -> None:
    slabs = Slabs(keep=64 * ROUND)
    slabs.give(slabs.take(SMALL))
    assert slabs.free_bytes == 0


def test_what_was_never_lent_is_left_alone() -> None:
    slabs = Slabs(keep=4 * ROUND)
    other = memoryview(b"of another owner")
    slabs.give(other)
    slabs.give(b"bytes")
    assert slabs.free_bytes == 0
    assert other[:2] == b"of"


def test_a_copy_is_equal_and_apart() -> None:
    slabs = Slabs(keep=4 * ROUND)
    for size in (10, ROUND):
        source = bytearray(b"x" * size)
        copy = slabs.copy(memoryview(source))
        source[0] = 0
        assert bytes(copy) == b"x" * size


def test_no_two_threads_have_one_slab() -> None:
    slabs = Slabs(keep=8 * ROUND)
    mixed = []

    def work(mark: int) -> None:
        for _ in range(300):
            loan = slabs.take(ROUND)
            loan[:100] = bytes([mark]) * 100
            if bytes(loan[:100]) != bytes([mark]) * 100:
                mixed.append(mark)
            slabs.give(loan)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixed == []
