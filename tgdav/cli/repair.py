"""`tgdav repair`: give every pack its promised sound replicas again."""

from dataclasses import asdict
from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import EX_DAMAGE, ask_passphrase, data_option, json_option, print_json
from tgdav.cli.progress import progress
from tgdav.maintenance.course import Course
from tgdav.maintenance.repair import Repaired, repair
from tgdav.maintenance.turn import turn


@click.command(
    epilog="Exit codes: 0 all is as promised · 3 something is lost or short still, or a dry run "
    "has found work · 75 another job is at it · others: tgdav --help"
)
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@click.option("--no-scan", is_flag=True, help="Do not ask the stores what they have.")
@json_option
@data_option
def command(folder: Path, dry_run: bool, no_scan: bool, as_json: bool) -> None:
    """Make missing replicas, replace bad ones, adopt what no row mentions.

    May run beside a server, which does the same by the clock. Deletes nothing that
    anybody may need: a bad replica goes when a whole one takes its place.
    """
    with (
        app.opened(folder, passphrase=ask_passphrase) as drive,
        turn(drive.db) as check,
        progress("repair") as tell,
    ):
        if not dry_run:
            drive.vault.require_current()
        course = Course(progress=tell, go_on=check)
        scan = not no_scan
        done = repair(drive.vault.workshop, drive.scratch, course, scan=scan, dry_run=dry_run)
    if as_json:
        print_json(asdict(done))
    else:
        _tell(done, "to be " if dry_run else "")
    is_left = bool(done.lost or done.short)
    is_found = dry_run and bool(done.tidied or done.suspected or done.adopted or done.mended)
    raise SystemExit(EX_DAMAGE if is_left or is_found or done.doubles * dry_run else 0)


def _tell(done: Repaired, to_be: str) -> None:
    for count, what in (
        (done.tidied, f"rows {to_be}tidied"),
        (done.suspected, f"replicas {to_be}marked, as their stores have them not"),
        (done.doubles, f"double replicas {to_be}settled"),
        (done.adopted, f"replicas {to_be}adopted"),
        (done.mended, f"packs {to_be}mended"),
        (done.made, "replicas made"),
        (done.replaced, "replicas replaced"),
        (done.short, "packs have fewer replicas than promised still"),
        (len(done.lost), "packs are lost: tgdav fsck names the files"),
    ):
        if count:
            click.echo(f"{count} {what}")
    if done.trouble:
        click.echo(done.trouble, err=True)
