"""The rows of accounts: logins, how they are, what they did, and what they have to wait for.

A login is kept in a `Safe`. An account that was removed keeps its row and its number.
"""

import time
from typing import Literal

from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from tgdav.blocks.form.keys import Keys
from tgdav.blocks.ledger.rows import Rows
from tgdav.blocks.rows.leases import Leases
from tgdav.blocks.rows.numbers import Numbers
from tgdav.blocks.rows.tables import accounts, data_centre_keys, memberships, waits
from tgdav.db import Database
from tgdav.stores.ledger import LEASE_S, Account, AccountState, Activity

DAY_NS = 86_400 * 10**9

_this = accounts.c.no == bindparam("of_no")
_has_login = accounts.c.session.is_not(None)

_ACCOUNTS = (
    select(
        accounts.c.no,
        accounts.c.kind,
        accounts.c.user_id,
        accounts.c.label,
        accounts.c.session,
        accounts.c.premium,
        accounts.c.state,
        accounts.c.until_ns,
        accounts.c.trouble,
    )
    .where(_has_login)
    .order_by(accounts.c.no)
)
_OF_USER = select(accounts.c.no).where(accounts.c.user_id == bindparam("of_user"))
_ADD_ACCOUNT = insert(accounts)
_LOG_IN = (
    update(accounts)
    .where(_this)
    .values(
        label=bindparam("new_label"),
        session=bindparam("new_session"),
        premium=bindparam("new_premium"),
        state="active",
        trouble="",
        until_ns=0,
    )
)
_REMOVE_ACCOUNT = update(accounts).where(_this, _has_login).values(session=None, in_flight_bytes=0)
_NOTE_ACCOUNT = (
    update(accounts)
    .where(_this)
    .values(
        state=bindparam("new_state"),
        trouble=bindparam("new_trouble"),
        until_ns=bindparam("new_until_ns"),
        checked_ns=bindparam("now_ns"),
    )
)
_NOTE_SESSION = update(accounts).where(_this, _has_login).values(session=bindparam("new_session"))
_is_today = accounts.c.day == bindparam("today")
_ACT = (
    update(accounts)
    .where(_this)
    .values(
        sent_bytes=case((_is_today, accounts.c.sent_bytes), else_=0) + bindparam("sent"),
        received_bytes=case((_is_today, accounts.c.received_bytes), else_=0)
        + bindparam("received"),
        day=bindparam("today"),
        messages=accounts.c.messages + bindparam("more_messages"),
        in_flight_bytes=bindparam("in_flight"),
    )
)

_WAITS = select(waits.c.account, waits.c.method, waits.c.until_ns).where(
    waits.c.until_ns > bindparam("now_ns")
)
_LONGER_WAIT = (
    update(waits)
    .where(waits.c.account == bindparam("of_no"), waits.c.method == bindparam("of_method"))
    .values(until_ns=bindparam("new_until_ns"))
)
_NEW_WAIT = insert(waits).values(
    account=bindparam("of_no"), method=bindparam("of_method"), until_ns=bindparam("new_until_ns")
)

_of_centre = (
    data_centre_keys.c.account == bindparam("of_no"),
    data_centre_keys.c.data_centre == bindparam("of_centre"),
)
_KEY = select(data_centre_keys.c.key).where(*_of_centre)
_FORGET_KEY = delete(data_centre_keys).where(*_of_centre)
_FORGET_KEYS = delete(data_centre_keys).where(data_centre_keys.c.account == bindparam("of_no"))
_NEW_KEY = insert(data_centre_keys)
_FORGET_HASHES = delete(memberships).where(memberships.c.account == bindparam("of_no"))


