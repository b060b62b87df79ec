"""`tgdav trash`: what was deleted, brought back or given up; who may delete again."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import NUMBER, Span, ask_passphrase, data_option, json_option
from tgdav.errors import NotFound, UserUnknown
from tgdav.tree.paths import parse
from tgdav.tree.permit import Permit
from tgdav.tree.trash import Amount, Entry, Trash
from tgdav.web.page import readable

OPERATOR = Permit("")


@click.group()
def command() -> None:
    """Show, restore or give up what was deleted; it is kept for history.keep_days."""


@command.command("list")
@click.option("--below", default="/", show_default=True, help="Only what was below this folder.")
@json_option
@data_option
def show(folder: Path, below: str, as_json: bool) -> None:
    """List the entries of the trash, oldest first; the number names one."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        trash = drive.tree.trash
        found = ((entry, trash.amount(entry.no)) for entry in _all(trash, below))
        if as_json:
            _print_list(_facts(entry, amount) for entry, amount in found)
            return
        for entry, amount in found:
            click.echo(_line(entry, amount))
        for user in drive.tree.guard.stopped():
            click.echo(f"{user} may delete nothing more until `tgdav trash confirm {user}`")


@command.command()
@click.argument("entry", type=NUMBER)
@click.option("--to", help="Put it there: a path that is free, in a folder that exists.")
@data_option
def restore(folder: Path, entry: int, to: str | None) -> None:
    """Bring the entry with number ENTRY back, whole, where it was."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        path = drive.tree.trash.restore(entry, OPERATOR, None if to is None else parse(to))
    click.echo("/" + "/".join(path))


@command.command()
@click.argument("entries", type=NUMBER, nargs=-1)
@click.option("--days", type=Span(36500), help="What was deleted that long ago.")
@click.option("--all", "everything", is_flag=True, help="The whole trash.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@data_option
def empty(
    folder: Path, entries: tuple[int, ...], days: float | None, everything: bool, yes: bool
) -> None:
    """Give up ENTRIES of the trash for good. Their space comes back by gc."""
    if (bool(entries), days is not None, everything).count(True) != 1:
        raise click.UsageError("name entries, or --days N, or --all")
    if not yes:
        click.confirm("What is given up cannot be restored. Go on?", abort=True, err=True)
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        trash = drive.tree.trash
        if entries:
            done = trash.forget(entries)
            if not done:
                raise NotFound("the trash has none of these entries")
        else:
            before_ns = time.time_ns() - int((days or 0.0) * 86400 * 10**9) + 1
            done = _forget_older(trash, before_ns)
    click.echo(f"{done} given up")


@command.command()
@click.argument("user")
@data_option
def confirm(folder: Path, user: str) -> None:
    """Let USER delete on for an hour, whom the guard stopped (history.guard_share)."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        if drive.tree.users.get(user) is None:
            raise UserUnknown(f"there is no user {user}")
        drive.tree.guard.confirm(user)


def _all(trash: Trash, below: str) -> Iterator[Entry]:
    after = None
    while page := trash.entries(parse(below), after):
        yield from page
        after = page[-1]


def _print_list(facts: Iterator[dict[str, object]]) -> None:
    """As one JSON list, of which no more than one part is in memory."""
    click.echo("[", nl=False)
    for number, each in enumerate(facts):
        click.echo((", " if number else "") + json.dumps(each, ensure_ascii=False), nl=False)
    click.echo("]")


def _forget_older(trash: Trash, before_ns: int) -> int:
    done = 0
    while count := trash.forget_older(before_ns):
        done += count
    return done


def _line(entry: Entry, amount: Amount) -> str:
    slash = "/" if entry.is_directory else ""
    return (
        f"{entry.no}\t{_date(entry.deleted_ns)}\t{entry.user}\t{amount.nodes}\t"
        f"{readable(amount.bytes)}\t{entry.path}{slash}"
    )


def _facts(entry: Entry, amount: Amount) -> dict[str, object]:
    return {
        "no": entry.no,
        "path": entry.path,
        "is_directory": entry.is_directory,
        "user": entry.user,
        "deleted_ns": entry.deleted_ns,
        "nodes": amount.nodes,
        "bytes": amount.bytes,
    }


def _date(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
