"""File references: a login's right to read a file, for as long as it lasts.

As one that was published decodes (R): 01, the message's id, when it was fetched, and more.
"""

import struct

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.documents import Document
from tests.telegram_server.state.logins import Login
from tests.telegram_server.state.switches import Switches

_HEAD = struct.Struct(">BIIH")


class References:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._epoch = 0

    def make(self, login: Login, document: Document, message_id: int) -> bytes:
        """One that begins now."""
        head = _HEAD.pack(1, message_id, int(self._clock.now()), self._epoch)
        return head + self._sign(login, document, head)

    def check(self, login: Login, document: Document, reference: bytes) -> None:
        """Raises `RpcError` FILE_REFERENCE_EMPTY, _INVALID, _EXPIRED."""
        if not reference:
            raise RpcError(400, "FILE_REFERENCE_EMPTY")
        head = bytes(reference[: _HEAD.size])
        if head + self._sign(login, document, head) != reference:
            raise RpcError(400, "FILE_REFERENCE_INVALID")
        _, _, made, epoch = _HEAD.unpack(head)
        is_old = self._clock.now() - made > self._switches.reference_life_s
        if is_old or epoch != self._epoch:
            raise RpcError(400, "FILE_REFERENCE_EXPIRED")

    def expire(self) -> None:
        """Let all that were made so far be expired."""
        self._epoch += 1

    @staticmethod
    def _sign(login: Login, document: Document, head: bytes) -> bytes:
        return login.sign(head + document.document_id.to_bytes(8, "big"))
