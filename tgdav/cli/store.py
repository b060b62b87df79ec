"""`tgdav store`: where the packs are kept."""

import json
from pathlib import Path

import click

from tgdav import app
from tgdav.blocks.rows.status import StoreStatus
from tgdav.cli.frame import (
    NUMBER,
    ask_passphrase,
    beside_server,
    data_option,
    json_option,
    print_json,
)
from tgdav.cli.progress import progress_bar
from tgdav.errors import StoreError


@click.group()
def command() -> None:
    """Add stores, list, drain and remove them. A running server sees it within seconds."""


@command.group()
def add() -> None:
    """Add a store."""


@add.command()
@click.argument("path", type=click.Path(file_okay=False, path_type=Path))
@data_option
def directory(folder: Path, path: Path) -> None:
    """Keep packs in the directory PATH as well; it is made if it does not exist."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        no = drive.add_directory(path)
    click.echo(f"store {no} added")


@add.command()
@click.option("--create", "title", metavar="TITLE", help="Make a private channel called TITLE.")
@click.option("--channel", "shown", metavar="ID", help="Use the channel of this id.")
@data_option
def telegram(folder: Path, title: str | None, shown: str | None) -> None:
    """Keep packs in a channel at Telegram as well, by all accounts.

    A channel that exists has to have an account as an admin who may post. Packs go to the
    stores in the order of their numbers; `tgdav store drain` empties one into the others.
    """
    if (title is None) == (shown is None):
        raise click.UsageError("name one of --create TITLE and --channel ID")
    channel_id = None if shown is None else _channel_id(shown)
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        no = drive.add_telegram(title=title or "", channel_id=channel_id)
    click.echo(f"store {no} added")


@command.command("list")
@json_option
@data_option
def show(folder: Path, as_json: bool) -> None:
    """List the stores and what each keeps."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        stores = drive.vault.stores()
    if as_json:
        print_json([_facts(store) for store in stores])
        return
    for store in stores:
        click.echo(
            f"{store.no}\t{store.kind}\t{store.state}\t{store.packs} packs\t"
            f"{store.bytes} bytes\t{_path(store)}"
        )


@command.command()
@click.argument("no", type=NUMBER)
@click.option("--stop", is_flag=True, help="Use the store again; what has moved stays moved.")
@json_option
@data_option
def drain(folder: Path, no: int, stop: bool, as_json: bool) -> None:
    """Move all packs of the store NO into the other stores, and give it up.

    It may be interrupted: the same command, or a server, goes on where it ended. Beside a
    running server the server does it, and goes on if the command ends. Without one the
    command does it, and no server can be started before it ends.
    """
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        if stop:
            drive.vault.end_drain(no)
            click.echo(f"store {no} is used again")
            return
        drive.vault.begin_drain(no)
        held = next(store for store in drive.vault.stores() if store.no == no)
        with beside_server(folder) as is_beside, progress_bar(f"Draining store {no}") as progress:
            drive.vault.drain(no, progress, beside=is_beside)
    if as_json:
        print_json({"no": no, "state": "gone", "packs": held.packs, "bytes": held.bytes})
    else:
        click.echo(f"store {no} is empty and was given up: {held.packs} packs moved")


@command.command()
@click.argument("no", type=NUMBER)
@data_option
def remove(folder: Path, no: int) -> None:
    """Give up the store NO, if it holds nothing."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        drive.vault.remove_store(no)
    click.echo(f"store {no} removed")


def _channel_id(shown: str) -> int:
    try:
        return app.channel_id(shown)
    except StoreError as error:
        raise click.BadParameter(str(error), param_hint="'--channel'") from None


def _path(store: StoreStatus) -> str:
    told = json.loads(store.settings)
    return str(told.get("path") or told.get("title") or told.get("channel_id", ""))


def _facts(store: StoreStatus) -> dict[str, object]:
    return {
        "no": store.no,
        "kind": store.kind,
        "state": store.state,
        "packs": store.packs,
        "bytes": store.bytes,
        "path": _path(store),
    }
