"""What bytes become: chunks, sealed blocks, packs, and the keys to them. No SQL, no store."""
