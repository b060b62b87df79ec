"""Telegram as a store of packs: `Telegram` for the process, `TelegramStore` for each store.

The one place where other threads meet the event loop, and the room's own errors end.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from telethon.tl.functions.channels import DeleteMessagesRequest

from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator
from tgdav.stores.calls import Calls
from tgdav.stores.ledger import Channel, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import LARGEST_PACK, Found, Place, place_of
from tgdav.stores.telegram.errors import Elsewhere, Ruled
from tgdav.stores.telegram.finding import channels_with_packs
from tgdav.stores.telegram.locations import PAGE, Locations
from tgdav.stores.telegram.loop import EventLoop
from tgdav.stores.telegram.members import Members
from tgdav.stores.telegram.network import Network
from tgdav.stores.telegram.references import References
from tgdav.stores.telegram.scanning import Page, Scanning
from tgdav.stores.telegram.sending import Sending
from tgdav.stores.telegram.transfer import Reading
from tgdav.stores.telegram.verifying import VerifiedChannel, Verifying
from tgdav.stores.telegram.writers import Work, Writers

T = TypeVar("T")

CONCURRENCY = 44
"""Calls at once that still make it faster: windows of 1 MiB over a few accounts."""
PUT_S, READ_S, ASK_S = 3600.0, 300.0, 120.0
"""Bounds on one call. What stalls is noticed much earlier, in `senders`."""
REST_S, LONGEST_REST_S = 10.0, 900.0
"""A scan rests for as long as it has taken, as to begin anew would take that; the bounds."""


@dataclass(frozen=True, slots=True)
class Paces:
    """Bounds that are settings, as Telegram's own are not published."""

    senders: int = 8
    """Most data connections of one account in each direction."""
    channel_messages: int = 500_000
    """Messages that make a channel full: it serves about the last million."""
    messages_per_hour: int = 1500
    """Of a user."""
    messages_per_minute: int = 18
    """Of a bot, in one channel."""
    copy_by_reference: bool = False
    """A pack that another store of the drive has is referred to, not uploaded again."""


class Telegram:
    """The event loop and the accounts: one for the process. Any thread.

    Nothing is connected before the first call. `close` it when its stores are closed.
    """

    def __init__(self, network: Network, ledger: Ledger, paces: Paces) -> None:
        network.trust()
        self._ledger = ledger
        self._paces = paces
        self._accounts = Accounts(network, ledger, paces.senders)
        self._references = References(ledger, is_wanted=paces.copy_by_reference)
        self._work = Work(per_hour=paces.messages_per_hour, per_minute=paces.messages_per_minute)
        self._starting = threading.Lock()
        self._loop: EventLoop | None = None

    def store(self, no: int, *, title: str = "", channel_id: int | None = None) -> "TelegramStore":
        """The store of this number: in a channel called `title`, or in that of the id."""
        accounts, ledger, paces = self._accounts, self._ledger, self._paces
        members = Members(accounts, ledger, no, title=title, channel_id=channel_id)
        channels = Channels(accounts, ledger, members, no, paces.channel_messages)
        return TelegramStore(
            self,
            accounts,
            ledger,
            channels,
            Writers(accounts, channels, self._work),
            self._references,
            no,
            paces.channel_messages,
        )

    def start(self) -> EventLoop:
        """Take the accounts up, and connect them, before the first call."""
        with self._starting:
            if self._loop is None:
                self._loop = EventLoop()
                self._loop.asyncio.call_soon_threadsafe(self._accounts.start)
            return self._loop

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """What `work` returns; the room's own errors are said as a store says them."""
        loop = self.start()
        try:
            return loop.run(work, timeout_s)
        except Elsewhere as error:
            if error.retry_after_s is None:
                raise StoreError(f"Telegram: {error}") from error
            raise StoreBusy(f"Telegram: {error}", error.retry_after_s) from error
        except Ruled as error:
            raise StoreError(f"Telegram: {error}") from error

    def check(self) -> list[int]:
        """Ask Telegram about every account at hand; their numbers. The ledger has the rest.

        Raises `StoreError`, `DatabaseBusy`.
        """
        return self.run(self._accounts.check(), ASK_S)

    def find(self) -> list[int]:
        """Ids of channels in which packs are, of all where a user's account may post.

        Raises `StoreError`, `StoreBusy`.
        """
        return self.run(channels_with_packs(self._accounts), ASK_S)

    @property
    def is_running(self) -> bool:
        """False until the first call."""
        return self._loop is not None

    def close(self) -> None:
        """Close every connection, and give the leases back."""
        if self._loop is not None:
            with contextlib.suppress(StoreError, StoreBusy):
                self._loop.run(self._accounts.close(), ASK_S)
            self._loop.close()


