"""How far long work is, where a person is looking."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click

EVERY_S = 0.2


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what a job tells how much of how much is done; silent unless on a terminal."""
    is_seen = sys.stderr.isatty()
    due = time.monotonic() + EVERY_S

    def step(done: int, of: int) -> None:
        nonlocal due
        if is_seen and time.monotonic() >= due:
            due = time.monotonic() + EVERY_S
            figures = f"{done:,} of {of:,}" if of else f"{done:,}"
            click.echo(f"\r\033[K{label} {figures}", nl=False, err=True)

    try:
        yield step
    finally:
        if is_seen:
            click.echo("\r\033[K", nl=False, err=True)
