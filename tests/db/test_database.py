import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine.default import DefaultDialect

from tgdav.db import Database
from tgdav.errors import DatabaseBusy, DatabaseError, DatabaseTooNew, DiskFull, NotFound


def make(connection):
    connection.execute(text("CREATE TABLE numbers_seen (n INTEGER PRIMARY KEY)"))


def insert(n):
    return lambda connection: (
        connection.execute(text("INSERT INTO numbers_seen VALUES (:n)"), {"n": n}).rowcount
    )


def seen(db):
    with db.read() as connection:
        return sorted(connection.scalars(text("SELECT n FROM numbers_seen")))


def test_a_write_is_there_when_write_returns(db):
    db.write(make)
    assert db.write(insert(1)) == 1
    assert seen(db) == [1]


def test_what_a_work_raises_undoes_that_work_only(db):
    db.write(make)
    started = threading.Barrier(16)
    refused = []

    def save(n):
        def work(connection):
            insert(n)(connection)
            if n % 3 == 0:
                raise NotFound(str(n))

        started.wait()
        try:
            db.write(work)
        except NotFound as error:
            refused.append(int(str(error)))

    threads = [threading.Thread(target=save, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refused) == [0, 3, 6, 9, 12, 15]
    assert seen(db) == [n for n in range(16) if n % 3]


def test_a_read_is_one_snapshot(db):
    db.write(make)
    with db.read() as connection:
        before = connection.scalar(text("SELECT count(*) FROM numbers_seen"))
        thread = threading.Thread(target=lambda: db.write(insert(7)))
        thread.start()
        thread.join()
        assert connection.scalar(text("SELECT count(*) FROM numbers_seen")) == before == 0
    assert seen(db) == [7]


def test_nested_reads_share_the_snapshot(db):
    with db.read() as outer, db.read() as inner:
        assert inner is outer


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_counters_raced_by_threads_lose_nothing(db):
    db.write(make)
    db.write(insert(0))

    def bump(connection):
        n = connection.scalar(text("SELECT max(n) FROM numbers_seen"))
        connection.execute(text("UPDATE numbers_seen SET n = :n"), {"n": n + 1})

    in_threads(4, lambda: [db.write(bump) for _ in range(10)])
    assert seen(db) == [40]


def test_all_that_change_one_row_get_their_turn(db, monkeypatch):
    monkeypatch.setattr("tgdav.db.writing.ATTEMPTS", 8)
    db.write(make)
    db.write(insert(0))

    def bump(connection):
        n = connection.scalar(text("SELECT max(n) FROM numbers_seen"))
        time.sleep(0.02)
        connection.execute(text("UPDATE numbers_seen SET n = :n"), {"n": n + 1})

    in_threads(40, lambda: db.write(bump))
    assert seen(db) == [40]


def test_a_database_of_a_newer_tgdav_is_refused(db, database_url):
    db.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(DatabaseTooNew, match="9999"):
        Database.open(database_url)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "drive.db"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(DatabaseError):
        Database.open(f"sqlite:///{path}")
    assert path.read_bytes() == b"not a database " * 1000


def test_an_address_that_is_none_is_refused():
    with pytest.raises(DatabaseError, match="not a database address"):
        Database.open("nonsense")


@pytest.mark.parametrize(
    "url", ["sqlite:////a%00b", "postgresql://u:p%00@127.0.0.1/d", "postgresql://127.0.0.1/\udcff"]
)
def test_an_address_that_no_driver_takes_is_refused(url: str):
    with pytest.raises(DatabaseError, match="not a database address"):
        Database.open(url)


def test_a_path_may_have_bytes_that_are_no_text(tmp_path: Path):
    Database.open(f"sqlite:///{tmp_path}/\udcff.db").close()
    assert (tmp_path / "\udcff.db").exists()


def test_commits_are_fsynced(tmp_path: Path):
    db = Database.open(f"sqlite:///{tmp_path / 'drive.db'}")
    with db.read() as connection:
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
    db.close()
    with sqlite3.connect(tmp_path / "drive.db") as plain:
        assert plain.execute("PRAGMA quick_check").fetchone() == ("ok",)
    plain.close()


def test_the_stamp_changes_with_every_commit_of_anybody(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'drive.db'}"
    ours, theirs = Database.open(url), Database.open(url)
    ours.write(make)
    before = ours.stamp()
    assert ours.stamp() == before
    theirs.write(insert(1))
    after = ours.stamp()
    assert after != before
    ours.write(insert(2))
    assert ours.stamp() != after
    ours.close()
    theirs.close()


def test_the_migrations_make_the_tables_that_the_rooms_declare(db):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    import tgdav.blocks.rows.tables
    import tgdav.tree.tables

    assert tgdav.blocks.rows.tables.drive.metadata is tgdav.tree.tables.nodes.metadata
    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tgdav.db.metadata) == []


