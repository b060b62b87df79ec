"""What is known of names and versions, column by column.

Node and version numbers come from `blocks.numbers`: they are never used twice, and
a copy of a tree knows its numbers before it is written. Times are nanoseconds
since 1970, UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tgdav.db import metadata

# PostgreSQL would order names by a language; pages of a listing need bytes.
NAME = Text().with_variant(Text(collation="C"), "postgresql")

# SQLite finds a row by an INTEGER key without an index; by a BIGINT it does not.
NUMBER = BigInteger().with_variant(Integer, "sqlite")

ROOT = 0
"""The number of the root directory; its parent is null and its name empty.

Every drive has it from the start, and `blocks.numbers` counts from 1.
"""

# The immutable content that one save gave a file. Copies share it.
versions = Table(
    "versions",
    metadata,
    Column("no", NUMBER, primary_key=True, autoincrement=False),
    Column("etag", String(32), nullable=False),  # random hex: never the same for two versions
    Column("size", BigInteger, nullable=False),  # bytes; its extents cover exactly this
    Column("checksum", String(128), nullable=False),  # "SHA1:…" as the client sent it, or ""
    Column("created_ns", BigInteger, nullable=False),
)

# A stretch of a version held by one block: in order, without gap or overlap.
extents = Table(
    "extents",
    metadata,
    Column("version", ForeignKey("versions.no"), primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),  # in the version
    Column("size", Integer, nullable=False),
    Column("block", ForeignKey("blocks.no"), nullable=False, index=True),
    Column("block_offset", Integer, nullable=False),  # a splice may use a block's middle
    sqlite_with_rowid=False,
)

nodes = Table(
    "nodes",
    metadata,
    Column("no", NUMBER, primary_key=True, autoincrement=False),
    Column("parent", ForeignKey("nodes.no")),
    Column("name", NAME, nullable=False),  # as the client spelled it
    Column("version", ForeignKey("versions.no"), index=True),  # null: a directory
    Column("owner", String(64), nullable=False, index=True),  # the user whose quota it counts on
    Column("created_ns", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    UniqueConstraint("parent", "name"),
)

# Versions that a node let go, by a save or a delete; before one is dropped it is asked
# whether a node, the history or the trash has it still.
retired = Table(
    "retired",
    metadata,
    Column("version", ForeignKey("versions.no"), primary_key=True, autoincrement=False),
    Column("retired_ns", BigInteger, nullable=False),
)

# What a file's name had before, by the file's node: kept for a time. The node may be in the
# trash by now; its number stays.
history = Table(
    "history",
    metadata,
    Column("node", NUMBER, primary_key=True, autoincrement=False),
    Column("version", ForeignKey("versions.no"), primary_key=True, autoincrement=False),
    Column("owner", String(64), nullable=False),  # who saved it
    Column("created_ns", BigInteger, nullable=False),  # the node's times when it had it
    Column("modified_ns", BigInteger, nullable=False),
    Column("retired_ns", BigInteger, nullable=False, index=True),  # when the next one came
    Index(None, "version"),
    sqlite_with_rowid=False,
)

# An entry of the trash: a node that was deleted or replaced, with all that was below it.
trash = Table(
    "trash",
    metadata,
    Column("no", NUMBER, primary_key=True, autoincrement=False),
    Column("node", BigInteger, nullable=False),  # the number that it had, in `trashed`
    Column("path", NAME, nullable=False),  # "/a/b": where it was then
    Column("parent", BigInteger, nullable=False),  # the directory's number; may be gone
    Column("user", String(64), nullable=False),  # who deleted it
    Column("deleted_ns", BigInteger, nullable=False),  # whole seconds
    Column("forgotten", Boolean, nullable=False),  # on its way out: nobody gets it back
    Index(None, "deleted_ns", "no"),
)

# The nodes in the trash, with the numbers that they had and will have again.
trashed = Table(
    "trashed",
    metadata,
    Column("no", NUMBER, primary_key=True, autoincrement=False),
    Column("trash", ForeignKey("trash.no"), nullable=False, index=True),
    Column("parent", BigInteger),  # null: the entry's top
    Column("name", NAME, nullable=False),
    Column("version", ForeignKey("versions.no"), index=True),
    Column("owner", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Index(None, "parent", "name"),
)

trashed_properties = Table(
    "trashed_properties",
    metadata,
    Column("node", ForeignKey("trashed.no"), primary_key=True, autoincrement=False),
    Column("name", String(512), primary_key=True),
    Column("value", Text, nullable=False),
)

# Nodes that a user deleted lately; only written where `history.guard_share` is set.
deletions = Table(
    "deletions",
    metadata,
    Column("user", String(64), primary_key=True),
    Column("since_ns", BigInteger, nullable=False),  # the hour counts from here
    Column("nodes", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),  # nodes of the drive when the hour began
    Column("stopped", Boolean, nullable=False),  # may delete nothing until confirmed
    Column("excused_until_ns", BigInteger, nullable=False),  # may delete anything until then
)

# Dead properties. They move and are copied with their node.
properties = Table(
    "properties",
    metadata,
    Column("node", ForeignKey("nodes.no"), primary_key=True, autoincrement=False),
    Column("name", String(512), primary_key=True),  # "{namespace}local"
    Column("value", Text, nullable=False),  # the whole element as XML
)

# DAV locks. A lock stays with its place: a moved or deleted node loses it.
locks = Table(
    "locks",
    metadata,
    Column("token", String(64), primary_key=True),
    Column("node", ForeignKey("nodes.no"), nullable=False, index=True),
    Column("user", String(64), nullable=False, index=True),
    Column("exclusive", Boolean, nullable=False),
    Column("infinite", Boolean, nullable=False),  # depth infinity: all below as well
    Column("owner", Text, nullable=False),  # the client's <owner> element as XML, or ""
    Column("until_ns", BigInteger, nullable=False),  # void from then on
)

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("password", String(255), nullable=False),  # Argon2id, in its standard string form
    Column("read_only", Boolean, nullable=False),
    Column("root", Text, nullable=False),  # "/" or "/a/b": what the user sees as "/"
    Column("quota", BigInteger),  # bytes; null: no bound
    Column("created_ns", BigInteger, nullable=False),
)

# What changed, in order; packs carry it away (`packed` tells how far).
journal = Table(
    "journal",
    metadata,
    Column("no", NUMBER, primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("change", Text, nullable=False),  # JSON, in the forms that `tree.journal` writes
    sqlite_autoincrement=True,
)

# Versions that a recovery knows of and whose content never reached a store; empty otherwise.
unsaved = Table(
    "unsaved",
    metadata,
    Column("version", ForeignKey("versions.no"), primary_key=True, autoincrement=False),
    Column("node", BigInteger, nullable=False),  # that was saved
    Column("former", BigInteger),  # the version that it had before; null: it was new
    Column("former_ns", BigInteger, nullable=False),  # its modified_ns then
)

__all__ = [
    "ROOT",
    "deletions",
    "extents",
    "history",
    "journal",
    "locks",
    "nodes",
    "properties",
    "retired",
    "trash",
    "trashed",
    "trashed_properties",
    "unsaved",
    "users",
    "versions",
]
