"""Old versions, the trash, and what gc remembers between two looks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _history()
    _trash()
    _collection()


def _history() -> None:
    op.create_table(
        "history",
        sa.Column("node", NUMBER, autoincrement=False, nullable=False),
        sa.Column("version", NUMBER, autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.Column("retired_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.no"], name=op.f("fk_history_version")),
        sa.PrimaryKeyConstraint("node", "version", name=op.f("pk_history")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_history_retired_ns"), "history", ["retired_ns"], unique=False)
    op.create_index(op.f("ix_history_version"), "history", ["version"], unique=False)
    op.create_table(
        "deletions",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("nodes", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("excused_until_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user", name=op.f("pk_deletions")),
    )


def _trash() -> None:
    op.create_table(
        "trash",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("node", sa.BigInteger(), nullable=False),
        sa.Column("path", NAME, nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("deleted_ns", sa.BigInteger(), nullable=False),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_trash")),
    )
    op.create_index(op.f("ix_trash_deleted_ns_no"), "trash", ["deleted_ns", "no"], unique=False)
    op.create_table(
        "trashed",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("trash", NUMBER, nullable=False),
        sa.Column("parent", sa.BigInteger(), nullable=True),
        sa.Column("name", NAME, nullable=False),
        sa.Column("version", NUMBER, nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["trash"], ["trash.no"], name=op.f("fk_trashed_trash")),
        sa.ForeignKeyConstraint(["version"], ["versions.no"], name=op.f("fk_trashed_version")),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_trashed")),
    )
    op.create_index(op.f("ix_trashed_trash"), "trashed", ["trash"], unique=False)
    op.create_index(op.f("ix_trashed_version"), "trashed", ["version"], unique=False)
    op.create_index(op.f("ix_trashed_parent_name"), "trashed", ["parent", "name"], unique=False)
    op.create_table(
        "trashed_properties",
        sa.Column("node", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["trashed.no"], name=op.f("fk_trashed_properties_node")),
        sa.PrimaryKeyConstraint("node", "name", name=op.f("pk_trashed_properties")),
    )


def _collection() -> None:
    op.create_table(
        "condemned",
        sa.Column("block", NUMBER, autoincrement=False, nullable=False),
        sa.Column("uptime_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["block"], ["blocks.no"], name=op.f("fk_condemned_block")),
        sa.PrimaryKeyConstraint("block", name=op.f("pk_condemned")),
    )
    op.create_index(op.f("ix_condemned_uptime_ns"), "condemned", ["uptime_ns"], unique=False)
    op.create_table(
        "waste",
        sa.Column("pack", NUMBER, autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("dead_uptime_ns", sa.BigInteger(), nullable=True),
        sa.Column("heir", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["pack"], ["packs.no"], name=op.f("fk_waste_pack")),
        sa.PrimaryKeyConstraint("pack", name=op.f("pk_waste")),
    )
    op.create_table(
        "uptime",
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_uptime")),
    )
