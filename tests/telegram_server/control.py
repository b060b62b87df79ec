"""The control port: one JSON object a line, `{"verb", "arguments"}`; the answer likewise,
`{"result"}` or `{"error"}`. Verbs about delivery are ours, all others the world's.
"""

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

from tests.telegram_server.server import HOST, Server

LINE_MAX = 64 << 20


class Control:
    """On the event loop: `start` and `close`."""

    def __init__(self, server: Server) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._world = server.world
        self._verbs: dict[str, Callable[..., Any]] = {
            verb.__name__: verb
            for verb in (
                server.faults.fail,
                server.faults.lose_reply,
                server.faults.delay,
                server.faults.cut,
                server.faults.forget_faults,
                server.shape.shape,
                server.tally.calls,
                server.tally.traffic,
                server.refuse_connections,
                server.drop_connections,
                server.change_salts,
            )
        }

    async def start(self) -> int:
        """Listen; the port."""
        self._listening = await asyncio.start_server(self._connected, HOST, 0, limit=LINE_MAX)
        return self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def do(self, verb: str, arguments: dict[str, Any]) -> object:
        """What the verb returns. Raises what it raises; `KeyError` if there is none."""
        if verb not in self._verbs:
            return self._world.control(verb, arguments)
        result = self._verbs[verb](**arguments)
        return await result if inspect.isawaitable(result) else result

    # Not a coroutine: asyncio complains of those that are cancelled before they began.
    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(await self._answer(line) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the test went away
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        try:
            order = json.loads(line)
            return json.dumps({"result": await self.do(order["verb"], order["arguments"])}).encode()
        except Exception as error:
            # Whatever it is, the test that asked should read it.
            return json.dumps({"error": f"{type(error).__name__}: {error}"}).encode()
