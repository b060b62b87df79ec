"""TLS: the certificate, and the handshake, made by the worker and within a time."""

import socket
import ssl
from pathlib import Path

from tgdav.errors import SettingsRefused

HANDSHAKE = b"\x16"
"""The first byte of every TLS connection; no HTTP method begins so."""


class NotTls(Exception):
    """The client speaks something else."""


def context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 and later with this certificate. Raises `SettingsRefused`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or "not understood"
        raise SettingsRefused(f"the TLS certificate or its key cannot be used: {reason}") from error
    return made


def secured(connected: socket.socket, over: ssl.SSLContext, within_s: float) -> ssl.SSLSocket:
    """`connected` with the handshake done; `connected` itself must not be used any more.

    Raises `NotTls` (then it is untouched), `OSError`, `TimeoutError`.
    """
    connected.settimeout(within_s)
    if connected.recv(1, socket.MSG_PEEK) not in (HANDSHAKE, b""):
        raise NotTls
    wrapped = over.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
    try:
        wrapped.do_handshake()
    except OSError:
        wrapped.close()
        raise
    return wrapped
