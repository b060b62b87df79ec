"""What all commands share: the group, `--data`, exit codes, one sentence on failure.

A command's module is imported when the command is named, so that `tgdav serve` does
not wait for the code of the others.
"""

import contextlib
import errno
import importlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import platformdirs

import tgdav
from tgdav import app
from tgdav.errors import Busy, DriveInUse, Failed, KeyRefused, Refused, TgdavError

F = TypeVar("F", bound=Callable[..., Any])

COMMANDS = (
    *("serve", "user", "account", "store", "key", "flush", "status"),
    *("fsck", "scrub", "repair", "verify", "maintenance"),
    *("gc", "trash", "versions", "snapshot", "recover"),
)
EX_FAILED, EX_DAMAGE, EX_REFUSED, EX_FULL, EX_BUSY = 1, 3, 65, 73, 75

MOST = 2**63 - 1
"""The largest number that a database keeps."""
NUMBER = click.IntRange(0, MOST)

EXIT_CODES = """
\b
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 damage found · 65 refused, nothing changed ·
66 no drive, or one too many · 69 the address cannot be had ·
71 the stores are ahead, read-only · 72 recovery would be incomplete ·
73 disk full, or the data folder cannot be written ·
74 database · 75 in use or busy, try again · 76 database of a newer tgdav ·
77 wrong key or unsafe key file · 78 settings
"""


class Span(click.FloatRange):
    """A time, in its option's unit; a bound in years is to keep nanoseconds below `MOST`."""

    def __init__(self, longest: float, *, min_open: bool = False) -> None:
        super().__init__(0, longest, min_open=min_open)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As a range does, which lets nan pass."""
        span: float = super().convert(value, param, ctx)
        if math.isnan(span):
            self.fail("nan is not a number.", param, ctx)
        return span


class Commands(click.Group):
    """The commands by name, each from the module of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tgdav.cli.{cmd_name}").command
        return command


@click.command(cls=Commands, epilog=EXIT_CODES)
@click.version_option(tgdav.__version__, prog_name="tgdav")
def tgdav_command() -> None:
    """Turn Telegram, or a folder, into a network drive."""


def main() -> None:
    """Run the command line; a failure is one sentence and an exit code."""
    try:
        tgdav_command(standalone_mode=True)
    except TgdavError as error:
        click.echo(f"tgdav: {error}", err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        _drop_output()  # whoever read it has read enough
    except OSError as error:
        _drop_output()  # its disk may be the full one
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"tgdav: {where}{error.strerror or error}", err=True)
        sys.exit(EX_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else EX_FAILED)


def _drop_output() -> None:
    """Have the interpreter write nothing more, as it does when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_code(error: TgdavError) -> int:
    """The exit code that `EXIT_CODES` promises for `error`."""
    match error:
        case Failed():
            return error.exit_code
        case Busy():
            return EX_BUSY
        case Refused():
            return EX_REFUSED
    return EX_FAILED


def data_option(command: F) -> F:
    """Give the command `--data DIR`, as `folder`."""
    return click.option(
        "--data",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="TGDAV_DATA",
        default=lambda: platformdirs.user_data_path("tgdav", appauthor=False),
        show_default="this system's folder for programs' data",
        help="The drive's data folder.",
    )(command)


def json_option(command: F) -> F:
    """Give the command `--json`, as `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the facts as JSON, for programs."
    )(command)


def print_json(facts: object) -> None:
    """Print `facts` on one line; keys keep their order."""
    click.echo(json.dumps(facts, ensure_ascii=False))


@contextlib.contextmanager
def beside_server(folder: Path) -> Iterator[bool]:
    """True if a server has the drive's stores; if not, none can be started meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(app.alone(folder))
            is_beside = False
        except DriveInUse:
            is_beside = True
        yield is_beside


def read_line() -> str:
    """The next line of standard input, without its end. Raises `Refused` if it is no text."""
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Refused("standard input is not UTF-8") from error


def read_password(from_stdin: bool, what: str = "Password") -> str:
    """Ask for `what` twice, or take the first line of standard input."""
    if from_stdin:
        return read_line()
    password: str = click.prompt(what, hide_input=True, confirmation_prompt=True, err=True)
    return password


def ask_passphrase() -> str:
    """Ask for the passphrase of a wrapped key. Raises `KeyRefused` where nobody can answer."""
    if not sys.stdin.isatty():
        raise KeyRefused(
            "the key has a passphrase: name a file that holds it in key.passphrase_file"
        )
    passphrase: str = click.prompt("Passphrase of the key", hide_input=True, err=True)
    return passphrase
