import multiprocessing
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from tgdav.blocks.rows.numbers import Numbers
from tgdav.db import Database


def test_numbers_begin_at_one_and_go_on(db):
    numbers = Numbers(db, "node")
    assert numbers.take() == range(1, 2)
    assert numbers.take(3) == range(2, 5)


def test_kinds_do_not_share(db):
    assert Numbers(db, "node").take() == Numbers(db, "block").take()


def test_a_range_is_taken_from_the_database_once(db):
    first, second = Numbers(db, "node", range_size=10), Numbers(db, "node", range_size=10)
    assert first.take(4) == range(1, 5)
    assert second.take(4) == range(11, 15)
    assert first.take(6) == range(5, 11)
    assert first.take(1) == range(21, 22)


def test_more_than_a_range_comes_in_one_row(db):
    numbers = Numbers(db, "node", range_size=10)
    assert len(numbers.take(35)) == 35
    assert numbers.take(1).start > 35


def test_none_taken_is_none_given(db):
    assert len(Numbers(db, "node").take(0)) == 0


def take_in_threads(sources, counts):
    taken: list[int] = []
    start = threading.Barrier(len(sources))

    def run(source):
        start.wait()
        for count in counts:
            taken.extend(source.take(count))

    threads = [threading.Thread(target=run, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def test_threads_never_get_a_number_twice(db):
    sources = [Numbers(db, "node", range_size=7) for _ in range(2)] * 3
    taken = take_in_threads(sources, (1, 2, 3, 9) * 5)
    assert len(taken) == len(set(taken)) == 6 * 15 * 5


def test_threads_use_a_range_up(db):
    taken = take_in_threads([Numbers(db, "node", range_size=50)] * 6, [1] * 10)
    assert sorted(taken) == list(range(1, 61))


def take_in_another_process(url, pipe):
    db = Database.open(url)
    numbers = Numbers(db, "node", range_size=5)
    pipe.send([n for count in (1, 4, 6, 2) * 5 for n in numbers.take(count)])
    db.close()


def test_processes_never_get_a_number_twice(db, database_url):
    spawn = multiprocessing.get_context("spawn")
    ends = [spawn.Pipe() for _ in range(2)]
    processes = [
        spawn.Process(target=take_in_another_process, args=(database_url, end)) for _, end in ends
    ]
    for process in processes:
        process.start()
    here = [n for _ in range(50) for n in Numbers(db, "node", range_size=5).take(3)]
    taken = [*here, *(n for receiver, _ in ends for n in receiver.recv())]
    for process in processes:
        process.join(30)
    assert len(taken) == len(set(taken))


@settings(max_examples=20, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), max_size=20),
    range_size=st.integers(1, 30),
    restarts=st.sets(st.integers(0, 20)),
)
def test_a_restart_never_gives_a_number_twice(tmp_path_factory, counts, range_size, restarts):
    db = Database.open(f"sqlite:///{tmp_path_factory.mktemp('numbers') / 'drive.db'}")
    try:
        numbers = Numbers(db, "node", range_size)
        taken: list[int] = []
        for step, count in enumerate(counts):
            if step in restarts:
                numbers = Numbers(db, "node", range_size)
            taken.extend(numbers.take(count))
        assert taken == sorted(set(taken))
        assert len(taken) == sum(counts)
    finally:
        db.close()
