"""Packs as documents in private channels; the only asyncio in the program."""
