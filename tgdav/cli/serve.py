"""`tgdav serve`: make the drive if there is none, serve it, stop gracefully."""

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from tgdav import app
from tgdav.allocator import share_one_heap
from tgdav.cli.frame import ask_passphrase, data_option
from tgdav.settings import FILE, load, options

FLAGS = {
    "--host": ("server", "host"),
    "--port": ("server", "port"),
    "--database": ("database", "url"),
    "--tls-cert": ("server", "tls_cert"),
    "--tls-key": ("server", "tls_key"),
}


def flags(command: Any) -> Any:
    """Give the command a flag for each option in `FLAGS`, with the option's own help."""
    declared = {(section, name): field for section, name, field in options()}
    for flag, option in reversed(FLAGS.items()):
        help_text = f"{declared[option].description} [{option[0]}.{option[1]}]"
        command = click.option(flag, "_".join(option), help=help_text)(command)
    return command


@click.command(epilog=f"More options: {FILE} in the data folder; see the README.")
@flags
@data_option
def command(folder: Path, **given: str | None) -> None:
    """Serve the drive in the data folder; the first time, make it."""
    settings = load(
        folder,
        flags={
            option: value
            for option in FLAGS.values()
            if (value := given["_".join(option)]) is not None
        },
    )
    logging.basicConfig(
        level=settings.log.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("telethon").setLevel(logging.WARNING)
    share_one_heap()
    app.require_place(folder)
    with app.alone(folder):
        password = app.make_unless_made(folder, settings)
        if password is not None:
            click.echo(_credentials(password))
        with app.opened(folder, settings, passphrase=ask_passphrase, serving=True) as drive:
            server = drive.server()
            click.echo(_welcome(server.url))
            _stop_on_signals(server.stop)
            server.serve()


def _stop_on_signals(stop: Any) -> None:
    def begin(_number: int, _frame: object) -> None:
        # The handler interrupts the main thread, which serves: stopping waits elsewhere.
        threading.Thread(target=stop, name="stop").start()

    signal.signal(signal.SIGTERM, begin)
    signal.signal(signal.SIGINT, begin)


def _credentials(password: str) -> str:
    return (
        "A new drive.\n"
        f"  user      {app.FIRST_USER}\n"
        f"  password  {password}\n"
        "  It is shown this once; `tgdav user passwd` gives another.\n"
    )


def _welcome(url: str) -> str:
    return "\n".join([f"tgdav serves {url}", *_mapping(url)])


def _mapping(url: str) -> list[str]:
    drive = url.replace("http://", "").replace("https://", "")
    share = f"davs://{drive}" if url.startswith("https") else f"dav://{drive}"
    return [
        f"  Windows  net use T: {url} /user:{app.FIRST_USER} *",
        f"  macOS    Finder, Go, Connect to Server: {url}",
        f"  Linux    mount -t davfs {url} /mnt/tgdav     (or open {share} in the file manager)",
        f"  rclone   rclone config create tgdav webdav vendor=owncloud url={url} "
        f"user={app.FIRST_USER}",
        "",
    ]
