"""A Telegram on loopback, for the unmodified Telethon client: real TCP, real MTProto.

What it does not imitate, on the wire: HTTP and WebSocket transports, obfuscation without
`tgcrypto`, temporary keys (PFS), the RSA_PAD scheme of newer clients, quick acks, sequence
number checks (32, 33), answers kept for a client that asks again, and updates pushed unasked.

Nor, of what lies behind: chats of people, saved messages and basic groups; photos, albums, stickers
and every medium but documents; public names of channels and joining by them; takeout, QR codes and
signing up; upload.getFileHashes and CDN; differences of updates (they are empty); the api_id of a
login that exists already. Rules that are only reported, or unknown: `state/switches.py`.
"""
