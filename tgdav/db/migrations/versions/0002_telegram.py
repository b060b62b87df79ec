"""What the Telegram store writes down, and what is wrong with a store."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("stores", sa.Column("trouble", sa.Text(), server_default="", nullable=False))
    _accounts()
    _channels()
    _intents()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("session", sa.LargeBinary(), nullable=True),
        sa.Column("premium", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.Column("added_ns", sa.BigInteger(), nullable=False),
        sa.Column("checked_ns", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("in_flight_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_accounts")),
        sa.UniqueConstraint("user_id", name=op.f("uq_accounts_user_id")),
    )
    op.create_table(
        "data_centre_keys",
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("data_centre", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.no"], name=op.f("fk_data_centre_keys_account")
        ),
        sa.PrimaryKeyConstraint("account", "data_centre", name=op.f("pk_data_centre_keys")),
    )
    op.create_table(
        "waits",
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.no"], name=op.f("fk_waits_account")),
        sa.PrimaryKeyConstraint("account", "method", name=op.f("pk_waits")),
    )


def _channels() -> None:
    op.create_table(
        "channels",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("store", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=True),
        sa.Column("invite", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("last_message", sa.BigInteger(), nullable=False),
        sa.Column("added_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["accounts.no"], name=op.f("fk_channels_owner")),
        sa.ForeignKeyConstraint(["store"], ["stores.no"], name=op.f("fk_channels_store")),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_channels")),
        sa.UniqueConstraint("store", "channel_id", name=op.f("uq_channels_store_channel_id")),
    )
    op.create_table(
        "memberships",
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.BigInteger(), nullable=False),
        sa.Column("access_hash", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.no"], name=op.f("fk_memberships_account")),
        sa.ForeignKeyConstraint(["channel"], ["channels.no"], name=op.f("fk_memberships_channel")),
        sa.PrimaryKeyConstraint("account", "channel", name=op.f("pk_memberships")),
    )


def _intents() -> None:
    op.create_table(
        "intents",
        sa.Column("pack_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("channel", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=True),
        sa.Column("intended_ns", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.no"], name=op.f("fk_intents_account")),
        sa.ForeignKeyConstraint(["channel"], ["channels.no"], name=op.f("fk_intents_channel")),
        sa.PrimaryKeyConstraint("pack_id", "channel", "account", name=op.f("pk_intents")),
    )
    op.create_index(
        op.f("ix_intents_channel_message"), "intents", ["channel", "message"], unique=False
    )
