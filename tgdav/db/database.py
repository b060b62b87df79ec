"""One database, whatever it is: read, write, what has changed.

Knows no table. A write is a function of a connection that may be run again, so it
must do nothing but SQL; it has happened when `write` returns, and not before.
"""

from typing import TypeVar

from sqlalchemy import Engine

from tgdav.db.engines import make_engine
from tgdav.db.reading import PooledReader, Snapshot, SqliteReader
from tgdav.db.refusals import Away, refusals
from tgdav.db.schema import migrate
from tgdav.db.writing import GroupWriter, SerializableWriter, Work
from tgdav.errors import DatabaseError

T = TypeVar("T")


class Database:
    """One database, opened and at the newest schema. Any thread may use it."""

    def __init__(self, engine: Engine) -> None:
        self.dialect: str = engine.dialect.name
        self._engine = engine
        self._reader: SqliteReader | PooledReader
        self._writer: GroupWriter | SerializableWriter
        if self.dialect == "sqlite":
            self._reader, self._writer = SqliteReader(engine), GroupWriter(engine)
        else:
            self._reader, self._writer = PooledReader(engine), SerializableWriter(engine)

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open `url`; make or migrate its tables.

        Raises `DatabaseTooNew` if a newer tgdav wrote it, `DatabaseError` if it
        cannot be opened or is damaged. On either, nothing was changed.
        """
        engine = make_engine(url)
        try:
            with refusals():
                migrate(engine)
        except Away as error:
            engine.dispose()
            raise DatabaseError(str(error)) from error
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def read(self) -> Snapshot:
        """One snapshot, on a connection that is this thread's meanwhile; nested, the same one.

        Raises `DatabaseBusy`, `DatabaseError`. A thread that reads may write; a write's
        work must not read by this: its connection would wait for another's.
        """
        return Snapshot(self._reader)

    def stamp(self) -> int | None:
        """A number that has changed if anybody, in any process, has committed since.

        None where that cannot be told cheaply (PostgreSQL).
        """
        return self._reader.stamp()

    def write(self, work: Work[T], *, urgent: bool = False) -> T:
        """Run `work` in one transaction; return its value after the commit's fsync.

        What is `urgent` waits for no connection that others have: a lease must not run out
        because they wait for each other.

        `work` may be run again from the start, so it does SQL and nothing else that
        lasts. What it raises comes out of here, and only its own changes are undone.
        Raises `DatabaseBusy` after `BUSY_S` or `ATTEMPTS`, `DiskFull`, `DatabaseError`.
        """
        return self._writer.run(work, urgent=urgent)

    def close(self) -> None:
        """Wait for running writes; then let go of every connection."""
        self._writer.close()
        self._reader.close()
        self._engine.dispose()
