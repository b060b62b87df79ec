"""`tgdav status`: what is kept, where it is, and what is only on this machine yet."""

from pathlib import Path
from typing import Any

import click

from tgdav import app
from tgdav.cli.frame import ask_passphrase, data_option, json_option, print_json
from tgdav.web.page import readable


@click.command()
@json_option
@data_option
def command(folder: Path, as_json: bool) -> None:
    """Show what the drive keeps and where it is."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        facts = drive.facts()
    if as_json:
        print_json(facts)
        return
    for line in _lines(facts):
        click.echo(line)


def _lines(facts: dict[str, Any]) -> list[str]:
    waiting = facts["oldest_unflushed_s"]
    return [
        f"files           {facts['files']:>12,.0f}   {readable(int(facts['bytes']))}",
        f"blocks          {facts['blocks']:>12,.0f}   shared {facts['dedup_ratio']:.2f} times, "
        f"compressed {facts['compression_ratio']:.2f} times",
        f"packs           {facts['packs']:>12,.0f}",
        f"staged          {readable(int(facts['staged_bytes'])):>12}   small saves, only here yet",
        f"spool           {readable(int(facts['spool_bytes'])):>12}   packs, only here yet",
        f"oldest waiting  {waiting:>10,.0f} s",
        f"recoverable     {facts['recoverable_age_s']:>10,.0f} s   until then the stores have all",
        f"snapshot        {_age(facts['snapshot_age_s'])}",
        f"memory          {readable(int(facts['memory_bytes'])):>12}",
        *([f"READ-ONLY: {facts['read_only']}"] if facts["read_only"] else []),
        *map(_account, facts["accounts"]),
        *map(_channel, facts["channels"]),
        *facts["account_troubles"],
    ]


def _account(account: dict[str, Any]) -> str:
    flood = f", has to wait {account['flood_s']:.0f} s" if account["flood_s"] else ""
    trouble = f": {account['trouble']}" if account["trouble"] else ""
    return (
        f"account {account['no']:<7} {account['state']:>12}   {account['label']}{flood}{trouble}; "
        f"today {readable(account['sent_bytes_today'])} sent, "
        f"{readable(account['received_bytes_today'])} received, "
        f"{readable(account['in_flight_bytes'])} on its way"
    )


def _channel(channel: dict[str, Any]) -> str:
    return (
        f"channel {channel['no']:<7} {channel['state']:>12}   {channel['title']}; "
        f"{channel['messages']:,} messages, room for {channel['room']:,}"
    )


def _age(seconds: float | None) -> str:
    return "      none yet" if seconds is None else f"{seconds:>10,.0f} s   ago"
