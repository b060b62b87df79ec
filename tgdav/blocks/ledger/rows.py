"""What modules that keep rows with secrets share."""

import time
from collections.abc import Mapping

from sqlalchemy import Connection, Insert, Update

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.form.safe import Safe
from tgdav.db import Database


class Rows:
    """Rows of one database, their secrets in a `Safe`. Any thread."""

    def __init__(self, db: Database, keys: Keys) -> None:
        self._db = db
        self._safe = Safe(keys)

    def _change(
        self, change: Update, told: Mapping[str, object], or_else: Insert | None = None
    ) -> None:
        """Change a row; where there is none, add it by `or_else`."""

        def work(connection: Connection) -> None:
            if not connection.execute(change, told).rowcount and or_else is not None:
                connection.execute(or_else, {**told, "now_ns": time.time_ns()})

        self._db.write(work)
