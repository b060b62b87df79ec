"""tgdav: Telegram as a network drive."""

__version__ = "0.1.0"
