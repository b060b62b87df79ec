import threading
import time

import pytest

from tgdav.blocks.rows.leases import Leases, database_ns


class Clock:
    def __init__(self):
        self.ns = 1_000_000_000

    def __call__(self, connection):
        return self.ns

    def pass_s(self, seconds):
        self.ns += int(seconds * 1e9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def here(db, clock):
    return Leases(db, "here", clock)


@pytest.fixture
def there(db, clock):
    return Leases(db, "there", clock)


def test_a_lease_has_one_holder(here, there):
    assert here.acquire("flush", 30)
    assert not there.acquire("flush", 30)
    assert there.acquire("gc", 30)


def test_a_lease_runs_out(here, there, clock):
    assert here.acquire("flush", 30)
    clock.pass_s(29.9)
    assert not there.acquire("flush", 30)
    clock.pass_s(0.1)
    assert there.acquire("flush", 30)
    assert not here.acquire("flush", 30)


def test_its_holder_makes_it_longer(here, there, clock):
    assert here.acquire("flush", 30)
    clock.pass_s(20)
    assert here.acquire("flush", 30)
    clock.pass_s(20)
    assert not there.acquire("flush", 30)


def test_a_released_lease_is_free(here, there):
    assert here.acquire("flush", 30)
    here.release("flush")
    assert there.acquire("flush", 30)


def test_nobody_releases_what_another_holds(here, there):
    assert here.acquire("flush", 30)
    there.release("flush")
    assert not there.acquire("flush", 30)


def test_releasing_what_nobody_holds_is_nothing(here):
    here.release("flush")


def test_holders_differ_unless_told(db):
    assert Leases(db).acquire("flush", 30)
    assert not Leases(db).acquire("flush", 30)


def test_of_many_at_once_one_wins(db):
    start = threading.Barrier(8)
    won = []

    def race():
        leases = Leases(db)
        start.wait()
        won.append(leases.acquire("flush", 30))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_the_databases_clock_is_about_ours(db):
    with db.read() as connection:
        assert abs(database_ns(connection) - time.time_ns()) < 60e9
