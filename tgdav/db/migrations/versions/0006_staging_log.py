"""Staged blocks that lie in files."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("staged", sa.Column("log", sa.BigInteger(), nullable=True))
    op.add_column("staged", sa.Column("log_offset", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_staged_log"), "staged", ["log"], unique=False)
