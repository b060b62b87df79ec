import threading

import pytest

from tgdav.blocks.slabs import ROUND, Slabs


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
            loan = slabs.take(100)
            loan[:] = bytes([mark]) * 100
            if bytes(loan) != bytes([mark]) * 100:
                mixed.append(mark)
            slabs.give(loan)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixed == []
