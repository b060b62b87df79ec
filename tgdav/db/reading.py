"""Reads: each one snapshot, on one connection. Knows no table, and no write."""

import sqlite3
import threading
import weakref
from types import TracebackType

from sqlalchemy import Connection, Engine, exc

from tgdav.db.engines import driver_of, engine_for_reads
from tgdav.db.refusals import REFUSED, refusal, refusals


class Snapshot:
    """A read, for `with`. Used by one thread, once."""

    __slots__ = ("_is_inner", "_reader")

    def __init__(self, reader: "SqliteReader | PooledReader") -> None:
        self._reader = reader

    def __enter__(self) -> Connection:
        try:
            connection, self._is_inner = self._reader.enter()
        except REFUSED as error:
            raise refusal(error) from error
        return connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_inner:
            with refusals():
                self._reader.leave(error)
        if isinstance(error, REFUSED):
            raise refusal(error) from error


class SqliteReader:
    """A connection per thread: opening one costs more than most reads.

    SQLAlchemy's own begin and end take longer than a small query, so SQLite's are said
    to the driver itself; the connection is in autocommit mode as far as it knows.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine_for_reads(engine)
        self._local = threading.local()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._watching = threading.Lock()
        self._watch: sqlite3.Connection | None = None

    def enter(self) -> tuple[Connection, bool]:
        """This thread's connection, and whether it is in a snapshot already."""
        local = self._local
        connection: Connection | None = getattr(local, "connection", None)
        if connection is None or connection.closed:
            connection = local.connection = self._engine.connect()
            self._open.add(connection)
            local.driver = driver_of(connection)
            local.is_inside = False
        if local.is_inside:
            return connection, True
        local.driver.execute("BEGIN")
        local.is_inside = True
        return connection, False

    def leave(self, error: BaseException | None) -> None:
        """End the snapshot; forget a connection that is broken."""
        local = self._local
        local.is_inside = False
        if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
            local.connection.close()
        else:
            local.driver.execute("ROLLBACK")

    def stamp(self) -> int | None:
        with self._watching:
            if self._watch is None:
                self._watch = sqlite3.connect(
                    str(self._engine.url.database), isolation_level=None, check_same_thread=False
                )
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        for connection in list(self._open):
            connection.close()
        if self._watch is not None:
            self._watch.close()


class PooledReader:
    """PostgreSQL: a connection while a thread reads, as the server has few of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine_for_reads(engine)
        self._local = threading.local()

    def enter(self) -> tuple[Connection, bool]:
        """The thread's connection, and whether it is in a snapshot already."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            return connection, True
        connection = self._local.connection = self._engine.connect()
        return connection, False

    def leave(self, _error: BaseException | None) -> None:
        """End the snapshot; the connection is the next reader's."""
        connection, self._local.connection = self._local.connection, None
        connection.close()

    def stamp(self) -> int | None:
        return None

    def close(self) -> None:
        self._engine.dispose()
