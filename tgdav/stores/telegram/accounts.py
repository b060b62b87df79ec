"""The accounts that this process has the leases of. On the loop.

Takes up what was added, lets go of what was removed or is another process's, and tells
the ledger how the accounts are and what they did.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from tgdav.errors import StoreBusy, StoreError, TgdavError
from tgdav.stores import ledger
from tgdav.stores.ledger import LEASE_S, Activity, Ledger
from tgdav.stores.telegram.account import Account, Condition, Done
from tgdav.stores.telegram.errors import Elsewhere, Unanswered
from tgdav.stores.telegram.network import Network

LOG = logging.getLogger(__name__)

T = TypeVar("T")

ROUND_S = 2.0
KEEP_ALIVE_S = 20.0
CHECK_S = 600.0
FIRST_LOOK_S = 20.0
"""After so long channels are looked at for the first time: a command has ended by then."""
READY_S = 15.0
"""How long a call waits for the first look at the accounts."""

Look = Callable[[], Awaitable[None]]


class Accounts:
    """Begin it by `start`, end it by `close`."""

    def __init__(self, network: Network, kept: Ledger, most_senders: int) -> None:
        self._network = network
        self._ledger = kept
        self._most_senders = most_senders
        self._mine: dict[int, Account] = {}
        self._told: dict[int, Condition] = {}
        self._last_activity: dict[int, Activity] = {}
        self._leased_at: dict[int, float] = {}
        self._looked = asyncio.Event()
        self._known = 0
        self._looks: list[Look] = []
        self.are_complete = False
        """True if no other process has an account that may read."""
        self._minding: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Look at the ledger now and then, from now on."""
        works = (self._mind, self._guard, self._tend)
        self._minding = [asyncio.ensure_future(work()) for work in works]

    async def close(self) -> None:
        """Let go of all accounts and their leases."""
        for task in self._minding:
            task.cancel()
        await asyncio.gather(*self._minding, return_exceptions=True)
        # At once: while the database hangs, one must not keep the next in use.
        await asyncio.gather(*(self._let_go(account) for account in self._mine.values()))

    async def all(self) -> list[Account]:
        """Every account at hand, by number; waits for the first look."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._looked.wait(), READY_S)
        return [self._mine[no] for no in sorted(self._mine)]

    async def readers(self) -> list[Account]:
        """Those that may read. Raises `StoreBusy` or `StoreError` if there is none."""
        return self._some(await self.all(), lambda account: account.may_read, "read")

    async def writers(self) -> list[Account]:
        """Those that may write. Raises `StoreBusy` or `StoreError` if there is none."""
        return self._some(await self.all(), lambda account: account.may_write, "write")

    async def first(self, work: Callable[[Account], Awaitable[T]]) -> T:
        """What `work` returns for the first account that can do it, of those that may read.

        Raises as `readers`, and what the last one raised if none can.
        """
        failure: Elsewhere | None = None
        for account in await self.readers():
            try:
                return await work(account)
            except Elsewhere as error:
                failure = error
        assert failure is not None  # noqa: S101 - `readers` returns one at least, or raises
        raise failure

    def watch(self, look: Look) -> None:
        """Call `look` now and then, from now on, as long as there are connections."""
        self._looks.append(look)

    def unwatch(self, look: Look) -> None:
        self._looks.remove(look)

    async def check(self) -> list[int]:
        """Ask Telegram about every account at hand, and tell the ledger; their numbers."""
        mine = await self.all()
        await asyncio.gather(*(_check(account) for account in mine))
        await self._tell()
        return [account.no for account in mine]

    def get(self, no: int) -> Account | None:
        """The account of this number, if it is at hand."""
        return self._mine.get(no)

    def _some(
        self, mine: list[Account], may: Callable[[Account], bool], what: str
    ) -> list[Account]:
        able = [account for account in mine if may(account)]
        if able:
            return able
        if not self._known:
            raise StoreError("Telegram: no account; tgdav account add logs one in")
        if not mine:
            raise StoreBusy(f"Telegram: other processes have the {self._known} accounts")
        away = [a for a in mine if a.condition.state in ("active", "limited", "frozen")]
        if any(account.condition.state == "active" for account in away):
            raise StoreBusy("Telegram cannot be reached")
        told = "; ".join(f"account {a.no} is {a.condition.state}" for a in mine)
        raise StoreError(f"Telegram: no account may {what}: {told}")

    # ---- minding

    async def _mind(self) -> None:
        """Leases and rows: nothing here may wait for Telegram, or a lease would run out."""
        while True:
            with self._told_of_trouble():
                await self._refresh()
                await self._tell()
            self._looked.set()
            await asyncio.sleep(ROUND_S)

    async def _guard(self) -> None:
        """Let go of what is not leased again in time, whatever the database does meanwhile.

        Another process may have it once the lease has run out, and two would lose the login.
        """
        while True:
            with self._told_of_trouble():
                late = [account for account in self._mine.values() if self._is_late(account.no)]
                for account in late:
                    LOG.warning("account %d is let go of: its lease is not renewed", account.no)
                await asyncio.gather(*(self._drop(account) for account in late))
            await asyncio.sleep(ROUND_S)

    def _is_late(self, no: int) -> bool:
        """True if the lease ends soon."""
        return time.monotonic() - self._leased_at[no] > LEASE_S * 0.8

    async def _tend(self) -> None:
        """Connections, and whether the logins are alive."""
        checked_at = time.monotonic()
        looked_at = checked_at - CHECK_S + FIRST_LOOK_S
        while True:
            await self._looked.wait()
            with self._told_of_trouble():
                mine = [a for a in self._mine.values() if a.may_read]
                await asyncio.gather(*(account.keep_alive() for account in mine))
                if time.monotonic() - checked_at > CHECK_S:
                    checked_at = time.monotonic()
                    await asyncio.gather(*(_check(account) for account in mine))
                if mine and time.monotonic() - looked_at > CHECK_S:
                    looked_at = time.monotonic()
                    for look in list(self._looks):
                        await look()
            await asyncio.sleep(KEEP_ALIVE_S)

    @contextlib.contextmanager
    def _told_of_trouble(self) -> Iterator[None]:
        try:
            yield
        except TgdavError as error:
            LOG.warning("accounts: %s", error)
        except Exception:
            # Without a next round the leases would run out, unnoticed.
            LOG.exception("accounts: the round ended early")

    async def _refresh(self) -> None:
        """Take up and let go, as the ledger says, and as far as there are leases."""
        rows = {row.no: row for row in await asyncio.to_thread(self._ledger.accounts)}
        self._known = len(rows)
        for account in list(self._mine.values()):
            row = rows.get(account.no)
            if row is None or row.session != account.row.session:
                await self._let_go(account)
        await asyncio.gather(*(self._lease(row) for row in rows.values()))
        dead = ("banned", "logged out")
        self.are_complete = all(no in self._mine or rows[no].state in dead for no in rows)

    async def _lease(self, row: ledger.Account) -> None:
        """Have the account while its lease can be had."""
        now = time.monotonic()
        account = self._mine.get(row.no)
        if account and now - self._leased_at[row.no] < LEASE_S / 3:
            return
        if await asyncio.to_thread(self._ledger.lease, row.no):
            self._leased_at[row.no] = now
            if account is None:
                await self._take_up(row)
        elif account:
            await self._let_go(account)

    async def _take_up(self, row: ledger.Account) -> None:
        account = Account(self._network, self._ledger, row, self._most_senders)
        now = time.time_ns()
        for (no, method), until_ns in (await asyncio.to_thread(self._ledger.waits)).items():
            if no == row.no:
                account.rest(method, (until_ns - now) / 1e9)
        if self._is_late(row.no):
            return
        self._mine[row.no] = account
        self._told[row.no] = account.condition

    async def _drop(self, account: Account) -> None:
        """Use it no more; the lease runs out by itself."""
        if self._mine.pop(account.no, None):
            self.are_complete = False
        await account.close()

    async def _let_go(self, account: Account) -> None:
        await self._drop(account)
        with self._told_of_trouble():
            await self._tell_of(account)
            await asyncio.to_thread(self._ledger.release, account.no)

    async def _tell(self) -> None:
        for account in self._mine.values():
            account.recover()
            await self._tell_of(account)

    async def _tell_of(self, account: Account) -> None:
        """Tell the ledger what is new of an account."""
        if account.condition != self._told.get(account.no):
            self._told[account.no] = account.condition
            state, trouble, until_ns = account.condition
            await asyncio.to_thread(self._ledger.note_account, account.no, state, trouble, until_ns)
        waits, account.new_waits = account.new_waits, {}
        for method, until_ns in waits.items():
            await asyncio.to_thread(self._ledger.wait, account.no, method, until_ns)
        done, account.done = account.done, Done()
        activity = Activity(
            done.sent_bytes, done.received_bytes, done.messages, account.in_flight_bytes
        )
        if any(activity[:3]) or activity != self._last_activity.get(account.no):
            self._last_activity[account.no] = activity
            await asyncio.to_thread(self._ledger.act, account.no, activity)


async def _check(account: Account) -> None:
    with contextlib.suppress(Unanswered):
        await account.check()
