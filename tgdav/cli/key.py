"""`tgdav key`: show the recovery kit; put the key behind a passphrase, or change that."""

import json
import shlex
from pathlib import Path

import click
import segno

from tgdav import app
from tgdav.blocks.form.keyfile import recovery_text
from tgdav.cli.frame import ask_passphrase, data_option, json_option, print_json, read_password
from tgdav.errors import DriveMissing


@click.group()
def command() -> None:
    """Show the drive's key, or change its passphrase."""


@command.command()
@click.option("--yes", is_flag=True, help="Show it without asking.")
@json_option
@data_option
def show(folder: Path, yes: bool, as_json: bool) -> None:
    """Print the recovery kit: whoever has it and a store can read the whole drive."""
    if not yes:
        click.confirm("The key opens everything on the drive. Show it here?", abort=True, err=True)
    try:
        with app.opened(folder, passphrase=ask_passphrase) as drive:
            keys, stores = drive.vault.workshop.keys, _stores(drive)
    except DriveMissing:  # the key is there all the same
        keys, stores = app.load_keys(folder, passphrase=ask_passphrase), []
    text = recovery_text(keys)
    if as_json:
        print_json({"key_id": keys.key_id.hex(), "key": text, "stores": stores})
        return
    click.echo(f"Key {keys.key_id.hex()} of this drive. Keep it on paper, away from the machine.\n")
    click.echo(text + "\n")
    segno.make(text, error="m").terminal(compact=True)
    named = " ".join(shlex.join(("--store", *store)) for store in stores)
    click.echo(f"\nWith it the drive comes back:\n  tgdav recover --key-file FILE {named}")


def _stores(drive: app.Drive) -> list[tuple[str, str]]:
    """Where the drive is, as `tgdav recover` takes it."""
    found: list[tuple[str, str]] = []
    for store in drive.vault.stores():
        if store.kind == "directory" and store.state != "gone":
            path = drive.folder.absolute() / json.loads(store.settings)["path"]
            found.append(("directory", str(path)))
        found += [
            ("telegram", str(channel.channel_id))
            for channel in drive.ledger.channels(store.no)
            if channel.state != "lost"
        ]
    return found


@command.command()
@click.option(
    "--passphrase-stdin", is_flag=True, help="Take the new one from standard input's first line."
)
@click.option("--remove", is_flag=True, help="Keep the key without a passphrase from now on.")
@data_option
def passphrase(folder: Path, passphrase_stdin: bool, remove: bool) -> None:
    """Wrap the key with a new passphrase; the key, and so the drive, stays the same."""
    new = None if remove else read_password(passphrase_stdin, "New passphrase")
    app.change_passphrase(folder, new, ask_passphrase)
