"""Addresses of databases to engines, set up for what each is. Knows no table and no read."""

import sqlite3

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine import URL

from tgdav.errors import DatabaseError

BUSY_S = 10.0
"""How long a transaction waits for another process before `DatabaseBusy`."""


def make_engine(url: str) -> Engine:
    """The engine for `url`; nothing is connected yet. Raises `DatabaseError` if it is none."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            isolation_level="SERIALIZABLE",
            pool_size=16,
            max_overflow=-1,
            pool_pre_ping=True,
            connect_args=_bounds(parsed),
        )
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        raise DatabaseError(f"not a database address: {error}") from error


def driver_of(connection: Connection) -> sqlite3.Connection:
    """SQLite's own connection: what SQLAlchemy has no words for is said to it."""
    return connection.connection.dbapi_connection  # type: ignore[return-value]


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
