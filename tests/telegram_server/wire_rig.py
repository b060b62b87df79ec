"""For tests of the wire: a server over the echo world on this loop, and clients for it.

`sending` is Telethon's own sender, unmodified; `speaking` is for what no client would
send, message by message, sealed by Telethon's own code.
"""

import asyncio
import functools
import logging
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from telethon.crypto import AuthKey, rsa
from telethon.extensions import BinaryReader
from telethon.network import Connection, ConnectionTcpIntermediate, MTProtoSender
from telethon.network.mtprotostate import MTProtoState
from telethon.tl import TLObject
from telethon.tl.core import MessageContainer, RpcResult
from telethon.tl.core.tlmessage import TLMessage
from telethon.tl.functions.upload import GetFileRequest
from telethon.tl.types import InputDocumentFileLocation

from tests.telegram_server.echo_world import EchoWorld
from tests.telegram_server.server import Server
from tests.telegram_server.wire.framing import INTERMEDIATE
from tests.telegram_server.wire.keys import ServerKey

LONGEST_S = 20
HOME = 2
_SILENT = logging.Logger("silent", logging.CRITICAL + 1)
LOGGERS: dict[str, logging.Logger] = defaultdict(lambda: _SILENT)


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """An asynchronous test, run on a loop of its own and bounded in time.

    What goes wrong in the loop's callbacks, where the server lives, fails it, too.
    """

    @functools.wraps(test)
    def run(*arguments: object, **named: object) -> None:
        complaints: list[dict[str, Any]] = []

        async def bounded() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(context))
            await asyncio.wait_for(test(*arguments, **named), LONGEST_S)

        asyncio.run(bounded())
        # Telethon asks none of its futures how a connection ended.
        assert [c for c in complaints if not isinstance(c.get("exception"), OSError)] == []

    return run


@asynccontextmanager
async def echoing() -> AsyncIterator[Server]:
    """Two data centres over an `EchoWorld`, whose key Telethon trusts."""
    server = Server(EchoWorld, key=_server_key())
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def sending(
    server: Server,
    key: bytes | None = None,
    data_centre: int = HOME,
    transport: type[Connection] = ConnectionTcpIntermediate,
) -> AsyncIterator[MTProtoSender]:
    """Telethon's sender, connected; it agrees on a key if it is given none."""
    sender = MTProtoSender(
        AuthKey(key) if key else None, loggers=LOGGERS, retries=0, auto_reconnect=False
    )
    port = server.ports[data_centre]
    await sender.connect(transport("127.0.0.1", port, data_centre, loggers=LOGGERS))
    try:
        yield sender
    finally:
        await sender.disconnect()


def minted(server: Server, data_centre: int = HOME) -> bytes:
    """A key that is known there already."""
    return server.ring.mint(data_centre)[1]


def get_file(file_id: int, limit: int = 1 << 20, offset: int = 0) -> GetFileRequest:
    location = InputDocumentFileLocation(file_id, 1, b"reference", "")
    return GetFileRequest(location, offset, limit)


class Speaker:
    """One connection and session: `state` seals, numbers and reads as Telethon does."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes, salt: int
    ) -> None:
        self.reader, self.writer = reader, writer
        self.state = MTProtoState(AuthKey(key), LOGGERS)
        self.state.salt = salt

    def message(self, body: bytes | TLObject, *, message_id: int | None = None) -> bytes:
        """A content-related message."""
        body, numbered = bytes(body), self.state._get_new_msg_id()
        return _message(message_id or numbered, self.state._get_seq_no(True), body)

    def send(self, message: bytes) -> None:
        """Send one message as a packet."""
        self.send_packet(self.state.encrypt_message_data(message))

    def send_packet(self, packet: bytes) -> None:
        self.writer.write(len(packet).to_bytes(4, "little") + packet)

    def send_together(self, messages: Sequence[bytes]) -> None:
        """Send several in a container."""
        head = MessageContainer.CONSTRUCTOR_ID.to_bytes(4, "little")
        body = head + len(messages).to_bytes(4, "little") + b"".join(messages)
        container_id = self.state._get_new_msg_id()
        self.send(_message(container_id, self.state._get_seq_no(False), body))

    async def hear(self) -> list[TLMessage]:
        """The messages of the next packet."""
        message = self.state.decrypt_message_data(await self.hear_packet())
        inside = isinstance(message.obj, MessageContainer)
        return message.obj.messages if inside else [message]

    async def hear_packet(self) -> bytes:
        head = await self.reader.readexactly(4)
        return await self.reader.readexactly(int.from_bytes(head, "little"))

    async def hear_until(self, wanted: type[TLObject], number: int = 1) -> list[TLObject]:
        """What is said until so many objects of that type came, these included."""
        heard: list[TLObject] = []
        while sum(isinstance(one, wanted) for one in heard) < number:
            heard += [message.obj for message in await self.hear()]
        return heard

    async def ask(self, body: bytes | TLObject) -> RpcResult:
        """The result of a call, whatever else comes before it."""
        self.send(self.message(body))
        return (await self.hear_until(RpcResult))[-1]


@asynccontextmanager
async def speaking(
    server: Server, key: bytes | None = None, salt: int | None = None
) -> AsyncIterator[Speaker]:
    """A speaker with a key that is known, and by default the right salt."""
    key = key or minted(server)
    if salt is None:
        salt = server.ring.find(HOME, AuthKey(key).key_id).salt
    reader, writer = await asyncio.open_connection("127.0.0.1", server.ports[HOME])
    writer.write(INTERMEDIATE)
    try:
        yield Speaker(reader, writer, key, salt)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def read(result: RpcResult) -> TLObject:
    """The object in a result."""
    return BinaryReader(result.body).tgread_object()


def random_bytes(size: int) -> bytes:
    return os.urandom(size)


@functools.cache
def _server_key() -> ServerKey:
    """One for all tests: to make one takes as long as most of them."""
    key = ServerKey()
    rsa.add_key(key.public_pem, old=False)
    return key


def _message(message_id: int, sequence: int, body: bytes) -> bytes:
    numbers = message_id.to_bytes(8, "little") + sequence.to_bytes(4, "little")
    return numbers + len(body).to_bytes(4, "little") + body
