"""The database: transactions and schema, SQLite and PostgreSQL alike. Knows no table."""

from tgdav.db.database import Database
from tgdav.db.schema import metadata
from tgdav.db.writing import Work

__all__ = ["Database", "Work", "metadata"]
