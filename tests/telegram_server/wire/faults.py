"""Faults of delivery, as a test scripts them: what befalls which calls.

The first fault that fits a call is the one that befalls it, and is then used up; delays
come on top. Knows nothing of connections: the dialogue carries the plan out.
"""

import random
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tests.telegram_server.rpc import RpcError


@dataclass(slots=True)
class Plan:
    """What befalls one call."""

    error: RpcError | None = None
    is_carried_out: bool = True
    is_lost: bool = False
    """It is never answered."""
    is_cut: bool = False
    """The connection ends before it is carried out."""
    reply_cut_at: int | None = None
    """The connection ends after so many bytes of the reply."""
    delay_s: float = 0.0


UNHARMED = Plan()


@dataclass
class _Fault:
    plan: Plan
    method: str
    account: str | None
    left: int | None
    skip: int = 0
    share: float | None = None

    def fits(self, method: str, account: str | None) -> bool:
        if self.account is not None and account_id(account) != self.account:
            return False
        return fnmatchcase(method, self.method)

    def strikes(self, chance: random.Random) -> bool:
        """Whether it befalls the call that it fits."""
        if self.skip:
            self.skip -= 1
            return False
        if self.share is not None and chance.random() >= self.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """The script. Verbs take a `method` ("messages.sendMedia", "upload.*"), optionally an
    `account`, and how many `times` they strike (None: until forgotten) after `skip` calls.
    """

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self._chance = random.Random(1)

    def fail(
        self,
        method: str,
        code: int,
        message: str,
        account: int | None = None,
        times: int | None = 1,
        skip: int = 0,
        after: bool = False,
    ) -> None:
        """Answer with an error instead of the call, or with `after` although it was done."""
        plan = Plan(error=RpcError(code, message), is_carried_out=after)
        self._add(plan, method, account, times, skip)

    def lose_reply(
        self,
        method: str,
        account: int | None = None,
        times: int | None = None,
        share: float | None = None,
        skip: int = 0,
    ) -> None:
        """Carry out and never answer: once, or that share of all calls, drawn by a fixed seed."""
        if times is None and share is None:
            times = 1
        self._add(Plan(is_lost=True), method, account, times, skip, share)

    def delay(
        self,
        method: str,
        seconds: float,
        account: int | None = None,
        times: int | None = 1,
        skip: int = 0,
    ) -> None:
        """Carry out and answer only so much later; other calls overtake it."""
        self._add(Plan(delay_s=seconds), method, account, times, skip)

    def cut(
        self,
        method: str,
        at: str = "request",
        byte: int = 0,
        account: int | None = None,
        times: int | None = 1,
        skip: int = 0,
        share: float | None = None,
    ) -> None:
        """End the connection instead of the call, or `byte` bytes into the packet of its reply.

        With `share` that part of all calls, drawn by a fixed seed, at most `times`. Where a
        request is cut nobody can see: what has not come whole is not carried out.
        """
        if at not in ("request", "reply"):
            raise ValueError(f"cut at {at!r}: it is 'request' or 'reply'")
        plan = Plan(reply_cut_at=byte) if at == "reply" else Plan(is_cut=True)
        self._add(plan, method, account, times, skip, share)

    def forget_faults(self) -> None:
        self._faults.clear()

    def meet(self, method: str, account: str | None) -> Plan:
        """What befalls this call now."""
        if not self._faults:
            return UNHARMED
        plan, delay_s = None, 0.0
        for fault in self._faults:
            is_delay = fault.plan.delay_s > 0
            if (plan and not is_delay) or not fault.fits(method, account):
                continue
            if not fault.strikes(self._chance):
                continue
            if is_delay:
                delay_s += fault.plan.delay_s
            else:
                plan = fault.plan
        self._faults = [fault for fault in self._faults if fault.left != 0]
        plan = plan or UNHARMED
        return replace(plan, delay_s=delay_s) if delay_s else plan

    def _add(
        self,
        plan: Plan,
        method: str,
        account: int | None,
        times: int | None,
        skip: int,
        share: float | None = None,
    ) -> None:
        name = None if account is None else str(account)
        self._faults.append(_Fault(plan, method, name, times, skip, share))


def account_id(account: str | None) -> str:
    """The number in an account's name: "1001" of "user 1001"; "" of nobody."""
    return account.rpartition(" ")[2] if account else ""
