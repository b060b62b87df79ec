"""Telegram's accounts and channels in the database: `stores.ledger.Ledger`, row by row."""

from tgdav.blocks.ledger.accounts import AccountRows
from tgdav.blocks.ledger.channels import ChannelRows


class SqlLedger(AccountRows, ChannelRows):
    """Made as `AccountRows` is. Any thread."""
