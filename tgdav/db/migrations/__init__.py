"""Schema changes, one file each, run by `tgdav.db.schema` when a database is opened."""
