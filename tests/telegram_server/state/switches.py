"""How Telegram behaves where it publishes no rule, or one that a test has to make smaller.

Marks: D documented, R reported by users, U unknown: our choice. Set by the verb `limits`.
"""

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Switches:
    """A limit that is 0 is off."""

    messages_per_hour_user: int = 2000
    """R: files that a user account sends before it has to wait."""
    messages_per_minute_bot: int = 20
    """R: messages of a bot in one channel."""
    messages_per_second_bot: int = 30
    """R: messages of a bot everywhere."""
    history_per_30s: int = 30
    """R: requests for history or a search by a user account."""
    lookups_per_30s: int = 0
    """U: requests for messages by id; nobody has told a limit."""
    codes_per_day: int = 5
    """R: login codes to one phone. U: FLOOD_WAIT until the first is a day old."""
    bot_logins_per_hour: int = 10
    """R: repeated bot logins wait; U: how many it takes."""
    bot_login_wait_s: int = 1500
    """R: 1000 to 2800 seconds."""
    exports_per_hour: int = 20
    """R: repeated auth.exportAuthorization waits, too; U: how many it takes."""

    premium_wait_after_bytes: int = 10_000_000_000
    """R: bytes either way in a day, after which an account without Premium is slowed down."""
    premium_wait_each_bytes: int = 32 << 20
    """R: about 5 MB/s then. U: how it is spread."""
    premium_wait_s: int = 5
    """R: 3 to 15 seconds."""

    parts_default: int = 4000
    """D: parts of a file."""
    parts_premium: int = 8000
    """D: the same with Premium."""
    small_part_life_s: float = 1.5 * 3600
    """R: what Android counts on for files of up to 10 MiB."""
    big_part_life_s: float = 24 * 3600
    """R: the same for larger ones."""
    parts_shared_by_logins: bool = False
    """U: whether one login of an account may send what another has saved."""

    caption_default: int = 1024
    """D: characters of a caption."""
    caption_premium: int = 4096
    """D: the same with Premium."""

    reference_life_s: float = 3 * 3600
    """R: hours; U: how many. Bytes of a deleted message are read for as long."""
    code_life_s: float = 600
    """U: how long a login code is good for."""
    export_life_s: float = 60
    """U: how long an exported authorization may be imported."""

    channels_default: int = 500
    """D: channels that an account may be in."""
    channels_premium: int = 1000
    """D: the same with Premium."""
    messages_served: int = 1_000_000
    """R: a channel's older messages come back empty; lifted in 2023, some say."""

    send_takes_s: float = 0
    """A repeat of a send that is no older is RANDOM_ID_DUPLICATE, as if it were under way."""
    repeat_after_delete: str = "id"
    """U: what a repeated random id answers when its message is gone.

    "id": its id and no message; "new": it is sent again; "error": MESSAGE_ID_INVALID.
    """
    search_lag_s: float = 0
    """R: a search may not see the newest messages; U: for how long."""
    duplicated_ends_login: bool = True
    """D: AUTH_KEY_DUPLICATED ends the session; False: only the two requests fail."""

    def set(self, **values: Any) -> None:
        """Raises `ValueError` for a name that is none."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"no such limit: {', '.join(unknown)}")
        for name, value in values.items():
            setattr(self, name, 0 if value is None else value)
