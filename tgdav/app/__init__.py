"""The one place that knows how settings, a data folder and the rooms make a drive."""

from tgdav.app.drive import Drive
from tgdav.app.folder import alone, change_passphrase, is_served, load_keys, require_place
from tgdav.app.making import FIRST_USER, make_unless_made
from tgdav.app.opening import opened
from tgdav.app.reach import channel_id

__all__ = [
    "FIRST_USER",
    "Drive",
    "alone",
    "change_passphrase",
    "channel_id",
    "is_served",
    "load_keys",
    "make_unless_made",
    "opened",
    "require_place",
]
