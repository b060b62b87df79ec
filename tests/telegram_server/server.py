"""The server: data centres that listen, and all that their connections share."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.telegram_server.wire.dialogue import DataCentre, Dialogue
from tests.telegram_server.wire.faults import Faults, account_id
from tests.telegram_server.wire.keys import KeyRing, ServerKey
from tests.telegram_server.wire.link import Link
from tests.telegram_server.wire.shaping import Shape
from tests.telegram_server.wire.tally import Tally
from tests.telegram_server.wire.turns import Turns

if TYPE_CHECKING:
    from tests.telegram_server.world import World

HOST = "127.0.0.1"
BACKLOG = 128

MakeWorld = Callable[[dict[int, int], str], "World"]


class Server:
    """On the event loop: `start` and `close`."""

    def __init__(self, make_world: MakeWorld, data_centres: int = 2, key: ServerKey | None = None):
        self.key = key or ServerKey()
        self.ring, self.faults, self.tally = KeyRing(), Faults(), Tally()
        self.shape, self._turns = Shape(), Turns()
        self._sockets = {no: _bound(0) for no in range(1, data_centres + 1)}
        self.ports = {no: bound.getsockname()[1] for no, bound in self._sockets.items()}
        self.world = make_world(self.ports, HOST)
        self.world.mint_key = self.ring.mint
        self._listening: dict[int, asyncio.Server] = {}
        self._links: dict[Link, Dialogue] = {}
        self._connections = 0

    async def start(self) -> None:
        """Listen on every data centre's port."""
        for no, bound in self._sockets.items():
            self._listening[no] = await asyncio.get_running_loop().create_server(
                lambda no=no: self._connect(no), sock=bound, backlog=BACKLOG
            )
        self._sockets = {}

    async def close(self) -> None:
        """Stop listening, end every connection, and give the ports back."""
        self._stop_listening()
        for bound in self._sockets.values():
            bound.close()
        for link in self._links:
            link.end()
        while self._links:
            await asyncio.sleep(0)

    async def refuse_connections(self, on: bool) -> None:
        """Lose the network: nobody is connected, nobody can connect; or find it again."""
        if on and self._listening:
            self._stop_listening()
            # Bound and not listening: the ports stay ours, and refuse.
            self._sockets = {no: _bound(port) for no, port in self.ports.items()}
            self.drop_connections()
        elif not on and not self._listening:
            await self.start()

    def drop_connections(self, account: int | None = None) -> int:
        """Reset every connection, or an account's; how many these were."""
        found = [
            link
            for link, dialogue in self._links.items()
            if account is None or account_id(dialogue.account) == str(account)
        ]
        for link in found:
            link.reset()
        return len(found)

    def change_salts(self) -> None:
        """Let every message be refused that is sent with a salt known so far."""
        for key in self.ring:
            key.change_salts()

    def _connect(self, no: int) -> Link:
        self._connections += 1
        link = Link(self.shape, self._turns, self._links.pop)
        centre = DataCentre(no, self.world, self.ring, self.key, self.faults, self.tally)
        dialogue = self._links[link] = Dialogue(self._connections, centre, link)
        link.listen(dialogue)
        return link

    def _stop_listening(self) -> None:
        for listening in self._listening.values():
            listening.close()
        self._listening = {}


def _bound(port: int) -> socket.socket:
    # asyncio lets small packets go at once only where the protocol is named.
    bound = socket.socket(proto=socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
