"""One file per command: parse, call, print, exit code."""

from tgdav.cli.frame import main

__all__ = ["main"]
