"""`tgdav scrub`: whether every replica is still what was kept, down to the last byte."""

from dataclasses import asdict
from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import (
    EX_DAMAGE,
    NUMBER,
    Span,
    ask_passphrase,
    data_option,
    json_option,
    print_json,
)
from tgdav.cli.progress import progress
from tgdav.maintenance.course import Course
from tgdav.maintenance.scrub import Scrubbed, scrub
from tgdav.web.page import readable


@click.command(
    epilog="Exit codes: 0 all sound · 1 some out of reach · 3 some bad · others: tgdav --help"
)
@click.option(
    "--older-than",
    "days",
    type=Span(36500),
    default=0.0,
    help="Pass over what was read in the last so many days.",
)
@click.option(
    "--rate",
    type=NUMBER,
    default=0,
    help="Most bytes to read in a second; 0: no bound.",
)
@json_option
@data_option
def command(folder: Path, days: float, rate: int, as_json: bool) -> None:
    """Read every replica and open every block in it, the longest unread first.

    May run beside a server, and be ended at any time: the next run goes on from there. A
    bad replica is not read any more where there is another; `tgdav repair` replaces it.
    """
    with (
        app.opened(folder, passphrase=ask_passphrase) as drive,
        progress("scrub", in_bytes=True) as tell,
    ):
        course = Course(rate, progress=tell)
        found = scrub(drive.vault.workshop, course, older_than_s=days * 86400)
    if as_json:
        print_json(asdict(found))
    else:
        _tell(found)
    raise SystemExit(EX_DAMAGE if found.bad_count else int(found.out_of_reach > 0))


def _tell(found: Scrubbed) -> None:
    click.echo(f"{found.replicas} replicas are sound, {readable(found.bytes)}")
    for pack, store in found.bad:
        click.echo(f"bad: pack {pack} in store {store}")
    if found.bad_count:
        click.echo(f"{found.bad_count} replicas are bad; tgdav repair replaces them")
    if found.out_of_reach:
        click.echo(f"{found.out_of_reach} replicas could not be read now")
