"""What is known of blocks, packs and stores, column by column.

Numbers (`no`) come from `numbers`, not from the database: they mean something
inside this database only. Times are nanoseconds since 1970, UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from tgdav.db import metadata

# SQLite keeps a table in the order of an INTEGER primary key, and needs no index for it.
NUMBER = BigInteger().with_variant(Integer, "sqlite")

# The drive itself: one row, written when it is made.
drive = Table(
    "drive",
    metadata,
    Column("no", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("drive_id", LargeBinary(16), nullable=False),  # random; in every pack's header
    Column("epoch", Integer, nullable=False),  # grows by one at each recovery
    Column("key_id", LargeBinary(8), nullable=False),  # says which master key, not what it is
    Column("aead", Integer, nullable=False),  # seal.AES_GCM or seal.CHACHA20
    Column("chunk_min", Integer, nullable=False),  # bytes; equal cuts need equal parameters
    Column("chunk_average", Integer, nullable=False),
    Column("chunk_max", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    # Where later epochs began, as JSON: [[epoch, the journal number before it, mark], ...]
    Column("epochs", Text, nullable=False, server_default="[]"),
    Column("head", BigInteger),  # the pack that is the newest head; null: none was made
    Column("head_told", String(64), nullable=False, server_default=""),  # digest of what it says
)

# Why nothing may be changed: the stores know a newer state. No row: all is well. A table of
# its own, as each save asks for it: what writes the drive's row shall not be in their way.
behind = Table(
    "behind",
    metadata,
    Column("no", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("why", Text, nullable=False),
)

# The next free number of each kind; processes take ranges of it (`numbers`).
numbers = Table(
    "numbers",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("next", BigInteger, nullable=False),
)

# Jobs that one process at a time may do, across all processes on the database.
leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),  # random, one per process
    Column("until_ns", BigInteger, nullable=False),  # free from then on
)

# What the jobs of maintenance did last, whoever of the processes ran them.
jobs = Table(
    "jobs",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("begun_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),  # null: it runs, or its process died in it
    Column("said", Text, nullable=False),  # JSON: the job's facts, or {"trouble": sentence}
)

stores = Table(
    "stores",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # "spool", "directory", "memory", "telegram"
    Column("settings", Text, nullable=False),  # JSON; a directory's: {"path": "/abs"}
    Column("state", String(16), nullable=False),  # "active", "draining" (reads only), "gone"
    Column("added_ns", BigInteger, nullable=False),
    # Why the process that serves the drive cannot use it, in a sentence; empty if it can.
    Column("trouble", Text, nullable=False, server_default=""),
)

NO_DIGEST = b""
"""Of a pack that was recovered and not yet read as a whole."""

packs = Table(
    "packs",
    metadata,
    Column("no", NUMBER, primary_key=True, autoincrement=False),
    Column("pack_id", LargeBinary(16), nullable=False, unique=True),  # random; the store's name
    Column("size", BigInteger, nullable=False),  # bytes of the whole pack
    Column("digest", LargeBinary(32), nullable=False),  # BLAKE3 of the whole, or `NO_DIGEST`
    Column("caption", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    # What the caption says: "pack", "snapshot" or "head"; only the first have blocks.
    Column("kind", String(16), nullable=False, server_default="pack"),
    Column("epoch", Integer, nullable=False, server_default="1"),
    Column("position", BigInteger, nullable=False, server_default="0"),  # the journal's, or 0
    Index(None, "kind", "position"),
)

# Packs that are parts of snapshots. A snapshot is complete when it has its last part; one
# that a crash has torn never gets it, and goes when the next is taken.
snapshots = Table(
    "snapshots",
    metadata,
    Column("pack", ForeignKey("packs.no"), primary_key=True, autoincrement=False),
    Column("snapshot_id", LargeBinary(16), nullable=False),
    Column("part", Integer, nullable=False),  # from 0
    Column("is_last", Boolean, nullable=False),
)

# A recovery that is under way: one row, gone when the drive's own is written.
recovery = Table(
    "recovery",
    metadata,
    Column("no", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("drive_id", LargeBinary(16), nullable=False),
    Column("stage", String(16), nullable=False),  # "list", "index", "snapshot", "journal"
    Column("snapshot_id", LargeBinary(16)),  # that is being loaded, or was
    Column("chunks", Integer, nullable=False),  # of it that were loaded
    Column("journal", BigInteger, nullable=False),  # the last number that was replayed
)

# What a recovery has read of packs beside their blocks; empty otherwise.
found = Table(
    "found",
    metadata,
    Column("pack", ForeignKey("packs.no"), primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("after", BigInteger),  # the journal in it follows this number; null: it has none
    Column("last", BigInteger),  # and ends with this
    Column("trouble", Text, nullable=False),  # "": it was read; else why it could not be
)

# A pack kept by a store. It is recorded after the store has it, never before.
replicas = Table(
    "replicas",
    metadata,
    Column("pack", ForeignKey("packs.no"), primary_key=True),
    Column("store", ForeignKey("stores.no"), primary_key=True),
    Column("locator", Text, nullable=False),
    Column("state", String(16), nullable=False),  # "sound", "suspect" (a read went wrong)
    Column("verified_ns", BigInteger, nullable=False),
    Index(None, "store", "pack"),
    Index(None, "verified_ns"),
    sqlite_with_rowid=False,
)

# A block is staged (pack is null and a row in `staged`) or lies in a pack.
blocks = Table(
    "blocks",
    metadata,
    Column("no", NUMBER, primary_key=True, autoincrement=False),
    Column("block_id", LargeBinary(32), nullable=False, unique=True),
    Column("size", Integer, nullable=False),  # bytes of the chunk
    Column("sealed_size", Integer, nullable=False),  # bytes of the sealed block
    Column("pack", ForeignKey("packs.no"), index=True),
    Column("pack_offset", BigInteger),  # where the sealed block starts in the pack
    Column("created_ns", BigInteger, nullable=False),
)

staged = Table(
    "staged",
    metadata,
    Column("block", ForeignKey("blocks.no"), primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),  # empty if it lies in the staging log
    Column("sealed_size", Integer, nullable=False),  # here too, so that an index has the sum
    Column("staged_ns", BigInteger, nullable=False),
    Column("log", BigInteger, index=True),  # the staging log's file that has it; null: none
    Column("log_offset", BigInteger),
    Index(None, "staged_ns", "block", "sealed_size"),
)

# Blocks that are lost because the staging log had not what `staged` said it has, and where
# it should be: somebody may put that file back.
mislaid = Table(
    "mislaid",
    metadata,
    Column("block", ForeignKey("blocks.no"), primary_key=True, autoincrement=False),
    Column("log", BigInteger, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Column("sealed_size", Integer, nullable=False),
)

# How far the journal has been packed: one row, written with the first pack.
packed = Table(
    "packed",
    metadata,
    Column("no", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("journal", BigInteger, nullable=False),  # the last journal number that a pack has
    Column("packed_ns", BigInteger, nullable=False),  # when a pack last took some along
)

# Blocks that a running save has found and not yet published: gc passes them by.
holds = Table(
    "holds",
    metadata,
    Column("hold_id", LargeBinary(16), primary_key=True),  # one per save
    Column("block", ForeignKey("blocks.no"), primary_key=True),
    Column("until_ns", BigInteger, nullable=False, index=True),  # void from then on
    sqlite_with_rowid=False,
)

# ---- what the Telegram store writes down; the words are `stores.ledger`'s

# A login. Its row stays when it is removed: the same user added again gets the same number,
# on which depends what was sent already.
accounts = Table(
    "accounts",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(8), nullable=False),  # "user", "bot"
    Column("user_id", BigInteger, nullable=False, unique=True),  # Telegram's
    Column("label", Text, nullable=False),
    Column("session", LargeBinary),  # sealed by `safe`; null once it is removed
    Column("premium", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("trouble", Text, nullable=False),
    Column("until_ns", BigInteger, nullable=False),  # when a limited one may write; else 0
    Column("added_ns", BigInteger, nullable=False),
    Column("checked_ns", BigInteger, nullable=False),  # when its state was last noted
    Column("day", Integer, nullable=False),  # since 1970, UTC: the day of the next two
    Column("sent_bytes", BigInteger, nullable=False),
    Column("received_bytes", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),  # of all time
    Column("in_flight_bytes", BigInteger, nullable=False),  # true while somebody has its lease
)

# An account's authorization keys in data centres that are not its home.
data_centre_keys = Table(
    "data_centre_keys",
    metadata,
    Column("account", ForeignKey("accounts.no"), primary_key=True),
    Column("data_centre", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),  # sealed by `safe`
)

channels = Table(
    "channels",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("store", ForeignKey("stores.no"), nullable=False),
    Column("channel_id", BigInteger, nullable=False),  # Telegram's
    Column("title", Text, nullable=False),
    Column("owner", ForeignKey("accounts.no")),  # null if a stranger made it
    Column("invite", LargeBinary, nullable=False),  # sealed by `safe`
    Column("state", String(16), nullable=False),
    Column("last_message", BigInteger, nullable=False),
    Column("added_ns", BigInteger, nullable=False),
    UniqueConstraint("store", "channel_id"),
)

# What each session addresses a channel by; void with the session.
memberships = Table(
    "memberships",
    metadata,
    Column("account", ForeignKey("accounts.no"), primary_key=True),
    Column("channel", ForeignKey("channels.no"), primary_key=True),
    Column("access_hash", BigInteger, nullable=False),
)

# Flood waits. Those that are over mean nothing.
waits = Table(
    "waits",
    metadata,
    Column("account", ForeignKey("accounts.no"), primary_key=True),
    Column("method", String(64), primary_key=True),
    Column("until_ns", BigInteger, nullable=False),
)

# A send that may have happened, written before it does. No foreign key to `packs`: a pack is
# recorded after its first replica is there.
intents = Table(
    "intents",
    metadata,
    Column("pack_id", LargeBinary(16), primary_key=True),
    Column("channel", ForeignKey("channels.no"), primary_key=True),
    Column("account", ForeignKey("accounts.no"), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("file_id", BigInteger, nullable=False),
    Column("message", BigInteger),  # its id in the channel, once it is known
    Column("intended_ns", BigInteger, nullable=False),  # when first
    Index(None, "channel", "message"),
)

# ---- what gc goes by

# Blocks that gc found unreferenced, by the uptime of then; a save that finds one again
# takes it out of here.
condemned = Table(
    "condemned",
    metadata,
    Column("block", ForeignKey("blocks.no"), primary_key=True, autoincrement=False),
    Column("uptime_ns", BigInteger, nullable=False, index=True),
)

# What collected blocks left in their packs: why a pack is rewritten or dropped.
waste = Table(
    "waste",
    metadata,
    Column("pack", ForeignKey("packs.no"), primary_key=True, autoincrement=False),
    Column("bytes", BigInteger, nullable=False),  # sealed, of blocks that left the index
    Column("dead_uptime_ns", BigInteger),  # since when no block is in it; null: some are
    Column("heir", BigInteger),  # the pack that its last blocks were copied to
)

# How long the drive was served, in all: one row, and a clock that nobody sets forward.
uptime = Table(
    "uptime",
    metadata,
    Column("no", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("ns", BigInteger, nullable=False),
)

__all__ = [
    "NO_DIGEST",
    "accounts",
    "behind",
    "blocks",
    "channels",
    "condemned",
    "data_centre_keys",
    "drive",
    "found",
    "holds",
    "intents",
    "jobs",
    "leases",
    "memberships",
    "mislaid",
    "numbers",
    "packed",
    "packs",
    "recovery",
    "replicas",
    "snapshots",
    "staged",
    "stores",
    "uptime",
    "waits",
    "waste",
]
