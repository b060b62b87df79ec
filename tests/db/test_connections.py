"""PostgreSQL's connections: few, for as many threads as there are."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import Connection, text

from tgdav.blocks.rows.leases import Leases
from tgdav.db import Database, engines
from tgdav.errors import DatabaseBusy, TgdavError

_HERE = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def connections(connection: Connection) -> int:
    """All to this database but this one."""
    return int(connection.scalar(text(f"SELECT count(*) {_HERE}")) or 0)


def one(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT 1")) or 0)


def read(database: Database) -> int:
    with database.read() as connection:
        return one(connection)


def at_once(threads: int, work: Callable[[threading.Barrier], object]) -> None:
    """Run it in so many threads, and raise what one of them raises."""
    together = threading.Barrier(threads)
    with ThreadPoolExecutor(threads) as executor:
        for each in [executor.submit(work, together) for _ in range(threads)]:
            each.result()


def test_threads_that_have_read_have_no_connection(postgres_url: str):
    with closing(Database.open(postgres_url)) as database:
        found = []

        def work(together: threading.Barrier) -> None:
            read(database)
            if together.wait() == 0:
                found.append(database.write(connections))
            together.wait()

        at_once(64, work)
        assert found[0] <= (engines.READS + engines.WRITES) * engines.KEPT


def test_who_finds_all_connections_in_use_waits_for_one(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "READS", 2)
    monkeypatch.setattr(engines, "BUSY_S", 2)
    together, over = threading.Barrier(3), threading.Event()

    def hold(database: Database) -> None:
        with database.read() as connection:
            one(connection)
            together.wait()
            over.wait()

    with closing(Database.open(postgres_url)) as database, ThreadPoolExecutor(3) as threads:
        holding = [threads.submit(hold, database) for _ in range(2)]
        try:
            together.wait()
            with pytest.raises(DatabaseBusy, match="in use"):
                read(database)
            waiting = threads.submit(read, database)
            time.sleep(0.2)
            assert not waiting.done()
        finally:
            over.set()
        assert waiting.result() == 1
        for each in holding:
            each.result()


def test_readers_that_all_write_do_not_wait_for_each_other(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "READS", 4)
    monkeypatch.setattr(engines, "WRITES", 2)
    monkeypatch.setattr(engines, "BUSY_S", 5)
    with closing(Database.open(postgres_url)) as database:

        def work(together: threading.Barrier) -> None:
            with database.read() as connection:
                one(connection)
                together.wait()
                assert database.write(one) == 1
                together.wait()

        at_once(4, work)


def test_a_connection_that_the_server_has_ended_is_not_used(postgres_url: str):
    end = text(f"SELECT pg_terminate_backend(pid, 5000) {_HERE}")
    with (
        closing(Database.open(postgres_url)) as ours,
        closing(Database.open(postgres_url)) as other,
    ):
        for _ in range(3):
            assert read(ours) == ours.write(one) == 1
            other.write(lambda connection: connection.execute(end))


def test_a_read_that_failed_gives_its_connection_back(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "READS", 2)
    with closing(Database.open(postgres_url)) as database:
        for statement in ("SELECT 1 / 0", "SELECT pg_terminate_backend(pg_backend_pid())") * 2:
            with pytest.raises(TgdavError), database.read() as connection:
                connection.execute(text(statement))
        assert read(database) == 1


def test_a_lease_waits_for_no_other_write(postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    """A large copy has the journal's turn, and all the changes behind it have a connection."""
    monkeypatch.setattr(engines, "WRITES", 2)
    monkeypatch.setattr(engines, "BUSY_S", 2)
    together, over = threading.Barrier(3), threading.Event()

    def hold(connection: Connection) -> None:
        one(connection)
        together.wait()
        over.wait()

    with closing(Database.open(postgres_url)) as database, ThreadPoolExecutor(2) as threads:
        holding = [threads.submit(database.write, hold) for _ in range(2)]
        try:
            together.wait()
            assert Leases(database).acquire("job", 60)
            with pytest.raises(DatabaseBusy, match="in use"):
                database.write(one)
        finally:
            over.set()
        for each in holding:
            each.result()
