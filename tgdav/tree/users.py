"""Who may use the drive: names, password hashes, roots, quotas.

Knows no request and remembers nothing: whoever verifies often keeps what it learned
with the `password_hash` that it saw, which no later password shares.
"""

import os
import threading
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import argon2
from sqlalchemy import Connection, Delete, Row, Update, bindparam, delete, insert, select, update

from tgdav.db import Database
from tgdav.errors import NameRefused, PasswordRefused, UserExists, UserUnknown
from tgdav.tree import journal
from tgdav.tree.memo import Memo
from tgdav.tree.paths import Path, parse
from tgdav.tree.tables import locks, users

NAME_LIMIT = 64
"""Characters of a user's name."""
PASSWORD_LIMIT = 1024
"""Bytes of a password."""
HASHINGS = min(4, os.cpu_count() or 1)
"""Hashes computed at once: each takes 19 MiB, and clients must not choose how many."""

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# What an unknown user's password is held against: the same work, and no such password.
_NOBODYS = f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"

_NO_SIGNS = ("Cc", "Cs", "Zl", "Zp")  # control, surrogate, line and paragraph separators

_NAMED = users.c.name == bindparam("of_name")
_ALL = select(users)
_GET = select(users).where(_NAMED)
_ADD = insert(users)
_CHANGE_PASSWORD = update(users).where(_NAMED).values(password=bindparam("new_password"))
_REMOVE = delete(users).where(_NAMED)
_UNLOCK = delete(locks).where(locks.c.user == bindparam("of_name"))


@dataclass(frozen=True, slots=True)
class User:
    """A person or program that may log in."""

    name: str
    password_hash: str = field(repr=False)
    read_only: bool
    root: Path  # the directory that the user sees as "/"
    quota: int | None  # bytes; None: no bound
    created_ns: int


class Users:
    """The users of one drive. Any thread may ask; changes show in every process at once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: Memo[str, User | None] = Memo(db, 256)
        self._room = threading.BoundedSemaphore(HASHINGS)

    def add(
        self,
        name: str,
        password: str,
        *,
        read_only: bool = False,
        root: str = "/",
        quota: int | None = None,
    ) -> User:
        """Add a user, who may log in from now on; `root` need not exist yet.

        Raises `NameRefused` and `LimitReached` (also for a root that can be no path),
        `PasswordRefused`, `UserExists`; then nothing was changed.
        """
        if not _is_name(_normal(name)):
            raise NameRefused(
                f"a user's name has 1 to {NAME_LIMIT} characters, no colon, no control characters"
            )
        user = User(
            name=_normal(name),
            root=parse(root.rstrip("/") if len(root) > 1 else root),
            password_hash=self._hash(password),
            read_only=read_only,
            quota=quota,
            created_ns=time.time_ns(),
        )

        def work(connection: Connection) -> None:
            if connection.execute(_GET, {"of_name": user.name}).first():
                raise UserExists(f"there is a user {user.name!r} already")
            connection.execute(_ADD, _columns(user))
            _tell(connection, user)

        self._db.write(work)
        return user

    def change_password(self, name: str, password: str) -> None:
        """From now on only `password` is right. Raises `PasswordRefused`, `UserUnknown`."""
        new_password = self._hash(password)

        def work(connection: Connection) -> None:
            _apply(connection, _CHANGE_PASSWORD, name, new_password=new_password)
            row = connection.execute(_GET, {"of_name": _normal(name)}).one()
            _tell(connection, _user(row))

        self._db.write(work)

    def remove(self, name: str) -> None:
        """Remove the user with their locks; what they saved stays. Raises `UserUnknown`."""

        def work(connection: Connection) -> None:
            _apply(connection, _REMOVE, name)
            connection.execute(_UNLOCK, {"of_name": _normal(name)})
            journal.append(connection, {"did": "user gone", "name": _normal(name)})

        self._db.write(work)

    def get(self, name: str) -> User | None:
        name = _normal(name)
        if not _is_name(name):  # PostgreSQL cannot even be asked for every text
            return None

        def read() -> User | None:
            with self._db.read() as connection:
                row = connection.execute(_GET, {"of_name": name}).first()
            return None if row is None else _user(row)

        return self._seen.get(name, read)

    def verify(self, name: str, password: str) -> User | None:
        """The user, if this is their password; an unknown name costs the same work."""
        user = self.get(name)
        matches = self._matches(user.password_hash if user else _NOBODYS, password)
        return user if matches else None

    def list(self) -> Sequence[User]:
        """All users, by name."""
        with self._db.read() as connection:
            found = [_user(row) for row in connection.execute(_ALL)]
        return sorted(found, key=lambda user: user.name)

    def _hash(self, password: str) -> str:
        secret = _secret(password)
        if not 0 < len(secret) <= PASSWORD_LIMIT:
            raise PasswordRefused(f"a password has 1 to {PASSWORD_LIMIT} bytes, not {len(secret)}")
        with self._room:
            return _HASHER.hash(secret)

    def _matches(self, password_hash: str, password: str) -> bool:
        # The cut keeps the work of a giant password small; no kept hash is of one this long.
        secret = _secret(password)[: PASSWORD_LIMIT + 1]
        with self._room:
            try:
                return _HASHER.verify(password_hash, secret)
            except argon2.exceptions.VerifyMismatchError:
                return False


def _apply(connection: Connection, statement: Update | Delete, name: str, **values: object) -> None:
    values["of_name"] = _normal(name)
    if not (_is_name(_normal(name)) and connection.execute(statement, values).rowcount):
        raise UserUnknown(f"there is no user {name!r}")


def _tell(connection: Connection, user: User) -> None:
    journal.append(connection, {"did": "user", **_columns(user)})


def _secret(password: str) -> bytes:
    # One keyboard composes an accent, another does not: both type the same password.
    return _normal(password).encode("utf-8", "surrogatepass")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_name(name: str) -> bool:
    # HTTP's Basic authentication ends a name with a colon.
    return 0 < len(name) <= NAME_LIMIT and not any(
        sign == ":" or unicodedata.category(sign) in _NO_SIGNS for sign in name
    )


def _columns(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "password": user.password_hash,
        "read_only": user.read_only,
        "root": "/" + "/".join(user.root),
        "quota": user.quota,
        "created_ns": user.created_ns,
    }


def _user(row: Row[Any]) -> User:
    return User(
        name=row.name,
        password_hash=row.password,
        read_only=row.read_only,
        root=parse(row.root),
        quota=row.quota,
        created_ns=row.created_ns,
    )
