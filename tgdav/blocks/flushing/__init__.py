"""From staging into packs, from the spool into the stores, and from store to store."""
