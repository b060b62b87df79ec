"""The pool as the `stores` table says: another process may add or drain a store."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from tgdav.blocks.numbers import Numbers
from tgdav.blocks.tables import stores
from tgdav.db import Database
from tgdav.errors import TgdavError
from tgdav.stores.base import Store
from tgdav.stores.pool import StorePool

LOG = logging.getLogger(__name__)

_ALL = select(stores.c.no, stores.c.kind, stores.c.settings, stores.c.state).where(
    stores.c.kind != "spool"
)
_LIKE = select(stores.c.no).where(
    stores.c.kind == bindparam("of_kind"),
    stores.c.settings == bindparam("of_settings"),
    stores.c.state != "gone",
)


class StoreRow(NamedTuple):
    """A store as the database knows it; `settings` is JSON."""

    no: int
    kind: str
    settings: str
    state: str


OpenStore = Callable[[StoreRow], Store]
"""Opens the store of a row. May raise any error of ours; it is then tried again later."""


class Roster:
    """Keeps a pool in step with the table; used by one thread at a time."""

    def __init__(self, db: Database, pool: StorePool, open_store: OpenStore) -> None:
        self._db = db
        self._pool = pool
        self._open_store = open_store
        self._states: dict[int, str] = {}
        self._missed: dict[int, str] = {}

    def refresh(self) -> None:
        """Open, reopen for reading only, or drop what the table says by now.

        Costs one look at the table. A store that does not open is logged once, and
        tried again at the next refresh.
        """
        with self._db.read() as connection:
            rows = [StoreRow(*row) for row in connection.execute(_ALL)]
        for row in rows:
            if self._states.get(row.no) != row.state:
                self._apply(row)

    def _apply(self, row: StoreRow) -> None:
        if row.state == "gone":
            self._pool.drop(row.no)
        else:
            try:
                self._pool.set(row.no, self._open_store(row), writable=row.state == "active")
            except TgdavError as error:
                self._note(row.no, str(error))
                return
        self._states[row.no] = row.state
        self._missed.pop(row.no, None)

    def _note(self, no: int, trouble: str) -> None:
        if self._missed.get(no) != trouble:
            self._missed[no] = trouble
            LOG.warning("store %d: %s", no, trouble)


def add(db: Database, kind: str, settings: Mapping[str, str]) -> int:
    """The number of the store so described, which is recorded if it was not yet.

    Call it when the store is there. Any number of processes may call it at once.
    """
    no = Numbers(db, "store", 1).take()[0]
    told = json.dumps(dict(settings), sort_keys=True)

    def work(connection: Connection) -> int:
        like = {"of_kind": kind, "of_settings": told}
        found = connection.scalars(_LIKE, like).first()
        if found is not None:
            return int(found)
        row = {"no": no, "kind": kind, "settings": told, "state": "active"}
        connection.execute(insert(stores), row | {"added_ns": time.time_ns()})
        return no

    return db.write(work)
