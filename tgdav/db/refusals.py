"""What drivers say, in our own errors. Knows no statement."""

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy import exc

from tgdav.errors import DatabaseBusy, DatabaseError, DiskFull, TgdavError

GONE = {"57P01", "57P02", "57P03", "53300"}
"""It stops, it crashed, it starts; it has no connection to spare. As class 08 has it, too."""
AGAIN = {"40001", "40P01", "23503", "23505"}
"""Serialization failure, deadlock; a key that a concurrent write took first, or removed."""


REFUSED = (exc.DBAPIError, exc.TimeoutError, sqlite3.Error)
"""What a driver says, or the pool when all its connections stay in use."""


class Overtaken(TgdavError):
    """PostgreSQL asks for the transaction to be run again."""


class Away(DatabaseBusy):
    """The server cannot be reached; it may be starting."""


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Say in our own errors what the driver says in its."""
    try:
        yield
    except REFUSED as error:
        raise refusal(error) from error


def refusal(error: exc.DBAPIError | exc.TimeoutError | sqlite3.Error) -> TgdavError:
    """One of them as one of ours; `Overtaken` and `Away` among them."""
    if isinstance(error, exc.TimeoutError):
        return DatabaseBusy("all connections to the database are in use")
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    said = (str(cause).strip() or "nothing").splitlines()[0]
    state = getattr(cause, "sqlstate", None)
    if state in AGAIN:
        return Overtaken(said)
    if "disk is full" in said or state == "53100":
        return DiskFull("the database's disk is full")
    if _is_away(error, state):
        return Away(f"the database answers: {said}")
    if "locked" in said or (isinstance(error, exc.DBAPIError) and error.connection_invalidated):
        return DatabaseBusy(f"the database answers: {said}")
    return DatabaseError(f"the database answers: {said}")


def _is_away(error: exc.DBAPIError | sqlite3.Error, state: str | None) -> bool:
    """True if no PostgreSQL answered, or one that could not."""
    if not isinstance(error, exc.OperationalError) or isinstance(error.orig, sqlite3.Error):
        return False
    return state is None or state in GONE or state.startswith("08")
