"""`tgdav versions`: what a file had before, and how to have it again."""

from datetime import UTC, datetime
from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import NUMBER, ask_passphrase, data_option, json_option, print_json
from tgdav.tree.history import Kept
from tgdav.tree.paths import parse
from tgdav.tree.permit import Permit
from tgdav.web.page import readable


@click.command()
@click.argument("path")
@click.option("--restore", "wanted", type=NUMBER, metavar="N", help="Give the file this version.")
@json_option
@data_option
def command(folder: Path, path: str, wanted: int | None, as_json: bool) -> None:
    """List the versions of the file at PATH, the newest first, or restore one.

    A restored version becomes the newest one; what the file had until then is kept like
    any other. A deleted file is in the trash: tgdav trash.
    """
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        if wanted is not None:
            drive.tree.history.revert(parse(path), wanted, Permit(""))
        kept = drive.tree.history.of(parse(path))
    if as_json:
        print_json([_facts(each) for each in kept])
        return
    for each in kept:
        click.echo(_line(each))


def _line(kept: Kept) -> str:
    node = kept.node
    until = "now" if kept.retired_ns is None else "until " + _date(kept.retired_ns)
    return (
        f"{node.version}\t{_date(node.modified_ns)}\t{node.owner}\t{readable(node.size)}\t{until}"
    )


def _facts(kept: Kept) -> dict[str, object]:
    node = kept.node
    return {
        "version": node.version,
        "size": node.size,
        "etag": node.etag,
        "owner": node.owner,
        "modified_ns": node.modified_ns,
        "retired_ns": kept.retired_ns,
    }


def _date(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
