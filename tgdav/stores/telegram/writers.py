"""Which account sends the next pack: the least busy one that may. On the event loop."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping

from telethon.tl.functions.messages import SendMediaRequest

from tgdav.errors import StoreBusy, StoreError
from tgdav.stores.ledger import Channel
from tgdav.stores.pace import Pace
from tgdav.stores.telegram.account import Account, Direction
from tgdav.stores.telegram.accounts import Accounts
from tgdav.stores.telegram.channels import Channels
from tgdav.stores.telegram.errors import Elsewhere, Unanswered

HOUR_S, MINUTE_S = 3600.0, 60.0


class Work:
    """What each account does for all stores, as Telegram's limits are the account's.

    Users are to send at most `per_hour` messages, and bots `per_minute` in a channel.
    """

    def __init__(self, *, per_hour: int, per_minute: int) -> None:
        self._per_hour = per_hour
        self._per_minute = per_minute
        self._paces: dict[tuple[int, int], Pace] = {}
        self.packs: Counter[int] = Counter()
        """That are being sent, by account."""
        self.turns: Counter[int] = Counter()
        """Packs that were given to each account."""

    def pace(self, account: Account, channel: Channel) -> Pace:
        """Of the account's messages: a bot's in the channel, a user's in all."""
        key = (account.no, channel.no if account.is_bot else 0)
        if key not in self._paces:
            bot, user = (self._per_minute, MINUTE_S), (self._per_hour, HOUR_S)
            self._paces[key] = Pace(*(bot if account.is_bot else user))
        return self._paces[key]


class Writers:
    """Of one store; `work` is shared by all."""

    def __init__(self, accounts: Accounts, channels: Channels, work: Work) -> None:
        self._accounts = accounts
        self._channels = channels
        self._work = work

    async def best(self, channel: Channel, failures: Mapping[int, Elsewhere]) -> Account:
        """The account to send by; not one that failed already.

        Raises `StoreBusy` when one could send later, `StoreError` when none will.
        """
        waits_s = [error.retry_after_s for error in failures.values() if error.retry_after_s]
        able = []
        for account in await self._accounts.writers():
            if account.no in failures:
                continue
            if wait_s := self._wait_s(account, channel):
                waits_s.append(wait_s)
            elif await self._may_post(account, channel):
                able.append(account)
        if able:
            return min(able, key=self._burden)
        if waits_s:
            raise StoreBusy("Telegram: every account has to wait", min(waits_s))
        told = "; ".join(f"account {no}: {error}" for no, error in sorted(failures.items()))
        raise StoreError(f"Telegram: no account may post in channel {channel.no}. {told}".strip())

    def _burden(self, account: Account) -> tuple[float, ...]:
        """The idle first, a second of rest being like a pack; those that are alike take turns."""
        busy, turns = self._work.packs[account.no], self._work.turns[account.no]
        return (round(busy + account.load(Direction.UP), 1), turns)

    @contextlib.contextmanager
    def at_work(self, account: Account, channel: Channel) -> Iterator[None]:
        """The account sends a pack meanwhile."""
        self._work.pace(account, channel).count()
        self._work.packs[account.no] += 1
        self._work.turns[account.no] += 1
        try:
            yield
        finally:
            self._work.packs[account.no] -= 1

    def _wait_s(self, account: Account, channel: Channel) -> float:
        return max(account.rests_s(SendMediaRequest), self._work.pace(account, channel).wait_s())

    async def _may_post(self, account: Account, channel: Channel) -> bool:
        try:
            return await self._channels.may_post(account, channel)
        except Unanswered:
            return False
