"""Snapshots, heads, epochs, and what a recovery keeps while it runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _columns()
    _fill()
    _snapshots()
    _recovery()


def _columns() -> None:
    for column in (
        sa.Column("epochs", sa.Text(), server_default="[]", nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=True),
        sa.Column("head_told", sa.String(length=64), server_default="", nullable=False),
    ):
        op.add_column("drive", column)
    for column in (
        sa.Column("kind", sa.String(length=16), server_default="pack", nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="1", nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
    ):
        op.add_column("packs", column)
    op.create_index(op.f("ix_packs_kind_position"), "packs", ["kind", "position"], unique=False)


def _fill() -> None:
    """Say in a column what so far only captions said: "tgdav1 kind drive pack position"."""
    packs = sa.table("packs", sa.column("no"), sa.column("caption"), sa.column("position"))
    connection = op.get_bind()
    rows = connection.execute(sa.select(packs.c.no, packs.c.caption)).all()
    for no, caption in rows:
        position = caption.split()[-1:]
        if position and position[0].isdigit() and int(position[0]):
            connection.execute(
                sa.update(packs).where(packs.c.no == no).values(position=int(position[0]))
            )


def _snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("pack", NUMBER, autoincrement=False, nullable=False),
        sa.Column("snapshot_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("is_last", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["pack"], ["packs.no"], name=op.f("fk_snapshots_pack")),
        sa.PrimaryKeyConstraint("pack", name=op.f("pk_snapshots")),
    )


def _recovery() -> None:
    op.create_table(
        "behind",
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_behind")),
    )
    op.create_table(
        "recovery",
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("drive_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("snapshot_id", sa.LargeBinary(length=16), nullable=True),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("journal", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_recovery")),
    )
    op.create_table(
        "found",
        sa.Column("pack", NUMBER, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=True),
        sa.Column("last", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["pack"], ["packs.no"], name=op.f("fk_found_pack")),
        sa.PrimaryKeyConstraint("pack", name=op.f("pk_found")),
    )
    op.create_table(
        "unsaved",
        sa.Column("version", NUMBER, autoincrement=False, nullable=False),
        sa.Column("node", sa.BigInteger(), nullable=False),
        sa.Column("former", sa.BigInteger(), nullable=True),
        sa.Column("former_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.no"], name=op.f("fk_unsaved_version")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_unsaved")),
    )
