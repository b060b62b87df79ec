"""Writes: one thread for SQLite's, a connection for each of PostgreSQL's. Knows no table."""

import contextlib
import functools
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from tgdav.db.engines import driver_of, engine_for_urgent
from tgdav.db.refusals import Overtaken, refusals
from tgdav.errors import DatabaseBusy, DatabaseError

T = TypeVar("T")
Work = Callable[[Connection], T]
_Waiting = tuple[Work[Any], Future[Any]]

GROUP = 64
"""Works that share one commit; more would make the first wait for the last."""
ATTEMPTS = 20
"""Tries of one PostgreSQL transaction that others keep overtaking."""
AT_ONCE = 2
"""Tries beside all others; from then on one of this process at a time."""


class GroupWriter:
    """SQLite: one thread writes; works that wait together share one commit.

    Eight threads with transactions of their own reach 925 commits/s with a p99 of
    214 ms, one writer 2,900-3,500/s with 14 ms: each fsync serves the whole group.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._works: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)
        self._thread.start()

    def run(self, work: Work[T], *, urgent: bool) -> T:
        if self._closed:
            raise DatabaseBusy("the database is being closed")
        done: Future[T] = Future()
        self._works.put((work, done))
        return done.result()

    def close(self) -> None:
        self._closed = True
        self._works.put(None)
        self._thread.join()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            connection.execution_options(begin="BEGIN IMMEDIATE")
            while (first := self._works.get()) is not None:
                self._commit(connection, [first, *self._waiting()])

    def _waiting(self) -> Iterator[_Waiting]:
        """What else waits, as far as one commit can carry it."""
        with contextlib.suppress(queue.Empty):
            for _ in range(GROUP - 1):
                waiting = self._works.get_nowait()
                if waiting is None:
                    self._works.put(None)
                    return
                yield waiting

    def _commit(self, connection: Connection, group: list[_Waiting]) -> None:
        """Run the group without savepoints, which cost; with them if one raised."""
        try:
            with refusals(), connection.begin():
                values = [_run(connection, work) for work, _ in group]
        except BaseException as error:
            if len(group) > 1:
                self._commit_apart(connection, group)
            else:
                group[0][1].set_exception(error)
            return
        for (_, done), value in zip(group, values, strict=True):
            done.set_result(value)

    def _commit_apart(self, connection: Connection, group: list[_Waiting]) -> None:
        """Run each in a savepoint of its own; each in a transaction if even that fails."""
        try:
            with refusals(), connection.begin():
                outcomes = [_attempt(connection, work) for work, _ in group]
        except DatabaseBusy as error:
            # Another process has the database: each would wait as long as this did.
            for _, done in group:
                done.set_exception(error)
            return
        except BaseException:
            for waiting in group:
                self._commit(connection, [waiting])
            return
        for (_, done), outcome in zip(group, outcomes, strict=True):
            outcome(done)


def _run(connection: Connection, work: Work[T]) -> T:
    value = work(connection)
    _require_open(connection)
    return value


def _attempt(connection: Connection, work: Work[Any]) -> Callable[[Future[Any]], None]:
    """What to tell the one who waits, once the whole group is committed."""
    try:
        with refusals(), connection.begin_nested():
            value = _run(connection, work)
    except Exception as error:
        _require_open(connection)
        return functools.partial(_fail, error)
    return lambda done: done.set_result(value)


def _fail(error: Exception, done: Future[Any]) -> None:
    done.set_exception(error)


def _require_open(connection: Connection) -> None:
    """Raise if SQLite has ended the transaction by itself.

    A full disk or an unreadable one does that in the middle of a statement
    (sqlite.org/lang_transaction.html): what came before in it is gone, and what would
    follow were committed at once, statement by statement.
    """
    if not driver_of(connection).in_transaction:
        raise DatabaseError("the database has given up a transaction")


class SerializableWriter:
    """PostgreSQL: a connection for each write; whoever is overtaken runs again.

    Whoever is overtaken twice queues: fifty that write one row would else overtake
    each other until some give up.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._urgent = engine_for_urgent(engine)
        self._queue = threading.Lock()

    def run(self, work: Work[T], *, urgent: bool) -> T:
        engine = self._urgent if urgent else self._engine
        with contextlib.ExitStack() as turn:
            for attempt in itertools.count(1):
                try:
                    with refusals(), engine.connect() as connection, connection.begin():
                        return work(connection)
                except Overtaken as error:
                    if attempt == ATTEMPTS:
                        raise DatabaseBusy(f"overtaken {attempt} times", 1.0) from error
                    if attempt == AT_ONCE:
                        turn.enter_context(self._queue)
                    time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 7)))  # noqa: S311 - spreads retries
        raise AssertionError

    def close(self) -> None:
        self._urgent.dispose()
