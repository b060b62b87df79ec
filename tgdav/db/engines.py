"""Addresses of databases to engines, set up for what each is. Knows no table and no read."""

import select
import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import IsolationLevel

from tgdav.errors import DatabaseError

BUSY_S = 10.0
"""How long a transaction waits for another process before `DatabaseBusy`."""
READS, WRITES, URGENT = 48, 24, 4
"""Most connections of one process to PostgreSQL: it has 100 for all, unless it is told another
number, and commands and psql need some while a gateway has all of its own in use."""
KEPT = 1 / 3
"""The share of them that stays when nothing is done, as many gateways may be idle."""


def make_engine(url: str) -> Engine:
    """The engine for `url`; nothing is connected yet. Raises `DatabaseError` if it is none."""
    try:
        parsed = make_url(url)
        _require_text(parsed)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return _postgresql(parsed.set(drivername="postgresql+psycopg"), "SERIALIZABLE", WRITES)
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError, TypeError) as error:
        raise DatabaseError(f"not a database address: {error}") from error


def _require_text(url: URL) -> None:
    """Raise `ValueError` for what no driver can be told: it would say so in its own way."""
    # A path may have bytes that are no UTF-8.
    errors = "surrogateescape" if url.get_backend_name() == "sqlite" else "strict"
    for part in (url.database, url.username, url.password, url.host):
        if part and b"\0" in part.encode(errors=errors):
            raise ValueError("a NUL in it")


def engine_for_reads(engine: Engine) -> Engine:
    """One for the same database, to read by.

    PostgreSQL's has connections of its own: a thread that reads may write, and if readers
    had them all, each would wait for another to end.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return _postgresql(engine.url, "REPEATABLE READ", READS)


def engine_for_urgent(engine: Engine) -> Engine:
    """One for PostgreSQL that has connections when all others wait for one long transaction."""
    return _postgresql(engine.url, "SERIALIZABLE", URGENT)


def driver_of(connection: Connection) -> sqlite3.Connection:
    """SQLite's own connection: what SQLAlchemy has no words for is said to it."""
    return connection.connection.dbapi_connection  # type: ignore[return-value]


def _postgresql(url: URL, isolation: IsolationLevel, most: int) -> Engine:
    """Whoever finds all connections in use waits for one as for another process."""
    kept = round(most * KEPT)
    engine = create_engine(
        url,
        isolation_level=isolation,
        pool_size=kept,
        max_overflow=most - kept,
        pool_timeout=BUSY_S,
        pool_pre_ping=True,
        connect_args=_bounds(url),
    )
    # Instead of a statement, which takes as long as a small read does.
    engine.dialect.do_ping = _is_quiet  # type: ignore[assignment]
    return engine


def _is_quiet(driver: Any) -> bool:
    """False if the server has said something unasked: that it ends the connection, mostly."""
    if driver.closed:
        return False
    listening = select.poll()
    listening.register(driver.fileno(), select.POLLIN)
    return not listening.poll(0)


def _bounds(url: URL) -> dict[str, int]:
    """What libpq is told, where the address says nothing else: to wait `BUSY_S` for the network.

    The server's system answers keepalives for it, so a statement may take as long as it does.
    """
    tenth = max(1, round(BUSY_S / 10))
    bounds = {
        "connect_timeout": round(BUSY_S),
        "keepalives_idle": 4 * tenth,
        "keepalives_interval": 2 * tenth,
        "keepalives_count": 3,
        "tcp_user_timeout": round(BUSY_S * 1000),
    }
    return {name: bound for name, bound in bounds.items() if name not in url.query}


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=128,
        max_overflow=-1,
        connect_args={"timeout": BUSY_S, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _settle(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # an answered save outlives a power cut
            "foreign_keys=ON",
            "cache_size=-1024",  # one per thread: small, the system caches the file
            # Staged blocks fill the log fast; each checkpoint costs two more syncs.
            "wal_autocheckpoint=8192",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            driver = driver_of(connection)
            if driver.in_transaction:
                driver.rollback()  # a commit that failed may leave its transaction open
            driver.cursor().execute(options.get("begin", "BEGIN"))

    return engine
