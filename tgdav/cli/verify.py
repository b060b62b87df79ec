"""`tgdav verify`: whether what the drive relies on can do what will be asked of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tgdav import app
from tgdav.cli.frame import EX_DAMAGE, ask_passphrase, data_option, json_option, print_json


@click.group()
def command() -> None:
    """Try what the drive relies on, before it is needed."""


@command.command(
    epilog="Exit codes: 0 all is well · 3 there is trouble · 75 the accounts are not at hand · "
    "others: tgdav --help"
)
@json_option
@data_option
def accounts(folder: Path, as_json: bool) -> None:
    """Ask Telegram about every account and channel; put a pack, read it, delete it.

    Each account should be logged in, in every channel, and able to post there; each channel
    should have two such accounts. Who can be let in is let in. A running server does it, and
    once a day by itself: `tgdav status` tells what it found.
    """
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        found = drive.verify()
    if as_json:
        print_json(found)
    else:
        for line in _lines(found):
            click.echo(line)
    raise SystemExit(EX_DAMAGE if found["troubles"] else 0)


def _lines(found: Mapping[str, Any]) -> list[str]:
    return [
        *(f"account {one['no']}\t{one['label']}\t{one['state']}" for one in found["accounts"]),
        *map(_channel, found["channels"]),
        *(found["troubles"] or ["no trouble found"]),
    ]


def _channel(channel: Mapping[str, Any]) -> str:
    canary = "" if channel["canary"] is None else f", {len(channel['canary'])} read from it"
    return (
        f"channel {channel['no']}\t{channel['title']}\t{channel['state']}\t"
        f"{channel['messages']:,} messages, room for {channel['room']:,}; "
        f"{len(channel['members'])} accounts in it, {len(channel['admins'])} may post{canary}"
    )
