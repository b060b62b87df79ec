"""The drive over MTProto, beside Telethon's own ways of moving a file."""
