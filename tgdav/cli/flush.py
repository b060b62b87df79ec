"""`tgdav flush`: have everything kept so far in the stores."""

from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import ask_passphrase, beside_server, data_option
from tgdav.cli.progress import progress_bar


@click.command()
@data_option
def command(folder: Path) -> None:
    """Pack what waits on this machine and put it into the stores; return when it is there.

    Beside a running server the server puts it there. If nothing moves for two minutes, as
    every account has to wait, say, the command ends with 75; nothing is lost by that.
    """
    with (
        app.opened(folder, passphrase=ask_passphrase) as drive,
        beside_server(folder) as is_beside,
        progress_bar("Flushing") as progress,
    ):
        flush = drive.vault.flush_beside if is_beside else drive.vault.flush
        flush(progress)
