"""How large, how old and how many: every bound of the room, in one place."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class VaultSizes:
    """Bytes, unless the name says another unit."""

    pack_size: int = 32 * MIB
    """A pack is closed when it has reached this."""
    small_save: int = 16 * MIB
    """A save that may bring more new bytes makes packs of its own."""
    pending_limit: int = MIB
    """A save's new sealed bytes that wait for the publish in memory."""
    small: int = 64 << 10
    """Chunks that are not worth a look-up before they are sealed, or another thread's time."""
    flush_age_s: float = 30.0
    """How old a staged block gets before it is packed."""
    journal_age_s: float = 60.0
    """How often the journal may have a pack to itself."""
    staging_limit: int = 1024 * MIB
    spool_limit: int = 10 * 1024 * MIB
    hold_after_s: float = 60.0
    """Age from which a save holds its blocks, as it might outlive gc's patience."""
    hold_for_s: float = 4 * 3600.0
    """How long blocks stay held when the save says nothing any more."""
    prefetch: int = 4
    """Windows that a read has under way beside the one it is giving out."""
    prefetch_most: int = 44
    """The same, from stores that take so many calls at once."""
    window: int = MIB
    """Sealed bytes of neighbouring blocks that one read of a store asks for."""
    piece: int = 256 << 10
    """Bytes that a read gives out at once."""
    deliveries: int = 2
    """Packs that are put into the stores at once."""
    deliveries_most: int = 8
    """The same, into stores that take so many calls at once."""
    tick_s: float = 0.5
    """How often the flusher looks around."""
    lease_s: float = 20.0
    """How long a killed process keeps others from flushing in its place."""
    refresh_s: float = 1.0
    """How often the list of stores is looked at."""
    patience_s: float = 10.0
    """How long a running save waits for room in staging and spool."""
