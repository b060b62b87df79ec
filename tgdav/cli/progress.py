"""How far a job is, for a person who waits: on standard error, if that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from tgdav.maintenance.course import Progress
from tgdav.web.page import readable


@contextmanager
def progress(what: str, *, in_bytes: bool = False) -> Iterator[Progress]:
    """Tell of `what` inside; a line that is written over, and gone in the end."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return

    def tell(done: int, of: int) -> None:
        amount = readable(done) if in_bytes else f"{done:,}" + (f" of {of:,}" if of else "")
        click.echo(f"\r{what}: {amount}\033[K", err=True, nl=False)

    try:
        yield tell
    finally:
        click.echo("\r\033[K", err=True, nl=False)
