"""Staged blocks that the staging log had not."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "mislaid",
        sa.Column("block", NUMBER, autoincrement=False, nullable=False),
        sa.Column("log", sa.BigInteger(), nullable=False),
        sa.Column("log_offset", sa.BigInteger(), nullable=False),
        sa.Column("sealed_size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["block"], ["blocks.no"], name=op.f("fk_mislaid_block")),
        sa.PrimaryKeyConstraint("block", name=op.f("pk_mislaid")),
    )
