"""Exactly once: a random id that an account has sent to a peer before is no new message.

D: for ever, by any session of the account. Repeating it returns what it produced first.
"""

from dataclasses import dataclass

from tests.telegram_server.rpc import RpcError
from tests.telegram_server.state.clock import Clock
from tests.telegram_server.state.switches import Switches


@dataclass(frozen=True)
class Sent:
    message_id: int
    at: float


class Sends:
    def __init__(self, clock: Clock, switches: Switches) -> None:
        self._clock = clock
        self._switches = switches
        self._all: dict[tuple[int, int, int], Sent] = {}

    def first(self, user_id: int, channel_id: int, random_id: int) -> int | None:
        """The id of the message that the first such send made.

        Raises `RpcError` RANDOM_ID_INVALID, and RANDOM_ID_DUPLICATE as if it were under way.
        """
        if not random_id:
            raise RpcError(400, "RANDOM_ID_INVALID")
        sent = self._all.get((user_id, channel_id, random_id))
        if sent is None:
            return None
        if self._clock.now() - sent.at < self._switches.send_takes_s:
            raise RpcError(500, "RANDOM_ID_DUPLICATE")
        return sent.message_id

    def note(self, user_id: int, channel_id: int, random_id: int, message_id: int) -> None:
        sent = Sent(message_id, self._clock.now())
        self._all[user_id, channel_id, random_id] = sent
