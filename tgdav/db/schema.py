"""The schema's names, and the way from any older one to the newest. Knows no table."""

import logging
from pathlib import Path

from sqlalchemy import Engine, MetaData, text

from tgdav.errors import DatabaseTooNew

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> None:
    """Make the tables, or bring those that are there to the newest schema.

    Raises `DatabaseTooNew`. One transaction: on an error nothing has changed.
    """
    head = _head()
    with engine.connect() as connection:
        if engine.dialect.has_table(connection, "alembic_version"):
            found = connection.scalar(text("SELECT version_num FROM alembic_version")) or ""
            if found > head:
                raise DatabaseTooNew(f"the database has schema {found}, this tgdav knows {head}")
            if found == head:
                return
    _upgrade(engine)


def _head() -> str:
    """The newest revision's name; migrations are called 0001_what.py and so on."""
    return max(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))[:4]


def _upgrade(engine: Engine) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Imported here because a start that has nothing to migrate is a quarter second faster.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        connection.execution_options(begin="BEGIN IMMEDIATE")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(7246)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
