"""`tgdav user`: who may use the drive, what of it, and how much."""

from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import (
    NUMBER,
    ask_passphrase,
    data_option,
    json_option,
    print_json,
    read_password,
)
from tgdav.tree.users import User


@click.group()
def command() -> None:
    """Add, list and remove users; change passwords. A running server sees it at once."""


password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Take the password from standard input's first line."
)


@command.command()
@click.argument("name")
@password_stdin
@click.option("--read-only", is_flag=True, help="May read, and change nothing.")
@click.option("--root", default="/", show_default=True, help="Directory that is the user's /.")
@click.option("--quota", type=NUMBER, help="Most bytes that the user may keep.")
@data_option
def add(
    folder: Path, name: str, password_stdin: bool, read_only: bool, root: str, quota: int | None
) -> None:
    """Add the user NAME."""
    password = read_password(password_stdin)
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        drive.tree.users.add(name, password, read_only=read_only, root=root, quota=quota)


@command.command("list")
@json_option
@data_option
def show(folder: Path, as_json: bool) -> None:
    """List the users."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        users = drive.tree.users.list()
    if as_json:
        print_json([_facts(user) for user in users])
        return
    for user in users:
        rights = "read-only" if user.read_only else "read-write"
        quota = "no quota" if user.quota is None else f"quota {user.quota} bytes"
        click.echo(f"{user.name}\t{rights}\t{_root(user)}\t{quota}")


@command.command()
@click.argument("name")
@password_stdin
@data_option
def passwd(folder: Path, name: str, password_stdin: bool) -> None:
    """Change the password of NAME."""
    password = read_password(password_stdin, "New password")
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        drive.tree.users.change_password(name, password)


@command.command()
@click.argument("name")
@data_option
def remove(folder: Path, name: str) -> None:
    """Remove the user NAME; the files stay."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        drive.tree.users.remove(name)


def _facts(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "read_only": user.read_only,
        "root": _root(user),
        "quota": user.quota,
        "created_ns": user.created_ns,
    }


def _root(user: User) -> str:
    return "/" + "/".join(user.root)
