"""Telethon's sender with less work for each byte, and Telegram's own words for errors.

No gzip (random bytes cost 25 ms a part, and shrink by nothing), few copies, and never
without cryptg, as Telethon would go on at 3 MiB/s. Knows MTProto, and nothing of what
is sent.
"""

import logging
import os
import struct
from collections import defaultdict
from hashlib import sha256
from typing import Any

import cryptg
from telethon.crypto import AuthKey
from telethon.errors import SecurityError
from telethon.extensions.messagepacker import MessagePacker
from telethon.network import MTProtoSender
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import TLRequest
from telethon.tl.core import RpcResult, TLMessage
from telethon.tl.functions import InvokeWithoutUpdatesRequest
from telethon.tl.functions.upload import SaveBigFilePartRequest

from tgdav.stores.base import Buffer
from tgdav.stores.telegram.errors import RpcFailure
from tgdav.stores.telegram.network import CONNECT_S
from tgdav.stores.telegram.transport import LARGE
from tgdav.stores.telegram.turnstile import pass_turnstile

# What goes wrong on the wire is raised, and told by those who handle it.
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)
LOGGERS: dict[str, logging.Logger] = defaultdict(lambda: _SILENT)

_RPC_RESULT, _UPLOAD_FILE = 0xF35C6D01, 0x096A18D5
_ENVELOPE = struct.Struct("<qqqii")  # salt, session id, message id, sequence, bytes
_FILE = struct.Struct("<IqIIi")  # rpc_result, request, upload.file, storage type, mtime
_BIG_PART = struct.Struct("<IIqii")
_LONG_BYTES = 254
"""The first of four bytes that say how long more than 253 bytes are."""


class FileBytes:
    """The answer to `upload.getFile`: what it says besides is of no use."""

    __slots__ = ("bytes",)

    def __init__(self, data: memoryview) -> None:
        self.bytes = data


class SaveBigPart(InvokeWithoutUpdatesRequest):  # type: ignore[misc]  # no types
    """`upload.saveBigFilePart` without updates; the part is copied once, not four times."""

    def __init__(self, file_id: int, part: int, parts: int, data: Buffer) -> None:
        super().__init__(SaveBigFilePartRequest(file_id, part, parts, b""))
        self._head = _BIG_PART.pack(
            InvokeWithoutUpdatesRequest.CONSTRUCTOR_ID,
            SaveBigFilePartRequest.CONSTRUCTOR_ID,
            file_id,
            part,
            parts,
        )
        self._data = data

    def _bytes(self) -> bytes:
        size = len(self._data)
        is_long = size >= _LONG_BYTES
        told = bytes([_LONG_BYTES]) + size.to_bytes(3, "little") if is_long else bytes([size])
        return b"".join((self._head, told, self._data, bytes(-(len(told) + size) % 4)))


class Wire(MTProtoSender):  # type: ignore[misc]  # Telethon ships no types
    """Telethon's sender without gzip, and without pauses and attempts of its own."""

    def __init__(self, key: AuthKey | None) -> None:
        super().__init__(
            key,
            loggers=LOGGERS,
            retries=0,
            delay=0,
            auto_reconnect=False,
            connect_timeout=CONNECT_S,
        )
        self._state = _State(self.auth_key, LOGGERS)
        self._send_queue = _Packer(self._state, LOGGERS)

    async def _handle_rpc_result(self, message: Any) -> None:
        result = message.obj
        if result.error is None and not isinstance(result.body, FileBytes):
            await super()._handle_rpc_result(message)
            return
        sent = self._pending_state.pop(result.req_msg_id, None)
        if sent is None or sent.future.done():
            return
        if result.error is None:
            sent.future.set_result(result.body)
        else:
            words = RpcFailure(result.error.error_code, result.error.error_message)
            sent.future.set_exception(words)

    async def _handle_update(self, message: Any) -> None:
        """Nobody here wants updates."""

    def _store_own_updates(self, obj: Any) -> None:
        """Nor those that are answers, too."""


