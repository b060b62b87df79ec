"""What is done by the clock: one table of names, intervals and functions.

A job that deletes or adopts replicas takes the turn of `turn.STORES` for as long as it
runs, as the command of the same name does.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tgdav.blocks.rows import snapshots
from tgdav.blocks.workshop import Workshop
from tgdav.maintenance.course import Course
from tgdav.maintenance.expire import expire
from tgdav.maintenance.fsck import Finding, fsck
from tgdav.maintenance.gc import Graces, gc
from tgdav.maintenance.repair import Repaired, repair
from tgdav.maintenance.schedule import Job
from tgdav.maintenance.scrub import scrub
from tgdav.maintenance.turn import turn
from tgdav.tree.trash import Trash


@dataclass(frozen=True, slots=True)
class Plan:
    """How often; seconds. 0 is never, where the setting may say so."""

    repair_s: float = 60.0
    fsck_s: float = 86400.0
    scrub_s: float = 30 * 86400.0
    """In this time each replica is read once."""
    scrub_every_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long what is no longer named is kept, and how often that is asked; seconds."""

    keep_s: float
    graces: Graces
    expire_every_s: float = 3600.0
    gc_every_s: float = 6 * 3600.0


def jobs(workshop: Workshop, scratch: Path, plan: Plan) -> tuple[Job, ...]:
    """The jobs of a drive. `scratch` is a folder with room for a pack."""
    table = (
        Job("repair", plan.repair_s, lambda course: mended(workshop, scratch, course)),
        Job("fsck", plan.fsck_s, lambda course: checked(workshop, scratch, course)),
        Job("scrub", plan.scrub_every_s if plan.scrub_s else 0, _scrubbed(workshop, plan.scrub_s)),
    )
    return tuple(job for job in table if job.every_s)


def only_if(require: Callable[[], None], job: Job) -> Job:
    """The job, which does nothing where `require` raises."""

    def run(course: Course) -> Mapping[str, Any]:
        require()
        return job.run(course)

    return job._replace(run=run)


def clearing(
    workshop: Workshop,
    trash: Trash,
    keeping: Keeping,
    require_current: Callable[[], None] = lambda: None,
) -> tuple[Job, ...]:
    """The jobs that drop what is no longer named.

    `require_current` raises where the stores know more than this database.
    """
    table = (
        Job("expire", keeping.expire_every_s, lambda c: expired(workshop, trash, keeping, c)),
        Job("gc", keeping.gc_every_s, lambda c: collected(workshop, keeping, require_current, c)),
    )
    return tuple(job for job in table if job.every_s)


def mended(workshop: Workshop, scratch: Path, course: Course) -> Mapping[str, Any]:
    """Make the replicas that are owed, without asking the stores for all they have."""
    with turn(workshop.db):
        return asdict(repair(workshop, scratch, course, scan=False))


def checked(workshop: Workshop, scratch: Path, course: Course) -> Mapping[str, Any]:
    """Look for damage; if there is any, repair what can be."""
    found = tally(fsck(workshop, course))
    repaired: Repaired | None = None
    if found:
        with turn(workshop.db):
            repaired = repair(workshop, scratch, course)
    return {"found": found, "repaired": repaired and asdict(repaired)}


def expired(
    workshop: Workshop, trash: Trash, keeping: Keeping, course: Course
) -> Mapping[str, Any]:
    """Give up what was kept for its time."""
    patience_s = keeping.graces.uptime_s
    return asdict(
        expire(workshop.db, trash, course.step, keep_s=keeping.keep_s, grace_s=patience_s)
    )


def collected(
    workshop: Workshop, keeping: Keeping, require_current: Callable[[], None], course: Course
) -> Mapping[str, Any]:
    """Collect garbage, within the allowance; gc takes the turn by itself."""
    with workshop.db.read() as connection:
        floor = snapshots.needed_since(connection)
    done = gc(
        workshop,
        course.step,
        graces=keeping.graces,
        dry=False,
        floor=floor,
        spend=course.spend,
        require_current=require_current,
    )
    return asdict(done)


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each kind."""
    return dict(Counter(finding.kind for finding in findings))


def _scrubbed(workshop: Workshop, older_than_s: float) -> Callable[[Course], Mapping[str, Any]]:
    return lambda course: asdict(scrub(workshop, course, older_than_s=older_than_s))
