"""The bytes themselves: parts up by one account, windows down by any. On the event loop."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from telethon.tl.functions import InvokeWithoutUpdatesRequest
from telethon.tl.functions.upload import GetFileRequest, SaveFilePartRequest

from tgdav.errors import ReplicaMissing, StoreError
from tgdav.stores.base import Buffer
from tgdav.stores.ledger import Channel
from tgdav.stores.telegram.account import RATE, Account, Direction
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.document import CHUNK, Window, is_big, part_count, part_of, windows
from tgdav.stores.telegram.errors import Action, Elsewhere, Ruled
from tgdav.stores.telegram.locations import Locations
from tgdav.stores.telegram.tasks import all_of, first_of
from tgdav.stores.telegram.wire import SaveBigPart

AT_ONCE = 64
"""Parts of one pack that wait for a sender, or for an answer."""
LOOKS = 4
"""Tries at one window by one account, each with what the last answer taught."""
PATIENCE_S, SLOW = 3.0, 4
"""A window that takes longer, and so many times as long as they do lately, is stalled: it
is asked of the next account, too."""
SAVES = 3
"""Tries at a part that Telegram says it has not saved."""


async def upload(account: Account, file_id: int, data: Buffer) -> None:
    """Save all parts of the document that holds the pack `data`.

    Raises `Elsewhere`; the parts that were saved are forgotten by Telegram within a day.
    """
    parts = iter(range(part_count(memoryview(data).nbytes)))
    workers = min(AT_ONCE, part_count(memoryview(data).nbytes))
    await all_of(_save(account, file_id, data, parts) for _ in range(workers))


async def save_part(account: Account, file_id: int, data: Buffer, part: int) -> None:
    """Save one part. Raises `Elsewhere`, `StoreError`."""
    size = memoryview(data).nbytes
    piece = part_of(data, part)
    request = (
        SaveBigPart(file_id, part, part_count(size), piece)
        if is_big(size)
        else InvokeWithoutUpdatesRequest(SaveFilePartRequest(file_id, part, bytes(piece)))
    )
    for _ in range(SAVES):
        try:
            saved = await account.transfer(account.home.no, Direction.UP, request, len(piece))
        except Ruled as error:
            raise StoreError(f"Telegram: part {part}: {error}") from error
        if saved:
            account.done.sent_bytes += len(piece)
            return
    raise Elsewhere(f"part {part} was not saved, {SAVES} times")


async def _save(account: Account, file_id: int, data: Buffer, parts: Iterator[int]) -> None:
    for part in parts:
        await save_part(account, file_id, data, part)


class Reading:
    """Reads documents of one store, by all accounts that may."""

    def __init__(self, accounts: Accounts, locations: Locations) -> None:
        self._accounts = accounts
        self._locations = locations
        self._turns = itertools.count()
        self._chosen: Counter[int] = Counter()

    async def read(
        self, channel: Channel, message: int, offset: int, size: int
    ) -> list[memoryview]:
        """`size` bytes of the pack from `offset`, in the pieces that came.

        Raises `ReplicaMissing`, `StoreBusy`, `StoreError`, and `Elsewhere` of the last account.
        """
        if not size:
            await self._require(channel, message, offset)
        return await all_of(
            self._window(channel, message, window) for window in windows(offset, size)
        )

    async def by(self, account: Account, channel: Channel, message: int, size: int) -> memoryview:
        """The first bytes of the pack, as this account and no other reads them.

        Raises what `read` does; `size` is within one window.
        """
        (window,) = windows(0, size)
        return await self._ask(account, channel, message, window)

    async def _require(self, channel: Channel, message: int, size: int) -> None:
        """See that the pack is there, and so long."""
        works = [
            partial(self._locations.find, account, channel, message)
            for account in self._in_turn(await self._accounts.readers())
        ]
        found = await first_of(works, PATIENCE_S, Elsewhere)
        if found.size < size:
            raise ReplicaMissing(f"{message}: {size} of {found.size} bytes asked for")

    async def _window(self, channel: Channel, message: int, window: Window) -> memoryview:
        accounts = self._in_turn(await self._accounts.readers())
        # One account alone may be stalled on one connection only: it is asked twice.
        asked = accounts if len(accounts) > 1 else [*accounts, *accounts]
        works = [partial(self._ask, account, channel, message, window) for account in asked]
        patience_s = max(PATIENCE_S, SLOW * accounts[0].latency_s(Direction.DOWN))
        first = accounts[0].no
        # Counted at once: who chooses next must see it, or many windows choose alike.
        self._chosen[first] += 1
        try:
            return await first_of(works, patience_s, Elsewhere)
        finally:
            self._chosen[first] -= 1

    def _in_turn(self, accounts: Sequence[Account]) -> list[Account]:
        """The least busy first; equally busy ones take turns."""
        turn = next(self._turns)
        in_turn = [accounts[(turn + at) % len(accounts)] for at in range(len(accounts))]
        return sorted(in_turn, key=self._burden)

    def _burden(self, account: Account) -> float:
        return account.load(Direction.DOWN) + self._chosen[account.no] * CHUNK / RATE

    async def _ask(
        self, account: Account, channel: Channel, message: int, window: Window
    ) -> memoryview:
        is_lost = False
        for _ in range(LOOKS):
            found = await self._locations.find(account, channel, message)
            if window.offset + window.skip + window.size > found.size:
                raise ReplicaMissing(f"{message}: ends at {found.size} bytes")
            request = InvokeWithoutUpdatesRequest(
                GetFileRequest(found.location, window.offset, window.limit, precise=True)
            )
            try:
                answer = await account.transfer(found.centre, Direction.DOWN, request, window.limit)
            except Ruled as error:
                if error.action is Action.MIGRATE:
                    self._locations.move(account, channel, found, error.number)
                elif error.action is Action.LOOK_UP:
                    is_lost = error.is_about_the_file
                    self._locations.forget(account, channel, message)
                else:
                    raise StoreError(f"Telegram: {error}") from error
                continue
            data = memoryview(answer.bytes)
            account.done.received_bytes += len(data)
            if len(data) < window.skip + window.size:
                raise ReplicaMissing(f"{message}: cut off at {window.offset + len(data)} bytes")
            return data[window.skip : window.skip + window.size]
        if is_lost:
            raise ReplicaMissing(f"{message}: Telegram has the message, and its file no more")
        raise StoreError(f"Telegram: message {message} cannot be read: it moves on")
