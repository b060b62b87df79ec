"""Jobs by the clock, one at a time and on one gateway at a time.

What ran last is in the database, so it does not matter which gateway runs next. Knows
jobs by name, interval and function, not what they do.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from tgdav.blocks.rounds import Rounds
from tgdav.blocks.rows.tables import jobs
from tgdav.db import Database
from tgdav.errors import Busy, TgdavError
from tgdav.maintenance.course import Course, Stopped
from tgdav.maintenance.turn import LEASE_S, paused_s, turn
from tgdav.stores.pace import Pace

LOG = logging.getLogger(__name__)

SCHEDULE = "schedule"
TICK_S = 5.0
HOUR_S = 3600.0
FIRST_S = 60.0
"""How long a process serves before it runs the first job."""
ASKING_S = 0.25
"""How often somebody looks who waits for a job."""
REST_S = 5.0
"""How long a job that was busy rests; each further time in a row twice as long."""
REST_MOST_S = 600.0
"""Its bound, where whoever is busy asks for no more."""
LISTEN_S = 1.0
"""How often a running job is asked whether it was paused."""

_LAST = select(jobs.c.name, jobs.c.begun_ns, jobs.c.ended_ns, jobs.c.said)
_named = jobs.c.name == bindparam("of_name")
_BEGIN_AGAIN = update(jobs).where(_named).values(begun_ns=bindparam("at_ns"), ended_ns=None)
_BEGIN = insert(jobs).values(
    name=bindparam("of_name"), begun_ns=bindparam("at_ns"), ended_ns=None, said="{}"
)
# A run that was asked for began at no time yet.
_ASK_AGAIN = update(jobs).where(_named).values(begun_ns=0, ended_ns=None)
_ASK = insert(jobs).values(name=bindparam("of_name"), begun_ns=0, ended_ns=None, said="{}")
_END = update(jobs).where(_named).values(ended_ns=bindparam("at_ns"), said=bindparam("facts"))


class Job(NamedTuple):
    """Something to be done now and then."""

    name: str
    """At most 32 characters."""
    every_s: float
    """From the end of one run to the next."""
    run: Callable[[Course], Mapping[str, Any]]
    """Does it; returns plain facts. It works in steps of a `Course`, may be stopped at any
    of them, and raises `Busy` to be tried again later."""


class Ran(NamedTuple):
    """What is known of a job's last run."""

    name: str
    begun_ns: int
    ended_ns: int | None
    """None while it runs, or if its process died in it."""
    facts: dict[str, Any]

    @property
    def is_asked(self) -> bool:
        """True if somebody asked for a run that has not begun."""
        return self.begun_ns == 0


class _Rest(NamedTuple):
    """A job was busy."""

    until: float
    """The uptime from which it is tried again."""
    pause_s: float


