"""Telegram as a store of packs: `Telegram` for the process, `TelegramStore` for each store.

The one place where other threads meet the event loop, and the room's own errors end.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from telethon.tl.functions.channels import DeleteMessagesRequest
from telethon.tl.functions.messages import GetHistoryRequest
from telethon.tl.types import InputPeerChannel

from tgdav.errors import ReplicaMissing, StoreBusy, StoreError
from tgdav.stores.base import Buffer, Limits, Listed, Locator
from tgdav.stores.calls import Calls
from tgdav.stores.ledger import Channel, Ledger
from tgdav.stores.telegram.account import Account
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.document import LARGEST_PACK, Found, Place, place_of
from tgdav.stores.telegram.errors import Elsewhere, Ruled, Unanswered
from tgdav.stores.telegram.finding import channels_with_packs
from tgdav.stores.telegram.locations import PAGE, Locations
from tgdav.stores.telegram.loop import EventLoop
from tgdav.stores.telegram.members import Members
from tgdav.stores.telegram.network import Network
from tgdav.stores.telegram.references import References
from tgdav.stores.telegram.sending import Sending
from tgdav.stores.telegram.transfer import Reading
from tgdav.stores.telegram.verifying import VerifiedChannel, Verifying
from tgdav.stores.telegram.writers import Work, Writers

T = TypeVar("T")

CONCURRENCY = 44
"""Calls at once that still make it faster: windows of 1 MiB over a few accounts."""
PUT_S, READ_S, ASK_S = 3600.0, 300.0, 120.0
"""Bounds on one call. What stalls is noticed much earlier, in `senders`."""
EMPTY_PAGES = 3
"""Pages without a message that a bot takes for the end of a channel."""


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
            top=self._top,
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
        with self._calls.one():
            tops = self._run(self._tops(), ASK_S)
        pages = [
            (channel, range(start, min(start + PAGE, top + 1)))
            for channel, top in tops
            for start in reversed(range(1, top + 1, PAGE))
        ]
        for channel, messages in pages if newest_first else reversed(pages):
            with self._calls.one():
                found = self._run(self._page(channel, messages), ASK_S)
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
        found = await self._page(channel, [place.message])
        return found[0].size if found else None

    async def _delete(self, channel_id: int, messages: list[int]) -> None:
        channel = await self._channels.at(channel_id)
        for start in range(0, len(messages), PAGE):
            some = messages[start : start + PAGE]
            await self._by_any(partial(self._delete_by, channel, some))
            await asyncio.to_thread(self._ledger.forget_messages, channel.no, some)
            for account in await self._accounts.all():
                for message in some:
                    self._locations.forget(account, channel, message)

    async def _delete_by(self, channel: Channel, messages: list[int], account: Account) -> None:
        if not await self._channels.may_post(account, channel):
            raise Elsewhere(f"account {account.no} may not delete in channel {channel.no}")
        peer = await self._channels.peer(account, channel)
        await self._channels.asked(account, channel, DeleteMessagesRequest(peer, messages))

    async def _page(self, channel: Channel, messages: Iterable[int]) -> list[Found]:
        """The packs in these messages, by id."""
        asked = list(messages)
        found = await self._by_any(lambda a: self._locations.page(a, channel, asked))
        return [found[message] for message in sorted(found)]

    async def _tops(self) -> list[tuple[Channel, int]]:
        """The channels that are there, newest first, and how far their messages go."""
        await self._channels.open()
        found = []
        for each in self._channels.all():
            with contextlib.suppress(ReplicaMissing):  # it is lost
                channel = await self._channels.at(each.channel_id)
                try:
                    found.append((channel, await self._top(channel)))
                except Unanswered:
                    await self._channels.at(each.channel_id)
                    raise
        return found

    async def _top(self, channel: Channel) -> int:
        """The highest message id of the channel that is of any interest."""
        users = [account for account in await self._accounts.readers() if not account.is_bot]
        for account in users:
            with contextlib.suppress(Unanswered):
                return await self._newest(account, channel)
        top = self._channels.last_message(channel)
        empty = 0
        while empty < EMPTY_PAGES:
            first = top + 1 + empty * PAGE
            found = await self._page(channel, range(first, first + PAGE))
            top, empty = (found[-1].message, 0) if found else (top, empty + 1)
        return top

    async def _newest(self, account: Account, channel: Channel) -> int:
        peer = await self._channels.peer(account, channel)
        history = GetHistoryRequest(
            InputPeerChannel(peer.channel_id, peer.access_hash),
            offset_id=0, offset_date=None, add_offset=0, limit=1, max_id=0, min_id=0, hash=0,
        )  # fmt: skip
        answer = await self._channels.asked(account, channel, history)
        return max((message.id for message in answer.messages), default=0)

    async def _by_any(self, work: Any) -> Any:
        """What `work(account)` returns for the first account that can do it."""
        failure: Elsewhere | None = None
        for account in await self._accounts.readers():
            try:
                return await work(account)
            except Elsewhere as error:
                failure = error
        assert failure is not None  # noqa: S101 - `readers` returns one at least, or raises
        raise failure


def _place(locator: Locator) -> Place:
    place = place_of(locator)
    if place is None:
        raise ReplicaMissing("that is no locator of a Telegram store")
    return place
