"""Bytes to calls and back: transports, keys, messages, shaping and faults of delivery.

It knows of the world that it gives answers to calls, and no account or file.
"""
