"""Schema changes, one file each, run by `tgdav.db` when a database is opened."""
