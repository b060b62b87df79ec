"""`tgdav gc`: drop what nothing names any more; without --run, say what would be dropped."""

from dataclasses import asdict
from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import ask_passphrase, data_option, json_option, print_json
from tgdav.cli.progress import progress
from tgdav.maintenance.gc import Collected
from tgdav.web.page import readable


@click.command(
    epilog="Exit codes: 0 done · 65 refused: a store cannot be asked, something needed is lost, "
    "or more than half would go; nothing changed · 75 another process is at it, try again."
)
@click.option("--run", "runs", is_flag=True, help="Do it: expire, condemn, collect, rewrite.")
@click.option("--yes", is_flag=True, help="Also if more than half of all bytes would go.")
@json_option
@data_option
def command(folder: Path, runs: bool, yes: bool, as_json: bool) -> None:
    """Drop old versions and deleted files whose time is over, and blocks that nothing names.

    Blocks go in two looks, a day of serving apart (gc.age_s, gc.grace_s): run it again
    then, or leave it to the server.
    """
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        if runs:
            with progress("expire") as step:
                expired = asdict(drive.expire(step))
        else:
            expired = {}
        with progress("gc") as step:
            done = drive.gc(step, dry=not runs, yes=yes)
    if as_json:
        print_json(asdict(done) | {"expired": expired})
        return
    for line in _lines(done):
        click.echo(line)


def _lines(done: Collected) -> list[str]:
    lines = [
        f"condemned  {done.condemned_blocks:>10,} blocks   {readable(done.condemned_bytes)}",
        f"collected  {done.collected_blocks:>10,} blocks   {readable(done.collected_bytes)}",
        f"dropped    {done.dropped_packs:>10,} packs    {readable(done.dropped_bytes)}",
        f"rewritten  {done.rewritten_packs:>10,} packs",
    ]
    if done.is_dry:
        lines.append("Nothing was changed: this is what tgdav gc --run would do.")
    return lines
