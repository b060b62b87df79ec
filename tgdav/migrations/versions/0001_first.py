"""The first tables."""

from alembic import op

import tgdav.blocks.tables
import tgdav.tree.tables
from tgdav.db import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
