"""SQL that is said so often that saying it counts. Knows no table and no transaction."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, Insert
from sqlalchemy.sql import Executable

Values = Mapping[str, Any]


class Prepared:
    """A Core statement whose text is made once. Any thread.

    SQLAlchemy spends 35 µs on each execution, SQLite's driver 5: on the hot paths the
    text goes to the driver itself. Values are numbers, text and bytes, as they come and
    go in SQLite; no booleans. `several` names the one parameter that is a list (`IN`); a
    statement with one has no other.
    """

    def __init__(self, statement: Executable, several: str = "") -> None:
        self._statement = statement
        self._several = several
        self._texts: dict[int, tuple[str, list[tuple[str, Any]]]] = {}

    def rows(self, connection: Connection, values: Values) -> Sequence[Sequence[Any]]:
        """All rows that it selects."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).all()
        if self._several:
            values = _padded(self._several, values[self._several])
        text, names = self._text(connection, len(values) if self._several else 1)
        return _driver(connection).execute(text, _in_order(names, values)).fetchall()

    def run(self, connection: Connection, values: Values) -> None:
        """Change something."""
        self.run_each(connection, (values,))

    def run_each(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Change something once for each of `rows`; at least one."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        text, names = self._text(connection, 1)
        _driver(connection).executemany(text, [_in_order(names, values) for values in rows])

    def _text(self, connection: Connection, count: int) -> tuple[str, list[tuple[str, Any]]]:
        """The text with room for a list of `count`; its parameters' names and own values."""
        made = self._texts.get(count)
        if made is None:
            made = self._texts[count] = self._compile(connection, count)
        return made

    def _compile(self, connection: Connection, count: int) -> tuple[str, list[tuple[str, Any]]]:
        statement: Any = self._statement
        keys = _columns(statement.table) if isinstance(statement, Insert) else None
        compiled = statement.compile(dialect=connection.dialect, column_keys=keys)
        if not self._several:
            own = compiled.params
            return str(compiled), [(name, own[name]) for name in compiled.positiontup or ()]
        expanded = compiled.construct_expanded_state({self._several: list(range(count))})
        own = expanded.parameters
        return expanded.statement, [(name, own[name]) for name in expanded.positiontup or ()]


def _columns(table: FromClause) -> list[str]:
    """The columns that a row brings itself."""
    given = getattr(table, "autoincrement_column", None)
    return [column.key for column in table.c if column is not given]


def _driver(connection: Connection) -> sqlite3.Connection:
    return connection.connection.dbapi_connection  # type: ignore[return-value]


def _in_order(names: Sequence[tuple[str, Any]], values: Values) -> list[Any]:
    return [values.get(name, own) for name, own in names]


def _padded(name: str, several: Sequence[Any]) -> Values:
    """The list as parameters, its last value repeated: few lengths make few texts."""
    room = 1 << (len(several) - 1).bit_length() if several else 1
    values = {f"{name}_{at}": value for at, value in enumerate(several, 1)}
    last = several[-1] if several else None
    return values | {f"{name}_{at}": last for at in range(len(several) + 1, room + 1)}