class AccountRows(Rows):
    """What `Ledger` says of accounts, and how they come and go. Any thread."""

    def __init__(self, db: Database, keys: Keys, leases: Leases) -> None:
        super().__init__(db, keys)
        self._leases = leases
        self._account_numbers = Numbers(db, "account", 1)

    # ---- logins

    def add_account(
        self, kind: Literal["user", "bot"], user_id: int, label: str, session: str, premium: bool
    ) -> int:
        """The account's number: the old one if this user was here before, as it may still be.

        Then the session is replaced, and what only the former one could use is forgotten.
        """
        fresh = self._account_numbers.take()[0]

        def work(connection: Connection) -> int:
            found = connection.scalars(_OF_USER, {"of_user": user_id}).one_or_none()
            no = fresh if found is None else int(found)
            sealed = self._safe.seal(session.encode(), _session_of(no))
            if found is None:
                row = {"no": no, "kind": kind, "user_id": user_id} | _UNUSED
                row |= {"label": label, "session": sealed, "premium": premium}
                connection.execute(_ADD_ACCOUNT, row | {"added_ns": time.time_ns()})
                return no
            _forget_session(connection, no)
            told = {"new_label": label, "new_session": sealed, "new_premium": premium}
            connection.execute(_LOG_IN, told | {"of_no": no})
            return no

        return self._db.write(work)

    def remove_account(self, no: int) -> bool:
        """Forget the account's login; what it sent stays known. False if there is none."""

        def work(connection: Connection) -> bool:
            _forget_session(connection, no)
            return bool(connection.execute(_REMOVE_ACCOUNT, {"of_no": no}).rowcount)

        return self._db.write(work)

    # ---- accounts

    def accounts(self) -> list[Account]:
        with self._db.read() as connection:
            rows = connection.execute(_ACCOUNTS).all()
        return [
            Account(
                no=row.no,
                kind=row.kind,
                user_id=row.user_id,
                label=row.label,
                session=self._safe.open(row.session, _session_of(row.no)).decode(),
                premium=row.premium,
                state=row.state,
                until_ns=row.until_ns,
                trouble=row.trouble,
            )
            for row in rows
        ]

    def lease(self, account: int) -> bool:
        return self._leases.acquire(lease_of(account), LEASE_S)

    def release(self, account: int) -> None:
        self._leases.release(lease_of(account))

    def note_account(
        self, account: int, state: AccountState, trouble: str = "", until_ns: int = 0
    ) -> None:
        told = {"new_state": state, "new_trouble": trouble, "new_until_ns": until_ns}
        self._change(_NOTE_ACCOUNT, told | {"of_no": account, "now_ns": time.time_ns()})

    def note_session(self, account: int, session: str) -> None:
        sealed = self._safe.seal(session.encode(), _session_of(account))
        self._change(_NOTE_SESSION, {"of_no": account, "new_session": sealed})

    def waits(self) -> dict[tuple[int, str], int]:
        with self._db.read() as connection:
            rows = connection.execute(_WAITS, {"now_ns": time.time_ns()})
            return {(row.account, row.method): row.until_ns for row in rows}

    def wait(self, account: int, method: str, until_ns: int) -> None:
        told = {"of_no": account, "of_method": method, "new_until_ns": until_ns}
        self._change(_LONGER_WAIT, told, or_else=_NEW_WAIT)

    def act(self, account: int, activity: Activity) -> None:
        told = {
            "of_no": account,
            "today": time.time_ns() // DAY_NS,
            "sent": activity.sent_bytes,
            "received": activity.received_bytes,
            "more_messages": activity.messages,
            "in_flight": activity.in_flight_bytes,
        }
        self._change(_ACT, told)

    def data_centre_key(self, account: int, data_centre: int) -> bytes | None:
        told = {"of_no": account, "of_centre": data_centre}
        with self._db.read() as connection:
            sealed = connection.scalars(_KEY, told).one_or_none()
        return sealed and self._safe.open(sealed, _key_of(account, data_centre))

    def keep_data_centre_key(self, account: int, data_centre: int, key: bytes | None) -> None:
        told = {"of_no": account, "of_centre": data_centre}
        row = {"account": account, "data_centre": data_centre}
        sealed = key and self._safe.seal(key, _key_of(account, data_centre))

        def work(connection: Connection) -> None:
            connection.execute(_FORGET_KEY, told)
            if sealed:
                connection.execute(_NEW_KEY, row | {"key": sealed})

        self._db.write(work)


_UNUSED = {
    "state": "active",
    "trouble": "",
    "until_ns": 0,
    "checked_ns": 0,
    "day": 0,
    "sent_bytes": 0,
    "received_bytes": 0,
    "messages": 0,
    "in_flight_bytes": 0,
}
"""A new account's row, as far as it says what the account did."""


def lease_of(account: int) -> str:
    """The name of the right to use the account."""
    return f"account {account}"


def _session_of(account: int) -> str:
    return f"account {account}"


def _key_of(account: int, data_centre: int) -> str:
    return f"account {account} data centre {data_centre}"


def _forget_session(connection: Connection, no: int) -> None:
    """Drop what is bound to the account's present session."""
    for statement in (_FORGET_KEYS, _FORGET_HASHES):
        connection.execute(statement, {"of_no": no})
