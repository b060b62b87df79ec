"""What a data centre sends to one session: several small messages go as one container.

A message that gets no answer at once is acknowledged a moment later, or beside the next.
"""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mtproto.transport.packets import EncryptedMessagePacket
from telethon.tl import TLObject
from telethon.tl.types import MsgsAck

from tests.telegram_server.wire.calls import Piece
from tests.telegram_server.wire.keys import AuthKey
from tests.telegram_server.wire.sealing import HEADER, seal
from tests.telegram_server.wire.session import Session

Send = Callable[[EncryptedMessagePacket, int | None], None]
"""Takes a packet, and after how many of its bytes the connection is to end."""

ACKNOWLEDGE_S = 0.5
ALONE_FROM = 64 << 10
"""Answers of this size go at once, and uncopied."""
CONTAINER_MESSAGES = 100
CONTAINER_BYTES = 512 << 10
_CONTAINER, _RPC_RESULT = 0x73F1F8DC, 0xF35C6D01
_RESULT = struct.Struct("<Iq")
_MESSAGE = struct.Struct("<qii")


class _Message(NamedTuple):
    body: bytes
    is_content: bool
    is_answer: bool


class Outgoing:
    """On the event loop; `close` ends its timer."""

    def __init__(self, key: AuthKey, session: Session, send: Send) -> None:
        self._key, self._session, self._send = key, session, send
        self._key_id = int.from_bytes(key.id_bytes, "little", signed=True)
        self._waiting: list[_Message] = []
        self._unanswered: dict[int, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def received(self, message_id: int) -> None:
        """A message came that wants an answer or an acknowledgement."""
        self._unanswered[message_id] = None

    def answer(self, message_id: int, result: Sequence[Piece], cut_at: int | None = None) -> None:
        """Answer a call; with `cut_at` the connection ends so far into the packet."""
        self._unanswered.pop(message_id, None)
        pieces = (_RESULT.pack(_RPC_RESULT, message_id), *result)
        if cut_at is not None or sum(map(len, pieces)) >= ALONE_FROM:
            self._send_message(pieces, is_content=True, is_answer=True, cut_at=cut_at)
        else:
            self._waiting.append(_Message(b"".join(pieces), True, True))

    def put(self, message: TLObject, *, is_content: bool = False, is_answer: bool = True) -> None:
        """Send a service message with the next packet."""
        self._waiting.append(_Message(bytes(message), is_content, is_answer))

    def answered(self, message_id: int) -> None:
        """It was a service message, whose answer says enough."""
        self._unanswered.pop(message_id, None)

    def flush(self) -> None:
        """Send what waits; acknowledge what is still unanswered beside it, or soon."""
        while self._waiting:
            self._send_waiting()
        if self._unanswered and not self._timer:
            self._timer = asyncio.get_running_loop().call_later(ACKNOWLEDGE_S, self._acknowledge)

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _acknowledge(self) -> None:
        self._timer = None
        if self._unanswered:
            self._waiting.append(self._acknowledgement())
            self.flush()

    def _acknowledgement(self) -> _Message:
        told, self._unanswered = list(self._unanswered), {}
        return _Message(bytes(MsgsAck(told)), False, False)

    def _send_waiting(self) -> None:
        batch, size = [], 0
        while self._waiting and len(batch) < CONTAINER_MESSAGES and size < CONTAINER_BYTES:
            batch.append(self._waiting.pop(0))
            size += len(batch[-1].body)
        if self._unanswered:
            batch.append(self._acknowledgement())
        if len(batch) == 1:
            only = batch[0]
            self._send_message((only.body,), is_content=only.is_content, is_answer=only.is_answer)
            return
        pieces = [struct.pack("<Ii", _CONTAINER, len(batch))]
        for body, is_content, is_answer in batch:
            numbers = self._session.number(is_content=is_content, is_answer=is_answer)
            pieces += (_MESSAGE.pack(*numbers, len(body)), body)
        self._send_message(pieces, is_content=False, is_answer=False)

    def _send_message(
        self,
        pieces: Sequence[Piece],
        *,
        is_content: bool,
        is_answer: bool,
        cut_at: int | None = None,
    ) -> None:
        numbers = self._session.number(is_content=is_content, is_answer=is_answer)
        size = sum(map(len, pieces))
        header = HEADER.pack(self._key.salt, self._session.id, *numbers, size)
        sealed = seal(self._key.bytes, (header, *pieces))
        self._send(EncryptedMessagePacket(self._key_id, *sealed), cut_at)
