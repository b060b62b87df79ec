"""`tgdav key`: show the recovery kit; put the key behind a passphrase, or change that."""

from pathlib import Path

import click
import segno

from tgdav import app
from tgdav.blocks.keyfile import recovery_text
from tgdav.cli.frame import ask_passphrase, data_option, json_option, print_json, read_password


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
    keys = app.load_keys(folder, passphrase=ask_passphrase)
    text = recovery_text(keys)
    if as_json:
        print_json({"key_id": keys.key_id.hex(), "key": text})
        return
    click.echo(f"Key {keys.key_id.hex()} of this drive. Keep it on paper, away from the machine.\n")
    click.echo(text + "\n")
    segno.make(text, error="m").terminal(compact=True)


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