class Schedule:
    """The jobs of one process. `gateway` is a name that the process before had, too."""

    def __init__(
        self,
        db: Database,
        table: Sequence[Job],
        gateway: str,
        *,
        bytes_per_s: int = 0,
        messages_per_hour: int = 0,
        tick_s: float = TICK_S,
        first_s: float = FIRST_S,
        lease_s: float = LEASE_S,
        clock: Callable[[], int] = time.time_ns,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._table = table
        self._gateway = gateway
        self._bytes_per_s = bytes_per_s
        self._puts = Pace(messages_per_hour, HOUR_S) if messages_per_hour else None
        self._lease_s = lease_s
        self._clock = clock
        self._uptime = uptime
        self._first = uptime() + first_s
        self._rests: dict[str, _Rest] = {}
        self._over = threading.Event()
        self._rounds = Rounds("maintenance", self._round, tick_s)

    def start(self) -> None:
        """Run what is due from now on, in a thread of its own."""
        if self._table:
            self._rounds.start()

    def close(self, grace_s: float) -> None:
        """Stop the running job at its next step; wait at most `grace_s` for it."""
        self._over.set()
        self._rounds.close(grace_s)

    def run_due(self, *, asked_only: bool = False) -> list[str]:
        """Run what is due now, unless it is another gateway's turn; the names of what ran.

        Raises `DatabaseBusy`.
        """
        ran: list[str] = []
        is_due = self._is_asked if asked_only else self._is_due
        if paused_s(self._db) or not any(map(is_due, self._table)):
            return ran
        try:
            with turn(self._db, SCHEDULE, self._gateway, self._lease_s) as check:
                for job in self._table:
                    if is_due(job) and self._try(job, check):
                        ran.append(job.name)
        except (Busy, Stopped):
            pass
        return ran

    def _round(self) -> None:
        self.run_due(asked_only=self._uptime() < self._first)

    def _try(self, job: Job, check: Callable[[], None]) -> bool:
        """Run it; False if it was busy, and rests."""
        try:
            self._run(job, check)
        except Busy as error:
            before = self._rests.get(job.name)
            pause_s = min(2 * before.pause_s, REST_MOST_S) if before else REST_S
            until = self._uptime() + max(pause_s, error.retry_after_s)
            self._rests[job.name] = _Rest(until, pause_s)
            return False
        self._rests.pop(job.name, None)
        return True

    def _is_asked(self, job: Job) -> bool:
        ran = last_run(self._db, job.name)
        return ran is not None and ran.is_asked

    def _is_due(self, job: Job) -> bool:
        ran = last_run(self._db, job.name)
        if ran is None or ran.is_asked:
            return True
        if ran.ended_ns is None:
            rest = self._rests.get(job.name)
            return rest is None or self._uptime() >= rest.until
        now = self._clock()
        # A clock that was set back shall not keep a job waiting for it.
        return ran.ended_ns > now or now - ran.ended_ns >= job.every_s * 1e9

    def _run(self, job: Job, check: Callable[[], None]) -> None:
        """Run it and write down how it went; a run that was stopped is due still."""
        self._db.write(lambda connection: _begin(connection, job.name, self._clock()))
        listening = _Listening(self._db, self._over, check)
        course = Course(self._bytes_per_s, puts=self._puts, go_on=listening.go_on)
        try:
            facts = dict(job.run(course))
        except (Busy, Stopped) as error:
            LOG.info("%s: goes on later: %s", job.name, error or "stopped")
            raise
        except TgdavError as error:
            LOG.warning("%s: %s", job.name, error)
            facts = {"trouble": str(error)}
        except Exception as error:
            LOG.exception("%s: ended early", job.name)
            facts = {"trouble": type(error).__name__}
        told = {"of_name": job.name, "at_ns": self._clock(), "facts": json.dumps(facts)}
        self._db.write(lambda connection: connection.execute(_END, told))


class _Listening:
    """Whether a job may go on: asked often, found out now and then."""

    def __init__(self, db: Database, over: threading.Event, check: Callable[[], None]) -> None:
        self._db = db
        self._over = over
        self._check = check
        self._due = 0.0

    def go_on(self) -> None:
        """Raise `Stopped` if not."""
        self._check()
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LISTEN_S
            if paused_s(self._db):
                raise Stopped
        if self._over.is_set():
            raise Stopped


def last_runs(db: Database) -> list[Ran]:
    """What is known of each job that ever ran."""
    with db.read() as connection:
        rows = connection.execute(_LAST.order_by(jobs.c.name)).all()
    return [Ran(name, begun, ended, json.loads(said)) for name, begun, ended, said in rows]


def last_run(db: Database, name: str) -> Ran | None:
    """What is known of one job, if it ever ran or was asked for."""
    return next((ran for ran in last_runs(db) if ran.name == name), None)


def asked(db: Database, name: str, patience_s: float) -> Ran:
    """Have a process that serves the drive run the job at once; how it went.

    Raises `Busy` if none has done it after `patience_s`, or the jobs are paused.
    """
    if wait_s := paused_s(db):
        raise Busy(
            f"the jobs are paused for {wait_s:,.0f} s more: tgdav maintenance resume", wait_s
        )
    _ask(db, name)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        ran = last_run(db, name)
        if ran and ran.ended_ns is not None and ran.is_asked:
            _ask(db, name)  # that run had begun before we asked
        elif ran and ran.ended_ns is not None:
            return ran
        time.sleep(ASKING_S)
    raise Busy(f"the server has not done it in {patience_s:.0f} s: are its jobs enabled?")


def _ask(db: Database, name: str) -> None:
    told = {"of_name": name}

    def work(connection: Connection) -> None:
        if not connection.execute(_ASK_AGAIN, told).rowcount:
            connection.execute(_ASK, told)

    db.write(work)


def _begin(connection: Connection, name: str, at_ns: int) -> None:
    told = {"of_name": name, "at_ns": at_ns}
    if not connection.execute(_BEGIN_AGAIN, told).rowcount:
        connection.execute(_BEGIN, told)
