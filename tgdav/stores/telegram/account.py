"""One login in use: its control connection, its data senders, its pauses. On the loop.

Carries out what `errors` rules for an account as a whole, and hands the rest of the
rulings to whoever asked. Knows nothing of packs and stores.
"""

import asyncio
import contextlib
import ipaddress
import logging
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from telethon.sessions import StringSession
from telethon.tl import TLRequest
from telethon.tl.functions import InvokeWithoutUpdatesRequest, PingRequest
from telethon.tl.functions.auth import ExportAuthorizationRequest, ImportAuthorizationRequest
from telethon.tl.functions.help import GetConfigRequest
from telethon.tl.functions.users import GetUsersRequest
from telethon.tl.types import InputUserSelf

from tgdav.errors import StoreError
from tgdav.stores import ledger
from tgdav.stores.ledger import AccountState, Ledger
from tgdav.stores.pace import Pace
from tgdav.stores.telegram.connection import DataCentre, Sender
from tgdav.stores.telegram.errors import (
    AWAY_S,
    NO_ANSWER,
    Action,
    Elsewhere,
    KeyRefused,
    Ruled,
    Ruling,
    Unanswered,
    judge,
)
from tgdav.stores.telegram.network import Network
from tgdav.stores.telegram.senders import Senders

LOG = logging.getLogger(__name__)

CONTROL_S = 30.0
"""No answer to a message or a look-up for so long: the connection is of no use."""
ATTEMPTS = 8
"""At one request, while the trouble is Telegram's own."""
CONNECTIONS = 3
"""Tries to have one request answered over a connection of its own."""
LONGEST_PAUSE_S = 30.0
PATIENCE_S = 10.0
"""An account that rests longer hands its work to another."""
SLOWED_S = 60.0
"""The longest that work waits for an account whose transfers are only slowed down."""
LIMITED_S = 24 * 3600.0
RATE = 64 << 20
"""Bytes a second that any account is taken to carry where two are compared."""

PAGES, PAGES_SPAN_S = 10, 10.0
"""Pages of messages in a span of a scan: users report 30 in 30 s as the most (Telethon#565)."""

_STATES: dict[Action, AccountState] = {
    Action.LIMIT: "limited",
    Action.FREEZE: "frozen",
    Action.BAN: "banned",
    Action.LOG_OUT: "logged out",
}


class Direction(StrEnum):
    """Uploads and downloads have connections of their own, as in Telegram's own programs."""

    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class Done:
    """What an account has done since somebody last took the figures."""

    sent_bytes: int = 0
    received_bytes: int = 0
    messages: int = 0


class Condition(NamedTuple):
    """How an account is; the ledger is told when it is another than before."""

    state: AccountState
    trouble: str
    until_ns: int


