"""`tgdav fsck`: whether all that is recorded fits together, and the stores have it."""

from collections import Counter
from pathlib import Path

import click

from tgdav import app
from tgdav.cli.frame import EX_DAMAGE, ask_passphrase, data_option, json_option, print_json
from tgdav.cli.progress import progress
from tgdav.maintenance.course import Course
from tgdav.maintenance.fsck import SENTENCES, Finding, fsck

NAMED = 1000
"""Findings that `--json` names one by one; it counts all."""


@click.command(epilog="Exit codes: 0 nothing found · 3 something found · others: tgdav --help")
@click.option("--no-scan", is_flag=True, help="Do not ask the stores what they have.")
@json_option
@data_option
def command(folder: Path, no_scan: bool, as_json: bool) -> None:
    """Check the metadata against itself and against the stores. Changes nothing.

    May run beside a server. What the packs hold is read by `tgdav scrub`; what is found
    is put right, where that can be, by `tgdav repair`.
    """
    kinds: Counter[str] = Counter()
    named: list[Finding] = []
    with app.opened(folder, passphrase=ask_passphrase) as drive, progress("fsck") as tell:
        course = Course(progress=tell)
        for finding in fsck(drive.vault.workshop, course, scan=not no_scan):
            kinds[finding.kind] += 1
            if not as_json:
                click.echo(f"{finding.kind}: {finding.what}")
            elif len(named) < NAMED:
                named.append(finding)
    if as_json:
        print_json({"found": kinds, "named": [finding._asdict() for finding in named]})
    else:
        _sum_up(kinds)
    raise SystemExit(EX_DAMAGE if kinds else 0)


def _sum_up(kinds: Counter[str]) -> None:
    if not kinds:
        click.echo("nothing found")
    for kind, count in kinds.most_common():
        click.echo(f"{count} times: {SENTENCES[kind]}")
