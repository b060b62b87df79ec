"""`tgdav account`: the logins at Telegram that packs are sent and read by."""

import contextlib
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from tgdav import app
from tgdav.blocks.ledger import SqlLedger
from tgdav.cli.frame import (
    NUMBER,
    ask_passphrase,
    data_option,
    json_option,
    print_json,
    read_line,
)
from tgdav.errors import AccountInUse, AccountUnknown
from tgdav.stores.telegram.login import Login, by_phone, by_session, by_token, key_in
from tgdav.stores.telegram.loop import EventLoop
from tgdav.stores.telegram.network import Network

LOGIN_S = 900.0
"""A person may take so long to find code and password."""


@click.group()
def command() -> None:
    """Log accounts in at Telegram, list, check and remove them.

    A running server takes a new one up within seconds.
    """


@command.command()
@click.option("--phone", help="Number of a user's account, with its country: +49…")
@click.option("--bot-token-stdin", is_flag=True, help="Take a bot's token from standard input.")
@click.option(
    "--session-stdin", is_flag=True, help="Take a string session of Telethon's from standard input."
)
@data_option
def add(folder: Path, phone: str | None, bot_token_stdin: bool, session_stdin: bool) -> None:
    """Log an account in: a user by phone and code, a bot by its token.

    The code (and the password, if the account has one) is asked for; where standard
    input is no terminal, they are its next lines. A session that is in use elsewhere is
    lost by using it here: log in anew instead.
    """
    if bot_token_stdin + session_stdin + (phone is not None) > 1:
        raise click.UsageError("name one of --phone, --bot-token-stdin and --session-stdin")
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        network = drive.reach.network
        if session_stdin:
            session = line()
            _require_new(drive, session)
            no = log_in(drive.ledger, by_session(network, session))
        elif bot_token_stdin:
            no = log_in(drive.ledger, by_token(network, line()))
        else:
            no = log_in_by_phone(network, drive.ledger, phone)
    click.echo(f"account {no} added")


@command.command("list")
@json_option
@data_option
def show(folder: Path, as_json: bool) -> None:
    """List the accounts and how they are."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        accounts = drive.facts()["accounts"]
    _print(accounts, as_json)


@command.command()
@click.argument("no", type=NUMBER, required=False)
@json_option
@data_option
def check(folder: Path, no: int | None, as_json: bool) -> None:
    """Ask Telegram how the accounts are, or the account NO.

    An account that a running server has is shown as the server last saw it: it asks
    every ten minutes.
    """
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        asked = drive.reach.telegram.check()
        accounts = [
            {**facts, "asked_now": facts["no"] in asked} for facts in drive.facts()["accounts"]
        ]
    if no is not None:
        accounts = [facts for facts in accounts if facts["no"] == no]
        if not accounts:
            raise AccountUnknown(f"there is no account {no}")
    _print(accounts, as_json)


@command.command()
@click.argument("no", type=NUMBER)
@click.option("--yes", is_flag=True, help="Remove it without asking.")
@data_option
def remove(folder: Path, no: int, yes: bool) -> None:
    """Forget the login of account NO. What it sent stays, and is read by the others.

    Channels that fewer than two accounts are left in are named: one more loss is theirs.
    """
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        accounts = {facts["no"]: facts for facts in drive.facts()["accounts"]}
        if no not in accounts:
            raise AccountUnknown(f"there is no account {no}")
        for channel in drive.left_short(no):
            click.echo(
                f"channel {channel.no} ({channel.title}) is left with fewer than two accounts",
                err=True,
            )
        if not yes:
            click.confirm(_warning(no, len(accounts)), abort=True, err=True)
        drive.ledger.remove_account(no)
    click.echo(
        f"account {no} removed here; to end its login at Telegram, use Settings, Devices, there"
    )


def log_in_by_phone(network: Network, ledger: SqlLedger, phone: str | None) -> int:
    """Log a user in, and keep the login; what is not given is asked for."""
    phone = phone or ask("Phone")()
    code, password = ask("Code"), ask("Password", hidden=True)
    return log_in(ledger, by_phone(network, phone, code, password))


def log_in(ledger: SqlLedger, work: Coroutine[Any, Any, Login]) -> int:
    """Carry the login out, and keep it; the account's number."""
    with contextlib.closing(EventLoop()) as loop:
        login = loop.run(work, LOGIN_S)
    return ledger.add_account(login.kind, login.user_id, login.label, login.session, login.premium)


def _require_new(drive: app.Drive, session: str) -> None:
    """Refuse a session that the drive has: two connections would end it for good."""
    key = key_in(session)
    for account in drive.ledger.accounts():
        if key_in(account.session) == key:
            raise AccountInUse(f"account {account.no} has this session already")


def _warning(no: int, count: int) -> str:
    left = count - 1
    if left == 0:
        return f"Without account {no} nothing in Telegram can be read. Remove it?"
    others = "account is" if left == 1 else "accounts are"
    return f"{left} {others} left to read and write. Remove account {no}?"


def _print(accounts: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print_json(accounts)
        return
    for facts in accounts:
        trouble = f"\t{facts['trouble']}" if facts["trouble"] else ""
        click.echo(f"{facts['no']}\t{facts['kind']}\t{facts['label']}\t{facts['state']}{trouble}")


def line() -> str:
    """The next line of standard input."""
    return read_line().strip()


def ask(what: str, *, hidden: bool = False) -> Callable[[], str]:
    """Asks for it on the terminal, or takes the next line of standard input."""

    def answer() -> str:
        if not sys.stdin.isatty():
            return line()
        typed: str = click.prompt(what, hide_input=hidden, err=True)
        return typed

    return answer
