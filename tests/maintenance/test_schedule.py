"""Jobs run when they are due, on one gateway at a time, and stop when they are told to."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.blocks.room import content, until
from tests.maintenance.ward import KIB, Ward
from tgdav.db import Database
from tgdav.errors import Busy, StoreBusy, StoreError
from tgdav.maintenance import turn
from tgdav.maintenance.course import Course
from tgdav.maintenance.jobs import Plan, jobs
from tgdav.maintenance.schedule import Job, Schedule, asked, last_runs

HOUR_NS = 3600 * 10**9


class Rig:
    """Two gateways on one database, and a clock to turn."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = 10**18
        self.ran: list[str] = []

    def gateway(self, *table: Job, name: str = "one", **options: Any) -> Schedule:
        return Schedule(self.db, table, name, clock=lambda: self.now, **options)

    def job(self, name: str, every_s: float = 3600.0, error: Exception | None = None) -> Job:
        def run(course: Course) -> Mapping[str, Any]:
            course.step()
            self.ran.append(name)
            if error:
                raise error
            return {"done": len(self.ran)}

        return Job(name, every_s, run)


@pytest.fixture
def rig(db: Database) -> Rig:
    return Rig(db)


def test_a_job_runs_when_it_is_due_and_not_before(rig: Rig) -> None:
    schedule = rig.gateway(rig.job("a"), rig.job("b", 7200))
    assert schedule.run_due() == ["a", "b"]
    assert schedule.run_due() == []
    rig.now += HOUR_NS
    assert schedule.run_due() == ["a"]
    rig.now += HOUR_NS
    assert schedule.run_due() == ["a", "b"]
    (a, _) = last_runs(rig.db)
    assert (a.name, a.begun_ns, a.ended_ns, a.facts) == ("a", rig.now, rig.now, {"done": 4})


def test_what_one_gateway_ran_another_does_not(rig: Rig) -> None:
    assert rig.gateway(rig.job("a")).run_due() == ["a"]
    assert rig.gateway(rig.job("a"), name="two").run_due() == []


def test_two_gateways_never_run_jobs_at_once(rig: Rig) -> None:
    other: list[list[str]] = []

    def run(course: Course) -> Mapping[str, Any]:
        other.append(rig.gateway(rig.job("b"), name="two").run_due())
        return {}

    assert rig.gateway(Job("a", 1, run)).run_due() == ["a"]
    assert other == [[]]


def test_what_a_killed_process_began_its_successor_begins_again_at_once(rig: Rig) -> None:
    def die(course: Course) -> Mapping[str, Any]:
        raise SystemExit

    with pytest.raises(SystemExit):
        rig.gateway(Job("a", 3600, die)).run_due()
    assert last_runs(rig.db)[0].ended_ns is None
    assert rig.gateway(rig.job("a")).run_due() == ["a"]


def test_all_runs_share_one_allowance_of_messages(rig: Rig) -> None:
    may: list[bool] = []

    def run(course: Course) -> Mapping[str, Any]:
        may.append(course.may_put)
        course.count_put()
        return {}

    schedule = rig.gateway(Job("a", 1, run), messages_per_hour=2)
    for _ in range(3):
        schedule.run_due()
        rig.now += HOUR_NS
    assert may == [True, True, False]


def test_a_clock_that_is_set_back_does_not_stop_the_jobs(rig: Rig) -> None:
    schedule = rig.gateway(rig.job("a"))
    schedule.run_due()
    rig.now -= 24 * 365 * HOUR_NS
    assert schedule.run_due() == ["a"]
    assert schedule.run_due() == []