class _Packer(MessagePacker):  # type: ignore[misc]  # Telethon ships no types
    """A large message that comes first goes out alone, in pieces: none is copied for it."""

    async def get(self) -> tuple[Any, Any]:
        if not self._deque:
            self._ready.clear()
            await self._ready.wait()
        if len(self._deque[0].data) < LARGE:
            batch, data = await super().get()
            return batch, data and (data,)
        await pass_turnstile()
        sent = self._deque.popleft()
        sent.msg_id = self._state.next_message_id()
        sequence = self._state.next_sequence(isinstance(sent.request, TLRequest))
        head = struct.pack("<qii", sent.msg_id, sequence, len(sent.data))
        return [sent], (head, sent.data)


class _State(MTProtoState):  # type: ignore[misc]  # Telethon ships no types
    """MTProto 2.0: core.telegram.org/mtproto/description, "Protocol description"."""

    def next_message_id(self) -> int:
        return int(self._get_new_msg_id())

    def next_sequence(self, content_related: bool) -> int:
        return int(self._get_seq_no(content_related))

    def write_data_as_message(
        self, buffer: Any, data: bytes, content_related: bool, *, after_id: int | None = None
    ) -> int:
        """As it is; requests are sent in no order, so `after_id` is None."""
        message_id = self.next_message_id()
        sequence = self.next_sequence(content_related)
        buffer.write(struct.pack("<qii", message_id, sequence, len(data)))
        buffer.write(data)
        return message_id

    def encrypt_message_data(self, pieces: tuple[bytes, ...]) -> bytes:
        key = self.auth_key.key
        size = 16 + sum(map(len, pieces))
        padding = os.urandom(-(size + 12) % 16 + 12)
        plain = b"".join((struct.pack("<qq", self.salt, self.id), *pieces, padding))
        digest = sha256(key[88:120])
        digest.update(plain)
        message_key = digest.digest()[8:24]
        aes_key, aes_iv = self._calc_key(key, message_key, True)
        sealed = cryptg.encrypt_ige(plain, aes_key, aes_iv)
        return b"".join((struct.pack("<Q", self.auth_key.key_id), message_key, sealed))

    def decrypt_message_data(self, body: Buffer) -> Any:
        """Telethon's, but for a file's bytes, of which it would make five copies."""
        if len(body) < LARGE:
            return super().decrypt_message_data(body)
        key_id, message_key = struct.unpack_from("<Q16s", body)
        if key_id != self.auth_key.key_id:
            raise SecurityError("an answer under another key")
        aes_key, aes_iv = self._calc_key(self.auth_key.key, message_key, False)
        plain = cryptg.decrypt_ige(bytes(body[24:]), aes_key, aes_iv)
        digest = sha256(self.auth_key.key[96:128])
        digest.update(plain)
        if digest.digest()[8:24] != message_key:
            raise SecurityError("an answer that was changed on its way")
        return self._file_in(plain) or super().decrypt_message_data(bytes(body))

    def _file_in(self, plain: bytes) -> TLMessage | None:
        """The message, if it is a file's bytes for a request of this session."""
        _, session, message_id, sequence, size = _ENVELOPE.unpack_from(plain)
        if size < _FILE.size + 4 or _ENVELOPE.size + size > len(plain):
            return None
        what, request, kind, _, _ = _FILE.unpack_from(plain, _ENVELOPE.size)
        start = _ENVELOPE.size + _FILE.size
        if (what, kind, plain[start]) != (_RPC_RESULT, _UPLOAD_FILE, _LONG_BYTES):
            return None
        if session != self.id or not message_id & 1:
            raise SecurityError("an answer to another session")
        # A replayed answer finds no request that waits for it, so its age does not matter.
        length = int.from_bytes(plain[start + 1 : start + 4], "little")
        data = memoryview(plain)[start + 4 : start + 4 + length]
        if len(data) != length:
            raise SecurityError("an answer cut off")
        return TLMessage(message_id, sequence, RpcResult(request, FileBytes(data), None))
