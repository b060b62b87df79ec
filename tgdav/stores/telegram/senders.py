"""The data senders of one account in one data centre and direction: `upload.*`, no more.

As many as it takes, each with a window of requests in flight: both grow while answers
come soon, and shrink when they come late or Telegram asks for less.
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from telethon.errors import AuthKeyNotFound
from telethon.tl import TLRequest
from telethon.tl.functions import PingRequest

from tgdav.stores.telegram.connection import Sender
from tgdav.stores.telegram.errors import (
    AWAY_S,
    NO_ANSWER,
    TOO_MANY_CONNECTIONS,
    Action,
    Elsewhere,
    KeyRefused,
    RpcFailure,
    judge,
)

START, MOST = 2, 8
"""Requests in flight on one sender, at first and at most: 1 and 4 MiB of parts."""
SOON_S, LATE_S = 1.0, 8.0
"""An answer that took less lets the window grow, one that took more halves it."""
SILENT_S = 60.0
"""No answer for so long: the sender is of no use."""
IDLE_S = 45.0
"""A sender that nobody needs for so long is closed, but for the first `KEPT`."""
KEPT = 2
"""Senders that stay: whoever reads after a pause shall not wait for a connection."""
QUIET_S = 600.0
"""After so long without "too many connections" there may be one more again."""
PING_S = 10.0
LONGEST_PAUSE_S = 60.0
"""Between two attempts to connect, or to be answered over a new connection."""

OpenSender = Callable[[], Awaitable[Sender]]


class Senders:
    """On the event loop. `most` bounds the connections."""

    def __init__(self, open_sender: OpenSender, most: int) -> None:
        self._open_sender = open_sender
        self._most = self._wanted = most
        self._crowded_at = 0.0
        """When there were too many, or one more than before, the last time."""
        self._lanes: list[_Lane] = []
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._rests_until = 0.0
        self._away_until = 0.0
        self._failures = 0
        self._is_closed = False
        self.in_flight_bytes = 0
        self.latency_s = 0.0
        """Of an answer, lately, and of the wait for a sender before it."""

    @property
    def rests_s(self) -> float:
        """Seconds until requests go out again; 0 if they do now."""
        return max(self.away_s, self._rests_until - time.monotonic())

    @property
    def away_s(self) -> float:
        """Seconds of a rest that is more than a slower pace: others should do the work."""
        return max(0.0, self._away_until - time.monotonic())

    async def call(self, request: TLRequest, size: int) -> Any:
        """Telegram's answer to one request that carries `size` bytes, one way or the other.

        It should want no updates. Waits for a sender with room. Raises what `Sender.call`
        and the opening raise, and `KeyRefused`.
        """
        begun = time.monotonic()
        self.in_flight_bytes += size
        try:
            lane = await self._lane()
            answer = await self._call(lane, request)
            self.latency_s += (time.monotonic() - begun - self.latency_s) / 8
            return answer
        finally:
            self.in_flight_bytes -= size
            self._wake()

    def slow_down(self, seconds: float) -> None:
        """Have half as many requests in flight, and send none for so long."""
        for lane in self._lanes:
            lane.window = max(1.0, lane.window / 2)
        self._rests_until = max(self._rests_until, time.monotonic() + seconds)

    def stop(self, seconds: float) -> None:
        """Have one request in flight on each sender, and be away for so long."""
        for lane in self._lanes:
            lane.window = 1.0
        self._away_until = max(self._away_until, time.monotonic() + seconds)

    async def keep_alive(self, *, opens: bool = True) -> None:
        """Close what is idle, say a word on what stays, and `opens` one if none does.

        To be called now and then. Raises what the opening raises, and `KeyRefused`.
        """
        await self._drop_idle()
        self._grow()
        if opens and not self._lanes and not self.rests_s:
            await self._open()
        idle = [lane for lane in self._lanes if not lane.in_flight]
        for lane in idle:
            with contextlib.suppress(*NO_ANSWER):
                await self._answer(lane, PingRequest(secrets.randbits(63)), PING_S)

    async def close(self) -> None:
        """Close every sender; who waits for one is told `Elsewhere`."""
        self._is_closed = True
        while self._waiting:
            self._wake()
        await self.renew()

    async def renew(self) -> None:
        """Close every sender; others are opened as they are needed."""
        lanes, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.sender.close() for lane in lanes))

    async def _call(self, lane: "_Lane", request: TLRequest) -> Any:
        lane.in_flight += 1
        begun = time.monotonic()
        try:
            answer = await self._answer(lane, request, SILENT_S)
        finally:
            lane.in_flight -= 1
        lane.heard(time.monotonic() - begun)
        return answer

    async def _answer(self, lane: "_Lane", request: TLRequest, timeout_s: float) -> Any:
        try:
            answer = await lane.sender.call(request, timeout_s)
        except NO_ANSWER as error:
            if lane in self._lanes:  # else another request told of the same end
                self._note_end(lane, error)
                await self._drop(lane)
            raise
        except (RpcFailure, AuthKeyNotFound) as error:
            if (ruling := judge(error)).action is not Action.LOG_OUT:
                raise
            await self._drop(lane)
            raise KeyRefused(ruling, lane.sender.key) from error
        self._failures, lane.has_answered = 0, True
        return answer

    async def _lane(self) -> "_Lane":
        """A lane with room, opened if need be."""
        while True:
            if self._is_closed:
                raise Elsewhere("the account was let go of", AWAY_S)
            if rests_s := self.rests_s:
                await asyncio.sleep(rests_s)
                continue
            await self._drop_ended()
            if lane := self._emptiest():
                return lane
            if len(self._lanes) + self._opening < self._most:
                await self._open()
            else:
                await self._room()

    def _emptiest(self) -> "_Lane | None":
        """The lane with the smallest share of its window taken, if one has room."""
        lane = min(self._lanes, key=lambda lane: lane.in_flight / lane.window, default=None)
        return lane if lane and lane.in_flight < int(lane.window) else None

    async def _open(self) -> None:
        self._opening += 1
        try:
            sender = await self._open_sender()
        except NO_ANSWER:
            self._pause()
            raise
        finally:
            self._opening -= 1
        if self._is_closed:
            await sender.close()
            raise Elsewhere("the account was let go of", AWAY_S)
        self._lanes.append(_Lane(sender))
        self._wake()

    async def _room(self) -> None:
        """Return when something may have changed."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()  # the turn was ours, and goes to the next
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _wake(self) -> None:
        """Give a turn to as many as there is room for, and to one at least."""
        room = sum(int(lane.window) - lane.in_flight for lane in self._lanes)
        turns = max(1, room)
        while self._waiting and turns:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                turns -= 1

    def _note_end(self, lane: "_Lane", error: Exception) -> None:
        """Connect again at once only if the connection was of use, and none too many."""
        is_one_too_many = judge(error).number == TOO_MANY_CONNECTIONS
        if is_one_too_many and not self.away_s:
            self._most, self._crowded_at = max(1, self._most // 2), time.monotonic()
        if is_one_too_many or not lane.has_answered:
            self._pause()

    def _grow(self) -> None:
        """Have one more after a quiet time, as long as there are fewer than were wanted."""
        now = time.monotonic()
        if self._most < self._wanted and now - self._crowded_at >= QUIET_S:
            self._most, self._crowded_at = self._most + 1, now

    def _pause(self) -> None:
        """Be away, longer each time; what fails meanwhile is of the same event."""
        if not self.away_s:
            pause_s = min(LONGEST_PAUSE_S, 2.0 ** min(self._failures, 9))
            self._failures += 1
            self._away_until = time.monotonic() + pause_s

    async def _drop(self, lane: "_Lane") -> None:
        """Close a sender that failed; what else it has in flight fails with it."""
        if lane in self._lanes:
            self._lanes.remove(lane)
            await lane.sender.close()

    async def _drop_ended(self) -> None:
        for lane in [lane for lane in self._lanes if not lane.sender.is_open]:
            await self._drop(lane)

    async def _drop_idle(self) -> None:
        await self._drop_ended()
        now = time.monotonic()
        for lane in self._lanes[KEPT:]:
            if not lane.in_flight and now - lane.heard_at > IDLE_S:
                await self._drop(lane)


class _Lane:
    """A sender and its window."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.in_flight = 0
        self.has_answered = False
        self.window = float(START)
        self.heard_at = time.monotonic()

    def heard(self, taken_s: float) -> None:
        """An answer came after so long."""
        self.heard_at = time.monotonic()
        if taken_s > LATE_S:
            self.window = max(1.0, self.window / 2)
        elif taken_s < SOON_S:
            self.window = min(float(MOST), self.window + 1 / self.window)
