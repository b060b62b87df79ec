"""How long work shows itself: one line on standard error, if somebody looks at it."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click

EVERY_S = 0.2


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows a stage, how much is done, and of how much (0: unknown)."""
    shown_at = 0.0

    def show(stage: str, done: int, of: int) -> None:
        nonlocal shown_at
        if sys.stderr.isatty() and time.monotonic() - shown_at >= EVERY_S:
            shown_at = time.monotonic()
            whole = f" of {of:,}" if of else ""
            click.echo(f"\r\x1b[K{stage}: {done:,}{whole}", err=True, nl=False)

    try:
        yield show
    finally:
        if shown_at:
            click.echo("\r\x1b[K", err=True, nl=False)