class TelegramStore:
    """Packs in the channels of one store; a locator is `channel id/message id`."""

    def __init__(
        self,
        telegram: Telegram,
        accounts: Accounts,
        ledger: Ledger,
        channels: Channels,
        writers: Writers,
        references: References,
        no: int,
        limit: int,
    ) -> None:
        self.limits = Limits(LARGEST_PACK, CONCURRENCY, local=False)
        self._telegram = telegram
        self._accounts = accounts
        self._ledger = ledger
        self._channels = channels
        self._locations = Locations(channels)
        self._scanning = Scanning(accounts, channels, self._locations)
        self._reading = Reading(accounts, self._locations)
        self._sending = Sending(
            accounts, ledger, channels, self._locations, writers, references, no
        )
        self._references, self._no = references, no
        references.add(no, channels, self._locations)
        self._verifying = Verifying(
            accounts,
            channels,
            self._sending,
            self._reading,
            top=self._scanning.top,
            delete=self._delete,
            limit=limit,
        )
        self._calls = Calls("the Telegram store")
        self._putting: dict[bytes, asyncio.Future[Place]] = {}
        accounts.watch(channels.look)

    def open(self) -> None:
        """Have a channel: made, or found, if the store has none yet. Other calls do it, too.

        Raises `StoreBusy` if it cannot be now, `StoreError` if a person has to act.
        """
        with self._calls.one():
            self._run(self._channels.open(), ASK_S)

    def verify(self) -> list[VerifiedChannel]:
        """What the accounts can do in each channel, tried. Raises `StoreBusy`, `StoreError`."""
        with self._calls.one():
            return self._run(self._verifying.verify(), PUT_S)

    def put(self, pack_id: bytes, data: Buffer, caption: str) -> Locator:
        size = memoryview(data).nbytes
        if size > self.limits.largest_pack:
            raise StoreError(f"a pack of {size} bytes, where {self.limits.largest_pack} may be")
        with self._calls.one():
            return self._run(self._put(pack_id, data, caption), PUT_S).locator

    def read(self, locator: Locator, offset: int, size: int) -> bytes:
        return b"".join(self._read(locator, offset, size))

    def read_into(self, locator: Locator, offset: int, target: memoryview) -> None:
        # In this thread: the loop might go on writing after we have given up.
        for piece in self._read(locator, offset, len(target)):
            target[: len(piece)] = piece
            target = target[len(piece) :]

    def probe(self, locator: Locator) -> int | None:
        with self._calls.one():
            try:
                return self._run(self._probe(_place(locator)), ASK_S)
            except ReplicaMissing:
                return None

    def delete(self, locators: Iterable[Locator]) -> None:
        with self._calls.one():
            of_channel: dict[int, list[int]] = {}
            for locator in locators:
                with contextlib.suppress(ReplicaMissing):
                    place = _place(locator)
                    of_channel.setdefault(place.channel_id, []).append(place.message)
            for channel_id, messages in of_channel.items():
                with contextlib.suppress(ReplicaMissing):
                    self._run(self._delete(channel_id, messages), ASK_S * len(messages))

    def scan(self, *, newest_first: bool = True) -> Iterator[Listed]:
        begun = time.monotonic()
        with self._calls.one():
            pages = self._run(self._scanning.pages(), ASK_S)
        for page in pages if newest_first else reversed(pages):
            channel, _ = page
            found = self._look(page, begun)
            for document in reversed(found) if newest_first else found:
                locator = Place(channel.channel_id, document.message).locator
                yield Listed(locator, document.caption, document.size)

    def close(self) -> None:
        self._calls.close()
        with contextlib.suppress(ValueError):  # closed before
            self._accounts.unwatch(self._channels.look)
        self._references.remove(self._no)
        if self._telegram.is_running:
            with contextlib.suppress(StoreError, StoreBusy):
                self._run(self._channels.close(), ASK_S)

    def _read(self, locator: Locator, offset: int, size: int) -> list[memoryview]:
        place = _place(locator)
        with self._calls.one():
            return self._run(self._pieces(place, offset, size), READ_S)

    def _look(self, page: Page, begun: float) -> list[Found]:
        """What a page shows; rests first if it has to, and the scan is worth it."""
        while True:
            with self._calls.one():
                found = self._run(self._scanning.look(page), ASK_S)
            if not isinstance(found, float):
                return found
            if found > max(REST_S, min(LONGEST_REST_S, time.monotonic() - begun)):
                raise StoreBusy("Telegram: every account has to wait", found)
            self._calls.pause(found)

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        return self._telegram.run(work, timeout_s)

    # ---- on the loop

    async def _put(self, pack_id: bytes, data: Buffer, caption: str) -> Place:
        """Send the pack; who puts the same at the same time gets the same answer."""
        while running := self._putting.get(pack_id):
            await asyncio.wait({running})
            if not running.cancelled() and not running.exception():
                return running.result()
        task = asyncio.ensure_future(self._sending.send(pack_id, data, caption))
        self._putting[pack_id] = task
        try:
            return await task
        finally:
            self._putting.pop(pack_id, None)

    async def _pieces(self, place: Place, offset: int, size: int) -> list[memoryview]:
        channel = await self._channels.at(place.channel_id)
        return await self._reading.read(channel, place.message, offset, size)

    async def _probe(self, place: Place) -> int | None:
        channel = await self._channels.at(place.channel_id)
        found = await self._scanning.find(channel, [place.message])
        return found[0].size if found else None

    async def _delete(self, channel_id: int, messages: list[int]) -> None:
        channel = await self._channels.at(channel_id)
        for start in range(0, len(messages), PAGE):
            some = messages[start : start + PAGE]
            await self._accounts.first(partial(self._delete_by, channel, some))
            await asyncio.to_thread(self._ledger.forget_messages, channel.no, some)
            for account in await self._accounts.all():
                for message in some:
                    self._locations.forget(account, channel, message)

    async def _delete_by(self, channel: Channel, messages: list[int], account: Account) -> None:
        if not await self._channels.may_post(account, channel):
            raise Elsewhere(f"account {account.no} may not delete in channel {channel.no}")
        peer = await self._channels.peer(account, channel)
        await self._channels.asked(account, channel, DeleteMessagesRequest(peer, messages))


def _place(locator: Locator) -> Place:
    place = place_of(locator)
    if place is None:
        raise ReplicaMissing("that is no locator of a Telegram store")
    return place