class Account:
    """A login that this process has the lease of.

    `ask` and `transfer` raise `Elsewhere` if the account cannot do it now, and `Ruled` if
    the error is about what was asked.
    """

    def __init__(
        self, network: Network, kept: Ledger, row: ledger.Account, most_senders: int
    ) -> None:
        self.row = row
        self.no = row.no
        self.condition = Condition(row.state, row.trouble, row.until_ns)
        self.done = Done()
        self.pages = Pace(PAGES, PAGES_SPAN_S)
        """Those that it looks at in scans, of all channels."""
        self.new_waits: dict[str, int] = {}
        """Flood waits that the ledger was not told of: method to ns since 1970."""
        self._network = network
        self._ledger = kept
        self._most_senders = most_senders
        session = StringSession(row.session)
        self.home = DataCentre(session.dc_id, session.server_address, session.port)
        self._key: bytes = session.auth_key.key
        self._centres = {self.home.no: self.home}
        self._keys: dict[int, bytes] = {}
        self._control: Sender | None = None
        self._connecting = asyncio.Lock()
        self._importing = asyncio.Lock()
        self._away_until = 0.0
        self._is_closed = False
        self._senders: dict[tuple[int, Direction], Senders] = {}
        self._rests: dict[str, float] = {}

    @property
    def is_bot(self) -> bool:
        return self.row.kind == "bot"

    @property
    def may_read(self) -> bool:
        return self.is_alive and not self._is_away

    @property
    def may_write(self) -> bool:
        return self.condition.state == "active" and not self._is_away

    @property
    def is_alive(self) -> bool:
        """True unless it is banned or logged out."""
        return self.condition.state in ("active", "limited", "frozen")

    @property
    def may_recover(self) -> bool:
        """True if time alone makes it able to do what it cannot do now."""
        return self.condition.state in ("active", "limited")

    @property
    def in_flight_bytes(self) -> int:
        return sum(senders.in_flight_bytes for senders in self._senders.values())

    @property
    def _is_away(self) -> bool:
        """No connection could be made a moment ago."""
        return time.monotonic() < self._away_until

    def rest(self, method: str, seconds: float) -> None:
        """Do not call this method for so long."""
        self._rests[method] = time.monotonic() + seconds

    def rests_s(self, method: type[TLRequest]) -> float:
        """Seconds until this method may be called; 0 if it may now."""
        return max(0.0, self._rests.get(method.__name__, 0.0) - time.monotonic())

    def load(self, direction: Direction) -> float:
        """How long something new would take to be answered: seconds, about."""
        mine = [s for (_, way), s in self._senders.items() if way is direction]
        rests_s = max((senders.rests_s for senders in mine), default=0.0)
        return rests_s + sum(s.in_flight_bytes for s in mine) / RATE

    def latency_s(self, direction: Direction) -> float:
        """What the slowest data centre took to answer, lately."""
        mine = (s.latency_s for (_, way), s in self._senders.items() if way is direction)
        return max(mine, default=0.0)

    async def ask(self, request: TLRequest, timeout_s: float = CONTROL_S) -> Any:
        """The answer to one request on the control connection."""
        method = type(request).__name__
        if (rests_s := self.rests_s(type(request))) > 0:
            raise Elsewhere(f"{method} rests", rests_s)
        is_unsure, attempt = False, 0
        while True:
            control = None
            try:
                control = await self._connected()
                return await control.call(InvokeWithoutUpdatesRequest(request), timeout_s)
            except Unanswered as error:
                error.is_unsure |= is_unsure
                raise
            except Exception as error:  # `judge` raises what it does not know
                ruling = judge(error)
                is_unsure |= ruling.action in (Action.RECONNECT, Action.REPEAT)
                if control and isinstance(error, TimeoutError):
                    await self._replace(control)
                with _marking(is_unsure):
                    await self._bear(ruling, method, attempt)
            attempt += 1

    async def transfer(
        self, centre: int, direction: Direction, request: InvokeWithoutUpdatesRequest, size: int
    ) -> Any:
        """The answer to one `upload.*` request that carries `size` bytes, without updates."""
        senders, attempt, is_renewed = self._at(centre, direction), 0, False
        while True:
            if senders.away_s > PATIENCE_S:
                raise Elsewhere("transfers rest", senders.away_s)
            try:
                return await senders.call(request, size)
            except (Unanswered, StoreError):
                raise
            except Exception as error:  # `judge` raises what it does not know
                ruling = judge(error)
                key = error.key if isinstance(error, KeyRefused) else None
            if ruling.action in (Action.SLOW_DOWN, Action.REST):
                # What is half sent goes on where it was: elsewhere it would begin anew.
                is_slow = ruling.action is Action.SLOW_DOWN and ruling.number <= SLOWED_S
                (senders.slow_down if is_slow else senders.stop)(ruling.number)
                self._note_wait(f"{direction}loads", ruling.number)
                continue
            if ruling.action is Action.LOG_OUT and centre != self.home.no:
                # The login is not gone: its home alone would know.
                if key is None or is_renewed:
                    raise Elsewhere(ruling.text, AWAY_S)
                await self._forget_key(centre, key)
                is_renewed = True
            else:
                await self._bear(ruling, type(request.query).__name__, attempt)
            attempt += 1

    async def check(self) -> None:
        """See that the login is alive; raises as `ask` does."""
        await self.ask(GetUsersRequest([InputUserSelf()]))

    def recover(self) -> None:
        """Be active again when a limit is over."""
        if self.condition.state == "limited" and time.time_ns() >= self.condition.until_ns:
            self.condition = Condition("active", "", 0)

    async def keep_alive(self) -> None:
        """Say a word on every connection that is to stay. To be called now and then."""
        try:
            control = await self._connected()
            await control.call(PingRequest(secrets.randbits(63)), CONTROL_S)
            for way in Direction:
                self._at(self.home.no, way)
            for (centre, _), senders in list(self._senders.items()):
                await senders.keep_alive(opens=centre == self.home.no)
        except Unanswered:
            return
        except Exception as error:
            judge(error)
            await self._disconnect()

    async def close(self) -> None:
        """Close every connection, and make none again."""
        self._is_closed = True
        await asyncio.gather(*(senders.close() for senders in self._senders.values()))
        await self._disconnect()

    # ---- connections

    async def _connected(self) -> Sender:
        """The control connection, made if need be; one at a time, or the login would be lost."""
        async with self._connecting:
            if self._control and self._control.is_open:
                return self._control
            await self._disconnect()
            self._require_open()
            if self._is_away:
                raise Elsewhere("no connection", self._away_until - time.monotonic())
            control = Sender(self._network, self.home, self._key)
            try:
                await asyncio.wait_for(control.open(), CONTROL_S)
                self._require_open()
                config = await control.introduce(GetConfigRequest(), CONTROL_S)
                self._require_open()
            except BaseException as error:
                await control.close()
                if isinstance(error, NO_ANSWER):
                    self._away_until = time.monotonic() + AWAY_S
                raise
            self._centres |= _centres(config)
            self._control = control
            return control

    async def _replace(self, control: Sender) -> None:
        """Use this connection no more: it may be half open, and never answer."""
        async with self._connecting:
            if self._control is control:
                await self._disconnect()

    async def _disconnect(self) -> None:
        control, self._control = self._control, None
        if control:
            await control.close()

    def _at(self, centre: int, direction: Direction) -> Senders:
        if (centre, direction) not in self._senders:
            self._senders[centre, direction] = Senders(
                lambda: self._open_sender(centre), self._most_senders
            )
        return self._senders[centre, direction]

    def _require_open(self) -> None:
        if self._is_closed:
            raise Elsewhere(f"account {self.no} was let go of", AWAY_S)

    async def _open_sender(self, centre: int) -> Sender:
        self._require_open()
        if centre == self.home.no:
            return await _opened(Sender(self._network, self.home, self._key))
        async with self._importing:
            if centre not in self._centres:
                await self._connected()
            if centre not in self._centres:
                raise Elsewhere(f"data centre {centre} is not known", None)
            key = self._keys.get(centre) or await asyncio.to_thread(
                self._ledger.data_centre_key, self.no, centre
            )
            if key is None:
                return await self._import(self._centres[centre])
        self._keys[centre] = key
        return await _opened(Sender(self._network, self._centres[centre], key))

    async def _import(self, centre: DataCentre) -> Sender:
        """A first connection to another data centre; its key is kept, as logins are scarce."""
        exported = await self.ask(ExportAuthorizationRequest(centre.no))
        sender = await _opened(Sender(self._network, centre, None))
        try:
            request = ImportAuthorizationRequest(exported.id, exported.bytes)
            await sender.introduce(request, CONTROL_S)
        except BaseException:
            await sender.close()
            raise
        self._keys[centre.no] = sender.key
        await asyncio.to_thread(self._ledger.keep_data_centre_key, self.no, centre.no, sender.key)
        return sender

    async def _forget_key(self, centre: int, key: bytes) -> None:
        """The key is not believed there any more: the next sender gets another.

        Unless somebody has seen to that: then the other key is left alone.
        """
        async with self._importing:
            if self._keys.get(centre) != key:
                return
            del self._keys[centre]
            await asyncio.to_thread(self._ledger.keep_data_centre_key, self.no, centre, None)
            for way in Direction:
                await self._at(centre, way).renew()

    # ---- what errors do

    async def _bear(self, ruling: Ruling, method: str, attempt: int) -> None:
        """Return if the same is to be asked again; else raise `Elsewhere` or `Ruled`."""
        match ruling.action:
            case Action.REPEAT if attempt < ATTEMPTS:
                pause_s = min(LONGEST_PAUSE_S, 2.0**attempt)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            case Action.RECONNECT if attempt < CONNECTIONS and not self._is_away:
                pass
            case Action.REPEAT | Action.RECONNECT:
                raise Elsewhere(ruling.text, AWAY_S)
            case Action.REST | Action.SLOW_DOWN:
                self.rest(method, ruling.number)
                self._note_wait(method, ruling.number)
                raise Elsewhere(ruling.text, ruling.number)
            case Action.LIMIT | Action.FREEZE | Action.BAN | Action.LOG_OUT:
                self._become(_STATES[ruling.action], ruling.text)
                raise Elsewhere(ruling.text)
            case _:
                raise Ruled(ruling)

    def _become(self, state: AccountState, trouble: str) -> None:
        if self.condition.state == state:
            return
        LOG.warning("account %d is %s: %s", self.no, state, trouble)
        seconds = LIMITED_S if state == "limited" else 0.0
        until_ns = time.time_ns() + int(seconds * 1e9) if seconds else 0
        self.condition = Condition(state, trouble, until_ns)

    def _note_wait(self, method: str, seconds: float) -> None:
        LOG.info("account %d: %s waits %.0f s", self.no, method, seconds)
        self.new_waits[method] = time.time_ns() + int(seconds * 1e9)


async def _opened(sender: Sender) -> Sender:
    try:
        # Telethon agrees on a new key without a bound of its own.
        await asyncio.wait_for(sender.open(), CONTROL_S)
    except BaseException:
        await sender.close()
        raise
    return sender


def _centres(config: Any) -> dict[int, DataCentre]:
    """The data centres that a config lists, by number; IPv4, and none that is special."""
    return {
        option.id: DataCentre(option.id, option.ip_address, option.port)
        for option in reversed(config.dc_options)
        if not (option.ipv6 or option.media_only or option.cdn or option.tcpo_only)
        and ipaddress.ip_address(option.ip_address)
    }


@contextlib.contextmanager
def _marking(is_unsure: bool) -> Iterator[None]:
    """Let what is raised within say whether the request may have been carried out."""
    try:
        yield
    except Unanswered as error:
        error.is_unsure = is_unsure
        raise
