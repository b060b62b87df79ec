"""`tgdav store`: where the packs are kept."""

import json
from pathlib import Path

import click

from tgdav import app
from tgdav.blocks.status import StoreStatus
from tgdav.cli.frame import ask_passphrase, data_option, json_option, print_json


@click.group()
def command() -> None:
    """Add stores and list them. A running server uses a new one within seconds."""


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


def _path(store: StoreStatus) -> str:
    return str(json.loads(store.settings).get("path", ""))


def _facts(store: StoreStatus) -> dict[str, object]:
    return {
        "no": store.no,
        "kind": store.kind,
        "state": store.state,
        "packs": store.packs,
        "bytes": store.bytes,
        "path": _path(store),
    }
