"""`tgdav recover`: a lost drive back from its stores, with its key or passphrase."""

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from tgdav.app import recovering
from tgdav.app.reach import Reach
from tgdav.app.recovering import Key, NamedStore, Outcome
from tgdav.blocks.ledger import SqlLedger
from tgdav.cli.frame import data_option, json_option, print_json, read_line
from tgdav.cli.progress import progress_line
from tgdav.errors import KeyRefused, SettingsRefused

_WORDS = re.compile(r"^(?:[A-Za-z0-9]{8} ?){4}$", re.MULTILINE)
"""One of the two lines of a recovery text."""


@click.command()
@click.option(
    "--store",
    "stores",
    nargs=2,
    multiple=True,
    required=True,
    metavar="KIND WHERE",
    help="A store that the drive is in: directory PATH; telegram CHANNEL, by its id; or "
    "telegram all: every channel that the account may post in and that has packs among its "
    "newest messages. May be given several times.",
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the recovery words, or with all that tgdav key show printed; - reads "
    "standard input.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File whose first line is the key's passphrase; - reads standard input.",
)
@click.option("--phone", help="Number of the account to log in at Telegram, with its country: +49…")
@click.option(
    "--session-stdin",
    is_flag=True,
    help="Log in by a string session of Telethon's, the first line of standard input.",
)
@click.option("--drive", "drive_id", help="Which drive, if the stores have several.")
@click.option("--yes", is_flag=True, help="Go on without what is in none of the stores.")
@json_option
@data_option
def command(
    folder: Path,
    stores: tuple[tuple[str, str], ...],
    key_file: Path | None,
    passphrase_file: Path | None,
    phone: str | None,
    session_stdin: bool,
    drive_id: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring a lost drive back into an empty data folder.

    Names, contents, times, properties, users and versions come from the stores; the key
    is that of the recovery kit (tgdav key show), or its passphrase. What is stopped goes
    on when the command is given again. The machine that was lost, if it comes back, will
    be read-only. Exit code 72: something is missing, and nothing was given up yet.

    For Telegram write telegram.api_id and telegram.api_hash into tgdav.toml in the empty
    folder. One user's account that was in the drive's channels is logged in, by phone and
    code; it stays the drive's. Others are added later by tgdav account add.
    """
    session = read_line().strip() if session_stdin else None
    with progress_line() as told:
        done = recovering.recover(
            folder,
            [NamedStore(*store) for store in stores],
            _key(folder, key_file, passphrase_file),
            log_in=partial(_log_in, phone, session),
            logs_in_again=bool(phone or session),
            drive_id=_parsed(drive_id),
            accept_loss=yes,
            progress=told,
        )
    if as_json:
        print_json(_facts(done))
    else:
        _tell(done)


def _log_in(phone: str | None, session: str | None, reach: Reach, ledger: SqlLedger) -> None:
    # A drive in a directory need not wait for Telegram's code.
    from tgdav.cli import account  # noqa: PLC0415
    from tgdav.stores.telegram.login import by_session  # noqa: PLC0415

    if session is None:
        account.log_in_by_phone(reach.network, ledger, phone)
    else:
        account.log_in(ledger, by_session(reach.network, session))


def _key(folder: Path, key_file: Path | None, passphrase_file: Path | None) -> Key:
    if key_file and passphrase_file:
        raise SettingsRefused("give the recovery words or the passphrase, not both")
    if key_file:
        return Key(words=_words_in(_read(key_file)))
    if passphrase_file:
        lines = _read(passphrase_file).splitlines()
        return Key(passphrase=lines[0] if lines else "")
    if (folder / "key").exists() or not sys.stdin.isatty():
        return Key()
    typed = click.prompt("Passphrase, or the recovery words on one line", hide_input=True, err=True)
    return Key(words=typed) if len(typed.split()) == 8 else Key(passphrase=typed)


def _words_in(text: str) -> str:
    """The words in all that `tgdav key show` prints, or the text as it is."""
    lines = _WORDS.findall(text)
    return "\n".join(lines) if len(lines) == 2 else text


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            return sys.stdin.read()
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyRefused(f"the key's file cannot be read: {error}") from error


def _parsed(drive_id: str | None) -> bytes | None:
    try:
        return None if drive_id is None else bytes.fromhex(drive_id)
    except ValueError as error:
        raise SettingsRefused("a drive's id is 32 hexadecimal digits") from error


def _facts(outcome: Outcome) -> dict[str, Any]:
    done = outcome.recovered
    return {
        "drive": done.drive.drive_id.hex(),
        "epoch": done.drive.epoch,
        "position": done.position,
        "snapshot_position": done.snapshot_position,
        "replayed": done.replayed,
        "unsaved": done.unsaved,
        "unsaved_names": done.unsaved_names,
        "lost_blocks": done.lost_blocks,
        "notes": done.notes,
        "absent_channels": outcome.absent,
        "findings": outcome.findings,
    }


def _tell(outcome: Outcome) -> None:
    done = outcome.recovered
    click.echo(
        f"drive {done.drive.drive_id.hex()} is back as of change {done.position} "
        f"(snapshot of change {done.snapshot_position}, then {done.replayed} changes); "
        f"this is its epoch {done.drive.epoch}"
    )
    if done.unsaved:
        click.echo(f"{done.unsaved} saves had not reached a store; the files before them are kept:")
        for name in done.unsaved_names:
            click.echo(f"  {name}")
    if done.lost_blocks:
        click.echo(f"{done.lost_blocks} blocks are lost; saving the same content heals the files")
    for note in done.notes:
        click.echo(f"note: {note}")
    for title in outcome.absent:
        click.echo(f"note: no account sees the channel {title} that the drive had")
    for kind, count in sorted(outcome.findings.items()):
        click.echo(f"fsck found: {count} {kind}")
    click.echo("Serve it as before: tgdav serve")
