"""Whether the accounts could do what is asked of them next: asked of Telegram, and told.

The one process that has the accounts does it: a server as a job of its own, for whom asks.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tgdav.app.folder import is_served
from tgdav.app.reach import Reach
from tgdav.blocks.ledger import reach
from tgdav.blocks.ledger.reach import AccountStatus
from tgdav.blocks.rows import roster
from tgdav.blocks.vault import Vault
from tgdav.db import Database
from tgdav.errors import Busy, StoreError
from tgdav.maintenance.schedule import Job, asked

if TYPE_CHECKING:
    from tgdav.stores.telegram.store import TelegramStore
    from tgdav.stores.telegram.verifying import VerifiedChannel

JOB = "accounts"
PATIENCE_S = 300.0
"""How long a running server may take for it."""


def verify(db: Database, vault: Vault, reached: Reach) -> dict[str, Any]:
    """What was found: `accounts`, `channels`, and `troubles`, a sentence each.

    Puts a pack into each channel that takes some, has it read by every account, and deletes
    it. Raises `StoreError`, `StoreBusy` if the accounts are not at hand.
    """
    channels: list[VerifiedChannel] = []
    troubles: list[str] = []
    at_hand = reached.telegram.check()
    with db.read() as connection:
        stores = roster.of_kind(connection, "telegram")
    for no in stores if at_hand else ():
        try:
            channels += cast("TelegramStore", vault.workshop.pool.store(no)).verify()
        except (StoreError, Busy) as error:
            troubles.append(f"store {no}: {error}")
    with db.read() as connection:
        accounts = reach.list_accounts(connection)
    told = [*_of_accounts(accounts, at_hand), *troubles]
    told += [trouble for channel in channels for trouble in channel.troubles]
    return {
        "accounts": [
            asdict(account) | {"asked_now": account.no in at_hand} for account in accounts
        ],
        "channels": [asdict(channel) for channel in channels],
        "troubles": told,
    }


def verified(folder: Path, db: Database, vault: Vault, reached: Reach) -> Mapping[str, Any]:
    """`verify`, by the server if one has the accounts. Raises `Busy`, `StoreError`."""
    if not is_served(folder):
        return verify(db, vault, reached)
    facts = asked(db, JOB, PATIENCE_S).facts
    if "troubles" not in facts:
        raise StoreError(facts.get("trouble", "there is no account"))
    return facts


def job(hours: float, db: Database, vault: Vault, reached: Reach) -> tuple[Job, ...]:
    """`verify` by the clock, if it is to be; nothing is asked where no account is."""

    def run(_course: object) -> Mapping[str, Any]:
        with db.read() as connection:
            accounts = reach.list_accounts(connection)
        return verify(db, vault, reached) if accounts else {}

    return (Job(JOB, hours * 3600, run),) if hours else ()


def _of_accounts(accounts: list[AccountStatus], at_hand: list[int]) -> list[str]:
    told = []
    for account in accounts:
        name = f"account {account.no} ({account.label})"
        if account.state != "active":
            told.append(f"{name} is {account.state}: {account.trouble}{_advice(account.state)}")
        elif account.no not in at_hand:
            told.append(f"{name} was not asked: another process has it")
        elif account.flood_s:
            told.append(f"{name} has to wait {account.flood_s:,.0f} s")
    return told


def _advice(state: str) -> str:
    return "; tgdav account add logs it in again" if state == "logged out" else ""
