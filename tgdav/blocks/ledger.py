"""`stores.ledger.Ledger` on the database: the rows of accounts and those of channels."""

from tgdav.blocks.accounts import AccountRows
from tgdav.blocks.channels import ChannelRows


class SqlLedger(AccountRows, ChannelRows):
    """Made as `AccountRows` is. Any thread."""
