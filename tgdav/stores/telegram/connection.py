"""One sender: a connection to one data centre; nothing is retried, waited for or repaired."""

import asyncio
from dataclasses import dataclass
from typing import Any

from telethon.crypto import AuthKey
from telethon.tl import TLRequest
from telethon.tl.alltlobjects import LAYER
from telethon.tl.functions import InitConnectionRequest, InvokeWithLayerRequest

import tgdav
from tgdav.stores.telegram.network import Network
from tgdav.stores.telegram.transport import Transport
from tgdav.stores.telegram.wire import Wire


@dataclass(frozen=True, slots=True)
class DataCentre:
    """Where a data centre listens."""

    no: int
    host: str
    port: int


class Sender:
    """A connection with an authorization key. On the event loop.

    Without a key, `open` agrees on one. Once it is not `is_open` any more it never is again.
    """

    def __init__(self, network: Network, centre: DataCentre, key: bytes | None) -> None:
        self.centre = centre
        self._network = network
        self._wire = Wire(AuthKey(key) if key else None)

    @property
    def is_open(self) -> bool:
        return bool(self._wire.is_connected()) and bool(self._wire._transport_connected())

    @property
    def key(self) -> bytes:
        """The authorization key, once it is open."""
        return bytes(self._wire.auth_key.key)

    async def open(self) -> None:
        """Connect. Raises `OSError`, `asyncio.TimeoutError`."""
        await self._wire.connect(Transport(self.centre.host, self.centre.port))

    async def introduce(self, request: TLRequest, timeout_s: float) -> Any:
        """`call` it as the first of a key's requests: it tells who we are."""
        told = InitConnectionRequest(
            api_id=self._network.api_id,
            device_model="tgdav",
            system_version="server",
            app_version=tgdav.__version__,
            lang_code="en",
            system_lang_code="en",
            lang_pack="",
            query=request,
        )
        return await self.call(InvokeWithLayerRequest(LAYER, told), timeout_s)

    async def call(self, request: TLRequest, timeout_s: float) -> Any:
        """Telegram's answer.

        Raises `RpcFailure`; `OSError`, `EOFError`, `BufferError` or `asyncio.TimeoutError`
        if none came: it is then unknown whether the request was carried out, and the
        connection should be closed.
        """
        answer = self._wire.send(request)
        lost = self._wire.disconnected
        try:
            await asyncio.wait(
                {answer, lost}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            answer.cancel()
            raise
        finally:
            # `disconnected` is a new shield each time; what it shields goes on.
            lost.cancel()
        if not answer.done():
            is_lost = not self.is_open
            answer.cancel()
            raise (
                ConnectionResetError("the connection ended")
                if is_lost
                else TimeoutError(f"no answer in {timeout_s:.0f} s")
            )
        if answer.cancelled():
            raise ConnectionResetError("the connection ended")
        return answer.result()

    async def close(self) -> None:
        """Let go of the connection; what waits for an answer is told that it ended."""
        await self._wire.disconnect()