def test_a_database_of_the_first_schema_goes_on(database_url: str):
    from alembic import command
    from alembic.config import Config

    from tgdav.db.engines import make_engine
    from tgdav.db.schema import MIGRATIONS

    engine, config = make_engine(database_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO stores VALUES (7, 'directory', '{}', 'active', 5)"))
    engine.dispose()
    db = Database.open(database_url)
    with db.read() as connection:
        assert connection.execute(text("SELECT * FROM stores")).one() == (
            *(7, "directory", "{}", "active", 5),
            "",
        )
    db.close()


def test_a_commit_that_fails_leaves_nothing_in_the_way(db, monkeypatch):
    """A disk that is full may say so at the commit, and not before."""
    db.write(make)
    committed = DefaultDialect.do_commit
    failing = iter([True, True])

    def fail(dialect, connection):
        if next(failing, False):
            raise sqlite3.OperationalError("database or disk is full")
        committed(dialect, connection)

    monkeypatch.setattr(DefaultDialect, "do_commit", fail)
    for _ in range(2):
        with pytest.raises((DiskFull, sqlite3.OperationalError)):
            db.write(insert(1))
    assert db.write(insert(1)) == 1
    assert seen(db) == [1]


def test_on_a_full_disk_each_write_is_told_what_became_of_it(small: Database):
    """SQLite ends the whole transaction then, in the middle of it, and of all in the group."""

    def save(n: int) -> Callable[[Connection], None]:
        return lambda connection: insert_bytes(connection, n, 100 if n % 2 else 80_000)

    told = told_together(small, {n: save(n) for n in range(16)})
    kept = [n for n, error in told.items() if error is None]
    assert bytes_of(small) == kept
    assert {type(error) for error in told.values() if error} == {DiskFull}
    assert len(kept) >= 8


def test_a_write_that_hides_a_full_disk_takes_nobody_with_it(small: Database):
    def hide(connection: Connection) -> None:
        with contextlib.suppress(Exception):
            insert_bytes(connection, 2, 1_000_000)

    told = told_together(
        small, {1: lambda c: insert_bytes(c, 1, 9), 2: hide, 3: lambda c: insert_bytes(c, 3, 9)}
    )
    assert bytes_of(small) == [1, 3]
    assert [type(error) for error in told.values()] == [type(None), DatabaseError, type(None)]


def test_all_who_wait_are_told_at_once_that_another_process_has_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tgdav.db.engines.BUSY_S", 0.5)
    db = Database.open(f"sqlite:///{tmp_path / 'drive.db'}")
    with contextlib.closing(sqlite3.connect(tmp_path / "drive.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        told = told_together(db, {n: lambda connection: None for n in range(30)}, gated=False)
        assert {type(error) for error in told.values()} == {DatabaseBusy}
        assert time.monotonic() - begun < 10
        other.execute("ROLLBACK")
    assert db.write(lambda connection: 7) == 7
    db.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Database]:
    """A database with room for sixty pages more."""
    database = Database.open(f"sqlite:///{tmp_path / 'drive.db'}")
    database.write(lambda c: c.execute(text("CREATE TABLE kept (n INTEGER PRIMARY KEY, b BLOB)")))
    pages = database.write(lambda c: c.scalar(text("PRAGMA page_count")))
    database.write(lambda c: c.execute(text(f"PRAGMA max_page_count = {pages + 60}")))
    yield database
    database.close()


def insert_bytes(connection: Connection, n: int, size: int) -> None:
    connection.execute(text("INSERT INTO kept VALUES (:n, :b)"), {"n": n, "b": bytes(size)})


def bytes_of(database: Database) -> list[int]:
    with database.read() as connection:
        return sorted(connection.scalars(text("SELECT n FROM kept")))


def told_together(
    database: Database, works: dict[int, Callable[[Connection], None]], *, gated: bool = True
) -> dict[int, Exception | None]:
    """What each of the works was told, of one group, in this order."""
    gate, told = threading.Event(), {}

    def write(n: int) -> None:
        try:
            told[n] = database.write(works[n])
        except Exception as error:
            told[n] = error

    first = [threading.Thread(target=database.write, args=(lambda _: gate.wait(),))] * gated
    threads = first + [threading.Thread(target=write, args=(n,)) for n in works]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    gate.set()
    for thread in threads:
        thread.join()
    return dict(sorted(told.items()))