def test_trouble_is_written_down_and_keeps_no_other_job_from_running(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = rig.gateway(
        rig.job("a", error=StoreError("the disk is gone")),
        rig.job("b", error=ZeroDivisionError()),
        rig.job("c"),
    )
    assert schedule.run_due() == ["a", "b", "c"]
    facts = [ran.facts for ran in last_runs(rig.db)]
    assert facts == [{"trouble": "the disk is gone"}, {"trouble": "ZeroDivisionError"}, {"done": 3}]
    assert schedule.run_due() == []


def test_a_job_whose_turn_it_is_not_is_tried_again_soon(rig: Rig) -> None:
    rig.gateway(rig.job("a", error=Busy("gc is at it"))).run_due()
    assert rig.gateway(rig.job("a")).run_due() == ["a"]


def test_a_busy_job_rests_and_keeps_no_other_from_running(rig: Rig) -> None:
    seconds = [0.0]
    table = (rig.job("a", error=StoreBusy("flood wait", 3000.0)), rig.job("b", 0))
    schedule = rig.gateway(*table, uptime=lambda: seconds[0])
    for seconds[0], ran in ((0, "ab"), (2990, "b"), (3010, "ab"), (3020, "b")):
        schedule.run_due()
        assert "".join(rig.ran) == ran
        rig.ran.clear()
    assert [ran.ended_ns is None for ran in last_runs(rig.db)] == [True, False]


def test_a_job_that_is_busy_again_and_again_rests_longer_each_time(rig: Rig) -> None:
    seconds = [0.0]
    schedule = rig.gateway(rig.job("a", error=Busy("gc is at it", 0.0)), uptime=lambda: seconds[0])
    for seconds[0] in range(1000):
        schedule.run_due()
    assert 5 <= len(rig.ran) <= 10


def test_a_busy_job_that_is_asked_for_is_tried_at_once(rig: Rig) -> None:
    schedule = rig.gateway(rig.job("a", error=StoreBusy("flood wait", 3000.0)))
    schedule.run_due()
    with pytest.raises(Busy):
        asked(rig.db, "a", 0.1)
    schedule.run_due()
    assert rig.ran == ["a", "a"]


def test_a_pause_holds_on_every_gateway_and_ends_by_itself_or_by_word(rig: Rig) -> None:
    turn.pause(rig.db, 3600)
    assert 3590 < turn.paused_s(rig.db) <= 3600
    assert rig.gateway(rig.job("a")).run_due() == []
    assert rig.gateway(rig.job("a"), name="two").run_due() == []
    turn.resume(rig.db)
    assert turn.paused_s(rig.db) == 0
    turn.pause(rig.db, 0.05)
    time.sleep(0.1)
    assert rig.gateway(rig.job("a")).run_due() == ["a"]


def endless(begun: threading.Event) -> Job:
    def run(course: Course) -> Mapping[str, Any]:
        while True:
            begun.set()
            course.step()
            time.sleep(0.01)

    return Job("endless", 1, run)


def test_a_running_job_stops_for_a_pause(rig: Rig) -> None:
    begun = threading.Event()
    thread = threading.Thread(target=rig.gateway(endless(begun)).run_due)
    thread.start()
    assert begun.wait(10)
    turn.pause(rig.db, 60)
    thread.join(10)
    assert not thread.is_alive()


def test_closing_stops_the_running_job(rig: Rig) -> None:
    begun = threading.Event()
    schedule = rig.gateway(endless(begun), tick_s=0.01, first_s=0)
    schedule.start()
    assert begun.wait(10)
    started = time.monotonic()
    schedule.close(10)
    assert time.monotonic() - started < 5


def test_a_process_that_has_just_started_serves_first(rig: Rig) -> None:
    schedule = rig.gateway(rig.job("a"), tick_s=0.01, first_s=3600)
    schedule.start()
    time.sleep(0.1)
    schedule.close(10)
    assert rig.ran == []


def test_a_job_that_is_asked_for_runs_at_once(rig: Rig) -> None:
    schedule = rig.gateway(rig.job("a"), rig.job("b"), tick_s=0.01, first_s=3600)
    schedule.start()
    try:
        assert asked(rig.db, "a", 20).facts == {"done": 1}
        assert asked(rig.db, "a", 20).facts == {"done": 2}
    finally:
        schedule.close(10)
    assert rig.ran == ["a", "a"]


def test_a_run_that_began_before_it_was_asked_for_is_not_taken(rig: Rig) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def run(_course: Course) -> Mapping[str, Any]:
        begun.set()
        assert go_on.wait(20)
        rig.ran.append("a")
        return {"done": len(rig.ran)}

    schedule = rig.gateway(Job("a", 3600, run), tick_s=0.01, first_s=0)
    schedule.start()
    try:
        assert begun.wait(10)
        threading.Timer(0.5, go_on.set).start()
        assert asked(rig.db, "a", 20).facts == {"done": 2}
    finally:
        schedule.close(10)


def test_nobody_is_waited_for_who_does_no_jobs(rig: Rig) -> None:
    with pytest.raises(Busy, match="are its jobs enabled"):
        asked(rig.db, "a", 0.1)
    turn.pause(rig.db, 60)
    with pytest.raises(Busy, match="paused"):
        asked(rig.db, "a", 20)


# ---- the drive's own jobs


def test_the_jobs_heal_a_drive_without_a_person(ward: Ward) -> None:
    ward.fill()
    ward.flip(ward.by_pack()[0], 8 * 300)
    ward.kept[1].delete(ward.by_pack()[1:2])
    table = jobs(ward.room.vault.workshop, ward.folder / "spool", Plan(scrub_s=1e-9))
    now = [time.time_ns()]
    schedule = Schedule(ward.db, table, "one", clock=lambda: now[0])
    assert schedule.run_due() == ["repair", "fsck", "scrub"]
    now[0] += 60 * 10**9
    assert schedule.run_due() == ["repair"]
    assert ward.found() == set()
    assert ward.scrub().bad_count == 0
    facts = {ran.name: ran.facts for ran in last_runs(ward.db)}
    assert facts["fsck"]["found"] == {"replica_missing": 1}
    assert facts["scrub"]["bad_count"] == 1
    assert facts["repair"]["replaced"] == 1


def test_a_copy_that_a_store_missed_is_made_within_a_minute(ward: Ward) -> None:
    ward.room.pool.quorum = 1
    second = ward.room.stores[3]
    second.fail_put(1)
    second.fail_put(2)
    ward.drive.save("/a", content(100 * KIB, 4))
    ward.room.vault.flush()
    assert ward.found() == {"pack_short"}
    table = jobs(ward.room.vault.workshop, ward.folder / "spool", Plan(fsck_s=0, scrub_s=0))
    schedule = Schedule(ward.db, table, "one", tick_s=0.01, first_s=0)
    schedule.start()
    until(lambda: ward.found() == set())
    schedule.close(10)


def test_a_job_that_may_never_run_does_not() -> None:
    plan = Plan(fsck_s=0, scrub_s=0)
    assert [job.name for job in jobs(None, None, plan)] == ["repair"]  # type: ignore[arg-type]
