"""`tgdav flush`: have everything kept so far in the stores."""

from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import ask_passphrase, data_option


@click.command()
@data_option
def command(folder: Path) -> None:
    """Pack what waits on this machine and put it into the stores; return when it is there."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        drive.vault.flush()
