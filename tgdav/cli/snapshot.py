"""`tgdav snapshot`: the whole tree into the stores, for recovery to begin with."""

from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import ask_passphrase, beside_server, data_option, json_option, print_json
from tgdav.cli.progress import progress_line
from tgdav.web.page import readable


@click.command()
@json_option
@data_option
def command(folder: Path, as_json: bool) -> None:
    """Flush, take a snapshot of all names, and have it in the stores.

    A server takes snapshots by itself; the last three are kept.
    """
    with (
        app.opened(folder, passphrase=ask_passphrase) as drive,
        beside_server(folder) as is_beside,
        progress_line(in_bytes=True) as told,
    ):
        taken = drive.snapshots.take(lambda done: told("snapshot", done, 0), beside=is_beside)
    if as_json:
        print_json(taken._asdict())
        return
    click.echo(
        f"snapshot of change {taken.position}: {taken.parts} packs, {readable(taken.bytes)}; "
        f"{taken.trimmed} journal rows went from the database"
    )
