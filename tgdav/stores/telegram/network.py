"""Which Telegram: its address, its key, and who we say we are to it.

`server` and `server_key` point everything at another MTProto server: Telegram's own
test data centres, or one on loopback.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.network import ConnectionTcpIntermediate
from telethon.sessions import StringSession

import tgdav
from tgdav.errors import SettingsRefused

HOME = 2
"""The data centre that a new login speaks to first; it may send it to another."""
CONNECT_S = 10
"""Seconds for a connection to be made."""

# What a login meets is raised, and told once, as a sentence.
_SILENT = logging.getLogger("tgdav.silent")
_SILENT.setLevel(logging.CRITICAL + 1)


class _Client(TelegramClient):  # type: ignore[misc]  # Telethon ships no types
    """Asks where the data centres are for itself: Telethon's clients share the answer."""

    def __init__(self, *told: Any, **options: Any) -> None:
        super().__init__(*told, **options)
        type(self)._config = None


@dataclass(frozen=True, slots=True)
class Network:
    """Immutable; any thread."""

    api_id: int
    api_hash: str = field(repr=False)
    server: tuple[str, int] | None = None
    server_key: str = ""
    """PEM of the server's public RSA key; empty: Telegram's own are believed."""

    def trust(self) -> None:
        """Believe the server's key in this process. Raises `SettingsRefused`."""
        if self.server_key:
            try:
                rsa.add_key(self.server_key, old=False)
            except (ValueError, TypeError) as error:
                raise SettingsRefused("telegram.server_key is no RSA key in PEM") from error

    def client(self, session: str = "") -> TelegramClient:
        """A client on the event loop's thread, not connected; `session` empty: a new login.

        It neither retries nor waits by itself: what an error means is `errors`' to say.
        Raises `SettingsRefused`.
        """
        self.trust()
        kept = StringSession(session)
        if self.server and not session:
            kept.set_dc(HOME, *self.server)
        return _Client(
            kept,
            self.api_id,
            self.api_hash,
            connection=ConnectionTcpIntermediate,
            timeout=CONNECT_S,
            request_retries=1,
            connection_retries=1,
            retry_delay=0,
            auto_reconnect=False,
            flood_sleep_threshold=0,
            raise_last_call_error=True,
            receive_updates=False,
            base_logger=_SILENT,
            device_model="tgdav",
            system_version="server",
            app_version=tgdav.__version__,
        )
