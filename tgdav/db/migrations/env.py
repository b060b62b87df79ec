"""What alembic runs: the connection and its transaction are `tgdav.db.schema`'s."""

from alembic import context

from tgdav.db import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
