"""`tgdav maintenance`: what a server does by the clock, and how to have it wait."""

import json
import time
from pathlib import Path
from typing import Any

import click

from tgdav import app
from tgdav.cli.frame import (
    EX_DAMAGE,
    Span,
    ask_passphrase,
    data_option,
    json_option,
    print_json,
)
from tgdav.errors import Refused
from tgdav.maintenance import turn
from tgdav.maintenance.schedule import Ran, asked, last_runs

JOBS = ("repair", "fsck", "scrub", "expire", "gc", "accounts")
TROUBLES = ("trouble", "troubles", "found", "bad_count", "out_of_reach", "lost", "short")
"""Facts that are empty where all is well."""


@click.group()
def command() -> None:
    """Show, run, pause and resume the jobs that a server runs by the clock."""


@command.command("list")
@json_option
@data_option
def show(folder: Path, as_json: bool) -> None:
    """List the jobs that ran, when, and what they said."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        runs, paused_s = last_runs(drive.db), turn.paused_s(drive.db)
    if as_json:
        print_json({"paused_s": paused_s, "jobs": [_facts(ran) for ran in runs]})
        return
    if paused_s:
        click.echo(f"paused for {paused_s:,.0f} s more")
    for ran in runs:
        facts = _facts(ran)
        ended = facts["ended_s_ago"]
        when = "not ended" if ended is None else f"{ended:,.0f} s ago"
        click.echo(f"{ran.name}\t{when}\t{json.dumps(ran.facts)}")


@command.command(epilog="Exit codes: 0 all is well · 3 there is trouble · 75 not done in time")
@click.argument("job", type=click.Choice(JOBS))
@click.option(
    "--wait",
    type=Span(365 * 86400, min_open=True),
    default=3600.0,
    show_default=True,
    help="Seconds to wait for it; it goes on after them.",
)
@json_option
@data_option
def run(folder: Path, job: str, wait: float, as_json: bool) -> None:
    """Have the server run a job now, and print what it says.

    A server has the accounts, so what lies in Telegram is in no other command's reach.
    """
    if not app.is_served(folder):
        raise Refused("no server serves this drive: the command of the job's name does it")
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        facts = asked(drive.db, job, wait).facts
    if as_json:
        print_json(facts)
    for name, value in () if as_json else facts.items():
        click.echo(f"{name}\t{json.dumps(value)}")
    raise SystemExit(EX_DAMAGE if any(facts.get(name) for name in TROUBLES) else 0)


@command.command()
@click.option(
    "--hours",
    type=Span(24 * 365, min_open=True),
    default=24.0,
    show_default=True,
    help="How long, from now.",
)
@data_option
def pause(folder: Path, hours: float) -> None:
    """Have no job run by the clock for a while; one that runs stops within seconds."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        turn.pause(drive.db, hours * 3600)


@command.command()
@data_option
def resume(folder: Path) -> None:
    """End the pause."""
    with app.opened(folder, passphrase=ask_passphrase) as drive:
        turn.resume(drive.db)


def _facts(ran: Ran) -> dict[str, Any]:
    ended_s_ago = None if ran.ended_ns is None else (time.time_ns() - ran.ended_ns) / 1e9
    begun_s_ago = None if ran.is_asked else (time.time_ns() - ran.begun_ns) / 1e9
    return {
        "name": ran.name,
        "begun_s_ago": begun_s_ago,
        "ended_s_ago": ended_s_ago,
        "facts": ran.facts,
    }
