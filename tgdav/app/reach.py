"""Telegram, as far as settings and the ledger make it: nothing of it is loaded before its use."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tgdav.blocks.ledger import SqlLedger
from tgdav.errors import SettingsRefused, StoreError
from tgdav.settings import Settings

if TYPE_CHECKING:
    from tgdav.stores.telegram.network import Network
    from tgdav.stores.telegram.store import Telegram

LONGEST_ID = 18
"""Digits that are no more than a database keeps."""


class Reach:
    """Telegram, once something asks for it: its code alone takes half a second to load."""

    def __init__(self, settings: Settings, ledger: SqlLedger) -> None:
        self._settings = settings.telegram
        self._ledger = ledger

    @cached_property
    def network(self) -> "Network":
        """Which Telegram. Raises `SettingsRefused`."""
        from tgdav.stores.telegram.network import Network  # noqa: PLC0415 - see above

        told = self._settings
        if not told.api_id or not told.api_hash:
            raise SettingsRefused(
                "telegram.api_id and telegram.api_hash are not set: my.telegram.org gives them"
            )
        host, _, port = told.server.rpartition(":")
        return Network(
            told.api_id,
            told.api_hash,
            (host.strip("[]"), int(port)) if told.server else None,
            _key_of_server(told.server_key) if told.server_key else "",
        )

    @cached_property
    def telegram(self) -> "Telegram":
        """The accounts' connections: none before one is used. Raises `SettingsRefused`."""
        from tgdav.stores.telegram.store import Paces, Telegram  # noqa: PLC0415 - see above

        told = self._settings
        paces = Paces(
            senders=told.senders,
            channel_messages=told.channel_messages,
            messages_per_hour=told.messages_per_hour,
            messages_per_minute=told.messages_per_minute,
            copy_by_reference=told.copy_by == "reference",
        )
        return Telegram(self.network, self._ledger, paces)

    def close(self) -> None:
        """Give the accounts back, if they were used."""
        if "telegram" in self.__dict__:
            self.telegram.close()


def _key_of_server(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused("telegram.server_key cannot be read") from error


def channel_id(shown: str) -> int:
    """The id of a channel, which some programs show with -100 before it. Raises `StoreError`."""
    digits = shown.removeprefix("-100" if shown.startswith("-100") else "-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > LONGEST_ID:
        raise StoreError(f"{shown!r} is no channel's id")
    return int(digits)
