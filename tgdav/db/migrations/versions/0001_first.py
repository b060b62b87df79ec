"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _drive()
    _packs()
    _blocks()
    _content()
    _nodes()
    _people()


def _drive() -> None:
    op.create_table(
        "drive",
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("drive_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("aead", sa.Integer(), nullable=False),
        sa.Column("chunk_min", sa.Integer(), nullable=False),
        sa.Column("chunk_average", sa.Integer(), nullable=False),
        sa.Column("chunk_max", sa.Integer(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_drive")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "numbers",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_numbers")),
    )


def _packs() -> None:
    op.create_table(
        "packed",
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journal", sa.BigInteger(), nullable=False),
        sa.Column("packed_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_packed")),
    )
    op.create_table(
        "packs",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("pack_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("caption", sa.String(length=200), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_packs")),
        sa.UniqueConstraint("pack_id", name=op.f("uq_packs_pack_id")),
    )
    op.create_table(
        "stores",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("added_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_stores")),
    )
    op.create_table(
        "replicas",
        sa.Column("pack", NUMBER, nullable=False),
        sa.Column("store", sa.BigInteger(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("verified_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["pack"], ["packs.no"], name=op.f("fk_replicas_pack")),
        sa.ForeignKeyConstraint(["store"], ["stores.no"], name=op.f("fk_replicas_store")),
        sa.PrimaryKeyConstraint("pack", "store", name=op.f("pk_replicas")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_replicas_store_pack"), "replicas", ["store", "pack"], unique=False)


def _blocks() -> None:
    op.create_table(
        "blocks",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("block_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sealed_size", sa.Integer(), nullable=False),
        sa.Column("pack", NUMBER, nullable=True),
        sa.Column("pack_offset", sa.BigInteger(), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["pack"], ["packs.no"], name=op.f("fk_blocks_pack")),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_blocks")),
        sa.UniqueConstraint("block_id", name=op.f("uq_blocks_block_id")),
    )
    op.create_index(op.f("ix_blocks_pack"), "blocks", ["pack"], unique=False)
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("block", NUMBER, nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["block"], ["blocks.no"], name=op.f("fk_holds_block")),
        sa.PrimaryKeyConstraint("hold_id", "block", name=op.f("pk_holds")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_holds_until_ns"), "holds", ["until_ns"], unique=False)
    op.create_table(
        "staged",
        sa.Column("block", NUMBER, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_size", sa.Integer(), nullable=False),
        sa.Column("staged_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["block"], ["blocks.no"], name=op.f("fk_staged_block")),
        sa.PrimaryKeyConstraint("block", name=op.f("pk_staged")),
    )
    op.create_index(
        op.f("ix_staged_staged_ns_block_sealed_size"),
        "staged",
        ["staged_ns", "block", "sealed_size"],
        unique=False,
    )


def _content() -> None:
    op.create_table(
        "versions",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("etag", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.String(length=128), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_versions")),
    )
    op.create_table(
        "retired",
        sa.Column("version", NUMBER, autoincrement=False, nullable=False),
        sa.Column("retired_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.no"], name=op.f("fk_retired_version")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_retired")),
    )
    op.create_table(
        "extents",
        sa.Column("version", NUMBER, autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("block", NUMBER, nullable=False),
        sa.Column("block_offset", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["block"], ["blocks.no"], name=op.f("fk_extents_block")),
        sa.ForeignKeyConstraint(["version"], ["versions.no"], name=op.f("fk_extents_version")),
        sa.PrimaryKeyConstraint("version", "offset", name=op.f("pk_extents")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_extents_block"), "extents", ["block"], unique=False)


def _nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("no", NUMBER, autoincrement=False, nullable=False),
        sa.Column("parent", NUMBER, nullable=True),
        sa.Column(
            "name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("version", NUMBER, nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["nodes.no"], name=op.f("fk_nodes_parent")),
        sa.ForeignKeyConstraint(["version"], ["versions.no"], name=op.f("fk_nodes_version")),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_nodes")),
        sa.UniqueConstraint("parent", "name", name=op.f("uq_nodes_parent_name")),
    )
    op.create_index(op.f("ix_nodes_owner"), "nodes", ["owner"], unique=False)
    op.create_index(op.f("ix_nodes_version"), "nodes", ["version"], unique=False)
    op.create_table(
        "locks",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("infinite", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.no"], name=op.f("fk_locks_node")),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_locks")),
    )
    op.create_index(op.f("ix_locks_node"), "locks", ["node"], unique=False)
    op.create_index(op.f("ix_locks_user"), "locks", ["user"], unique=False)
    op.create_table(
        "properties",
        sa.Column("node", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.no"], name=op.f("fk_properties_node")),
        sa.PrimaryKeyConstraint("node", "name", name=op.f("pk_properties")),
    )


def _people() -> None:
    op.create_table(
        "journal",
        sa.Column("no", NUMBER, nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_journal")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password", sa.String(length=255), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
