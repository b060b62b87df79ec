"""The one place that knows how settings, a data folder and the rooms make a drive."""

from tgdav.app.drive import Drive
from tgdav.app.folder import (
    DATABASE,
    SERVING,
    alone,
    change_passphrase,
    is_served,
    load_keys,
    open_database,
)
from tgdav.app.making import CHUNKS, FIRST_USER, make_unless_made
from tgdav.app.opening import opened, recorded_stores
from tgdav.app.reach import Reach

__all__ = [
    "CHUNKS",
    "DATABASE",
    "FIRST_USER",
    "SERVING",
    "Drive",
    "Reach",
    "alone",
    "change_passphrase",
    "is_served",
    "load_keys",
    "make_unless_made",
    "open_database",
    "opened",
    "recorded_stores",
]
