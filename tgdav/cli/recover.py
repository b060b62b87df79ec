"""`tgdav recover`: a lost drive back from its stores, with its key or passphrase."""

import sys
from pathlib import Path
from typing import Any

import click

from tgdav import recovery
from tgdav.cli.frame import data_option, json_option, print_json
from tgdav.cli.progress import progress_line
from tgdav.errors import KeyRefused, SettingsRefused
from tgdav.maintenance.recover import Recovered
from tgdav.recovery import Key, NamedStore


@click.command()
@click.option(
    "--store",
    "stores",
    nargs=2,
    multiple=True,
    required=True,
    metavar="KIND WHERE",
    help="A store that the drive is in: directory PATH. May be given several times.",
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the recovery words; - reads them from standard input.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File whose first line is the key's passphrase; - reads standard input.",
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
    drive_id: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring a lost drive back into an empty data folder.

    Names, contents, times, properties, users and versions come from the stores; the key
    is that of the recovery kit (tgdav key show), or its passphrase. What is stopped goes
    on when the command is given again. The machine that was lost, if it comes back, will
    be read-only. Exit code 72: something is missing, and nothing was given up yet.
    """
    with progress_line() as told:
        done = recovery.recover(
            folder,
            [NamedStore(*store) for store in stores],
            _key(folder, key_file, passphrase_file),
            drive_id=_parsed(drive_id),
            accept_loss=yes,
            progress=told,
        )
    if as_json:
        print_json(_facts(done))
    else:
        _tell(done)


def _key(folder: Path, key_file: Path | None, passphrase_file: Path | None) -> Key:
    if key_file and passphrase_file:
        raise SettingsRefused("give the recovery words or the passphrase, not both")
    if key_file:
        return Key(words=_read(key_file))
    if passphrase_file:
        lines = _read(passphrase_file).splitlines()
        return Key(passphrase=lines[0] if lines else "")
    if (folder / "key").exists() or not sys.stdin.isatty():
        return Key()
    typed = click.prompt("Passphrase, or the recovery words on one line", hide_input=True, err=True)
    return Key(words=typed) if len(typed.split()) == 8 else Key(passphrase=typed)


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyRefused(f"the key's file cannot be read: {error}") from error


def _parsed(drive_id: str | None) -> bytes | None:
    try:
        return None if drive_id is None else bytes.fromhex(drive_id)
    except ValueError as error:
        raise SettingsRefused("a drive's id is 32 hexadecimal digits") from error


def _facts(done: Recovered) -> dict[str, Any]:
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
    }


def _tell(done: Recovered) -> None:
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
    click.echo("Serve it as before: tgdav serve")
