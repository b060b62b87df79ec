"""Bytes to blocks to packs, and back: no names, no paths, no HTTP."""
