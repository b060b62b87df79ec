"""How far a job is, for a person who waits: on standard error, if that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tgdav.blocks.progress import unseen
from tgdav.maintenance.course import Progress
from tgdav.web.page import readable

EVERY_S = 0.2


@contextmanager
def progress(what: str, *, in_bytes: bool = False) -> Iterator[Progress]:
    """Tell of `what` inside; a line that is written over, and gone in the end."""
    with progress_line(in_bytes=in_bytes) as tell:
        yield lambda done, of: tell(what, done, of)


@contextmanager
def progress_line(*, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """The same for work in stages: give one's name, how much is done, of how much (0: unknown)."""
    if not sys.stderr.isatty():
        yield lambda stage, done, of: None
        return
    due = 0.0

    def tell(stage: str, done: int, of: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + EVERY_S
            amount = readable(done) if in_bytes else f"{done:,}" + (f" of {of:,}" if of else "")
            click.echo(f"\r{stage}: {amount}\033[K", err=True, nl=False)

    try:
        yield tell
    finally:
        click.echo("\r\033[K", err=True, nl=False)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A bar on standard error, if that is a terminal; full when the work is done."""
    if not sys.stderr.isatty():
        yield unseen
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield tell
        # A server may have been quicker than we looked, or nothing was to be done.
        bar.update((bar.length or 1) - bar.pos)
