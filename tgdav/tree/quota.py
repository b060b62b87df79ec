"""How many bytes each user keeps, and whether more may come.

What a user keeps is a sum over their files, so it is looked up now and then and counted
on in between; nobody is refused on a count that is not fresh.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from tgdav.db import Database
from tgdav.errors import QuotaExceeded
from tgdav.tree.tables import nodes, users, versions

FRESH_S = 5.0
"""How long a count may be what other processes see differently."""
UNBOUNDED = 1 << 50
"""Bytes said to be free where nothing bounds them: clients want a number."""

_LIMIT = select(users.c.quota).where(users.c.name == bindparam("of_name"))
_USED = (
    select(func.coalesce(func.sum(versions.c.size), 0))
    .join_from(nodes, versions, versions.c.no == nodes.c.version)
    .where(nodes.c.owner == bindparam("of_name"))
)


class Quota(NamedTuple):
    """Bytes, as a user's client shows them."""

    used: int
    limit: int | None
    available: int


@dataclass(slots=True)
class _Account:
    """One user's count. `growing` is what transactions under way will add."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    limit: int | None = None
    limit_until: float = 0.0
    used: int = 0
    used_until: float = 0.0
    growing: int = 0


class Quotas:
    """The counts of all users of one drive. Any thread may ask."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._accounts: dict[str, _Account] = {}

    def of(self, user: str, limit: int | None) -> Quota:
        """What the user keeps, at most `FRESH_S` ago, and what may still come."""
        account = self._account(user)
        with account.lock:
            used = self._used(user, account)
        available = UNBOUNDED if limit is None else max(0, limit - used)
        return Quota(used, limit, available)

    def require(self, user: str, growth: int) -> None:
        """Raise `QuotaExceeded` if the user may not keep `growth` bytes more."""
        account = self._account(user)
        with account.lock:
            self._require(user, account, growth)

    @contextmanager
    def growing(self, user: str, growth: int) -> Iterator[None]:
        """Count on `growth` bytes more during the block, and after it unless it raises.

        Saves of one process cannot exceed a quota together; those of several can, by
        what they save within `FRESH_S`. Raises `QuotaExceeded`.
        """
        account = self._account(user)
        with account.lock:
            self._require(user, account, growth)
            account.growing += growth
        kept = False
        try:
            yield
            kept = True
        finally:
            with account.lock:
                account.growing -= growth
                account.used += growth if kept else 0

    def _account(self, user: str) -> _Account:
        return self._accounts.setdefault(user, _Account())

    def _require(self, user: str, account: _Account, growth: int) -> None:
        limit = self._limit(user, account)
        if limit is None or growth <= 0:
            return
        if self._used(user, account) + account.growing + growth > limit:
            account.used_until = 0.0
            used = self._used(user, account) + account.growing
            if used + growth > limit:
                raise QuotaExceeded(f"{growth} bytes more, where {used} of {limit} are used")

    def _limit(self, user: str, account: _Account) -> int | None:
        now = time.monotonic()
        if account.limit_until < now:
            with self._db.read() as connection:
                account.limit = connection.scalars(_LIMIT, {"of_name": user}).first()
            account.limit_until = now + FRESH_S
        return account.limit

    def _used(self, user: str, account: _Account) -> int:
        now = time.monotonic()
        if account.used_until < now:
            with self._db.read() as connection:
                account.used = _sum(connection, user)
            account.used_until = now + FRESH_S
        return account.used


def _sum(connection: Connection, user: str) -> int:
    return int(connection.scalars(_USED, {"of_name": user}).one())
