"""The pool as the `stores` table says: another process may add or drain a store."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.tables import replicas, stores
from tgdav.db import Database
from tgdav.errors import Busy, Refused, TgdavError
from tgdav.stores.base import Store
from tgdav.stores.pool import StorePool

LOG = logging.getLogger(__name__)

LONGEST_S = 60.0
"""Between two attempts to open a store."""

_ALL = select(
    stores.c.no, stores.c.kind, stores.c.settings, stores.c.state, stores.c.trouble
).where(stores.c.kind != "spool")
_ONE = _ALL.where(stores.c.no == bindparam("of_no"))
_OTHERS = select(func.count()).where(
    stores.c.no != bindparam("of_no"), stores.c.kind != "spool", stores.c.state == "active"
)
_HELD = select(func.count()).where(replicas.c.store == bindparam("of_no"))
_BECOME = (
    update(stores)
    .where(stores.c.no == bindparam("of_no"))
    .values(state=bindparam("new_state"), trouble="")
)
_NOTE = (
    update(stores).where(stores.c.no == bindparam("of_no")).values(trouble=bindparam("new_trouble"))
)
_LIKE = select(stores.c.no).where(
    stores.c.kind == bindparam("of_kind"),
    stores.c.settings == bindparam("of_settings"),
    stores.c.state != "gone",
)
_OF_KIND = (
    select(stores.c.no)
    .where(stores.c.kind == bindparam("of_kind"), stores.c.state != "gone")
    .order_by(stores.c.no)
)


class StoreRow(NamedTuple):
    """A store as the database knows it; `settings` is JSON."""

    no: int
    kind: str
    settings: str
    state: str
    trouble: str = ""


class _Missed(NamedTuple):
    """A store that did not open."""

    trouble: str
    pause_s: float
    again_at: float


OpenStore = Callable[[StoreRow], Store]
"""Opens the store of a row. May raise any error of ours; it is then tried again later."""


class Roster:
    """Keeps a pool in step with the table; used by one thread at a time."""

    def __init__(
        self, db: Database, pool: StorePool, open_store: OpenStore, pause_s: float
    ) -> None:
        self._db = db
        self._pool = pool
        self._open_store = open_store
        self._pause_s = pause_s
        self._states: dict[int, str] = {}
        self._missed: dict[int, _Missed] = {}

    def refresh(self) -> None:
        """Open, use for reading only from now on, or drop what the table says by now.

        Costs one look at the table. The row of a store that does not open says why. It is
        tried again after a pause that doubles from `pause_s` to `LONGEST_S`, as opening may
        ask a network for more than it likes.
        """
        for row in rows(self._db):
            if self._states.get(row.no) != row.state:
                self._apply(row)

    def _apply(self, row: StoreRow) -> None:
        is_writable = row.state == "active"
        if row.state == "gone":
            self._pool.drop(row.no)
        elif not self._pool.use(row.no, writable=is_writable):
            missed = self._missed.get(row.no)
            if missed and time.monotonic() < missed.again_at:
                return
            try:
                self._pool.set(row.no, self._open_store(row), writable=is_writable)
            except TgdavError as error:
                self._miss(row, error, missed)
                return
        self._states[row.no] = row.state
        self._missed.pop(row.no, None)
        self._tell(row, "")

    def _miss(self, row: StoreRow, error: TgdavError, before: "_Missed | None") -> None:
        if not before or before.trouble != str(error):
            LOG.warning("store %d: %s", row.no, error)
        pause_s = before.pause_s * 2 if before else self._pause_s
        wish_s = error.retry_after_s if isinstance(error, Busy) else 0.0
        pause_s = min(LONGEST_S, max(pause_s, wish_s))
        self._missed[row.no] = _Missed(str(error), pause_s, time.monotonic() + pause_s)
        self._tell(row, str(error))

    def _tell(self, row: StoreRow, trouble: str) -> None:
        """Let the row say what is wrong."""
        if row.trouble != trouble:
            told = {"of_no": row.no, "new_trouble": trouble}
            with contextlib.suppress(TgdavError):  # it is only a note
                self._db.write(lambda connection: connection.execute(_NOTE, told))


def begin_drain(db: Database, no: int, copies: int) -> None:
    """Let the store take no pack any more, and others have its own. Raises `Refused`."""

    def work(connection: Connection) -> None:
        if _state(connection, no) != "draining":
            _require_others(connection, no, copies)
            connection.execute(_BECOME, {"of_no": no, "new_state": "draining"})

    db.write(work)


def end_drain(db: Database, no: int) -> None:
    """Use the store again as before; what has moved stays moved. Raises `Refused`."""

    def work(connection: Connection) -> None:
        if _state(connection, no) == "draining":
            connection.execute(_BECOME, {"of_no": no, "new_state": "active"})

    db.write(work)


def remove(db: Database, no: int, copies: int) -> None:
    """Give up a store that holds nothing. Raises `Refused`."""

    def work(connection: Connection) -> None:
        if _state(connection, no) == "active":
            _require_others(connection, no, copies)
        if count := connection.scalars(_HELD, {"of_no": no}).one():
            raise Refused(f"store {no} holds {count} packs: drain it first")
        connection.execute(_BECOME, {"of_no": no, "new_state": "gone"})

    db.write(work)


def withdraw(db: Database, no: int) -> None:
    """Forget a store that was added and cannot be used; not one that holds anything."""

    def work(connection: Connection) -> None:
        if not connection.scalars(_HELD, {"of_no": no}).one():
            connection.execute(_BECOME, {"of_no": no, "new_state": "gone"})

    db.write(work)


def rows(db: Database) -> list[StoreRow]:
    """Every store, also those that are gone; not the spools."""
    with db.read() as connection:
        return [StoreRow(*row) for row in connection.execute(_ALL)]


def find(db: Database, no: int) -> StoreRow | None:
    """The store of this number, if there was one."""
    with db.read() as connection:
        row = connection.execute(_ONE, {"of_no": no}).one_or_none()
    return row and StoreRow(*row)


def of_kind(connection: Connection, kind: str) -> list[int]:
    """The stores of this kind that are not gone, by number."""
    return list(connection.scalars(_OF_KIND, {"of_kind": kind}))


def _state(connection: Connection, no: int) -> str:
    """The state of a store that is there. Raises `Refused` if it is not."""
    row = connection.execute(_ONE, {"of_no": no}).one_or_none()
    if row is None or row.state == "gone":
        raise Refused(f"there is no store {no}")
    return str(row.state)


def _require_others(connection: Connection, no: int, copies: int) -> None:
    others = connection.scalars(_OTHERS, {"of_no": no}).one()
    if others < copies:
        promise = f"each pack is promised {copies} stores, and {others} others take packs"
        raise Refused(f"store {no} is needed: {promise}")


def add(db: Database, kind: str, settings: Mapping[str, object]) -> int:
    """The number of the store so described, which is recorded if it was not yet.

    Call it when the store is there. Any number of processes may call it at once.
    """
    told = json.dumps(dict(settings), sort_keys=True)
    with db.read() as connection:
        known = _like(connection, kind, told)
    if known is not None:
        return known
    no = Numbers(db, "store", 1).take()[0]

    def work(connection: Connection) -> int:
        found = _like(connection, kind, told)
        if found is not None:
            return found
        row = {"no": no, "kind": kind, "settings": told, "state": "active"}
        connection.execute(insert(stores), row | {"added_ns": time.time_ns()})
        return no

    return db.write(work)


def _like(connection: Connection, kind: str, settings: str) -> int | None:
    like = {"of_kind": kind, "of_settings": settings}
    found = connection.scalars(_LIKE, like).first()
    return None if found is None else int(found)
