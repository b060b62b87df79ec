"""SQL that is said so often that saying it counts. Knows no table and no transaction."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from sqlalchemy import Connection, FromClause, Insert
from sqlalchemy.sql import Executable

from tgdav.db.engines import driver_of

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
        self._texts: dict[int, _Text] = {}

    def rows(self, connection: Connection, values: Values) -> Sequence[Sequence[Any]]:
        """All rows that it selects."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).all()
        if self._several:
            listed = _padded(values[self._several])
            text, own, _, first = self._text(connection, len(listed))
            parameters = [*own[:first], *listed, *own[first + len(listed) :]]
        else:
            text, own, names, _ = self._text(connection, 1)
            parameters = _in_order(own, names, values)
        return driver_of(connection).execute(text, parameters).fetchall()

    def run(self, connection: Connection, values: Values) -> None:
        """Change something."""
        self.run_each(connection, (values,))

    def run_each(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Change something once for each of `rows`; at least one."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        text, own, names, _ = self._text(connection, 1)
        parameters = [_in_order(own, names, values) for values in rows]
        driver_of(connection).executemany(text, parameters)

    def _text(self, connection: Connection, count: int) -> "_Text":
        """The text with room for a list of `count`."""
        made = self._texts.get(count)
        if made is None:
            made = self._texts[count] = self._compile(connection, count)
        return made

    def _compile(self, connection: Connection, count: int) -> "_Text":
        statement: Any = self._statement
        keys = _columns(statement.table) if isinstance(statement, Insert) else None
        compiled = statement.compile(dialect=connection.dialect, column_keys=keys)
        if not self._several:
            return _Text.of(str(compiled), compiled.positiontup or (), compiled.params)
        made = compiled.construct_expanded_state({self._several: list(range(count))})
        return _Text.of(made.statement, made.positiontup or (), made.parameters, self._several)


class _Text(NamedTuple):
    """What the driver is told, and where in it values go."""

    text: str
    own: list[Any]
    """The statement's own value at each place, where values bring none."""
    names: tuple[str, ...]
    first: int
    """The place of the list's first value; the others follow."""

    @classmethod
    def of(cls, text: str, names: Sequence[str], own: Values, several: str = "") -> "_Text":
        first = names.index(f"{several}_1") if several else 0
        return cls(text, [own[name] for name in names], tuple(names), first)


def _columns(table: FromClause) -> list[str]:
    """The columns that a row brings itself."""
    given = getattr(table, "autoincrement_column", None)
    return [column.key for column in table.c if column is not given]


def _in_order(own: Sequence[Any], names: Sequence[str], values: Values) -> list[Any]:
    return list(map(values.get, names, own))


def _padded(several: Sequence[Any]) -> list[Any]:
    """The list with its last value repeated: few lengths make few texts."""
    if not several:
        return [None]
    room = 1 << (len(several) - 1).bit_length()
    return [*several, *repeat(several[-1], room - len(several))]
