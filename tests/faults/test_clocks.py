"""Hosts whose clocks are two minutes wrong: no live job is doubled, no reminder is early or late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker
from jobqueue.sql.clock import database_now
from settlements.models import ReminderDelivery, Settlement
from tests.conftest import StartWorker, wait_until
from tests.workload.conditions import CLOCK_OFFSET
from tests.workload.fixtures import Workload, note, wait_until_done

LATE = timedelta(seconds=10)
"""How late a reminder may be."""
WRONG_CLOCKS = ["120", "-120"]
# The heartbeat's clock for tests that do not measure it.
QUICK = {"HEARTBEAT_INTERVAL": 0.5, "WORKER_SILENCE": 2}

each_clock = pytest.mark.parametrize("offset", WRONG_CLOCKS)


def in_time(job: Job) -> bool:
    """Whether the job started when it was due, by the database's clock."""
    job.refresh_from_db()
    assert job.started_at is not None
    return timedelta(0) <= job.started_at - job.run_at <= LATE


@pytest.fixture
def wrong_clock_here(offset: str) -> Iterator[None]:
    """The clock of this process, which saves and enqueues, is wrong."""
    wrong = timezone.now() + timedelta(seconds=float(offset))
    with time_machine.travel(wrong, tick=True):
        yield


def silence_would_have_been_noticed(begin: Worker) -> bool:
    """Whether three times as long has passed as makes a silent worker count as gone."""
    return database_now("default") - begin.heartbeat_at > timedelta(seconds=3 * QUICK["WORKER_SILENCE"])


@pytest.mark.parametrize("who", ["the one that runs the job", "the other one"])
@each_clock
def test_a_live_job_is_not_taken_from_its_worker(
    offset: str, who: str, rqworker: StartWorker, workload: Workload
) -> None:
    runs, watches = (offset, "0") if who == "the one that runs the job" else ("0", offset)
    rqworker("--processes", "1", jobqueue=QUICK, **{CLOCK_OFFSET: runs})
    job = enqueue("workload.wait", name="slow")
    workload.wait_for_start("slow")
    begin = Worker.objects.get()
    rqworker("--processes", "1", jobqueue=QUICK, **{CLOCK_OFFSET: watches})

    wait_until(lambda: silence_would_have_been_noticed(begin))
    workload.open_gate("slow")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("completed", 1, 0)
    assert workload.effects() == {"slow": 1}
    assert len(workload.start_times("slow")) == 1


@each_clock
def test_a_delayed_job_starts_in_time_on_a_worker_whose_clock_is_wrong(
    offset: str, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", **{CLOCK_OFFSET: offset})
    jobs = [
        note("by delay", "reminders", delay=2),
        note("by time", "reminders", run_at=database_now("default") + timedelta(seconds=2)),
    ]

    workload.wait_for_effects(2)
    assert all(map(in_time, jobs))
    # Its clock really is wrong.
    error = workload.start_times("by delay")[0] - database_now("default").timestamp()
    assert error == pytest.approx(float(offset), abs=10)


@each_clock
def test_a_retry_comes_in_time_on_a_worker_whose_clock_is_wrong(
    offset: str, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker("--processes", "1", **{CLOCK_OFFSET: offset})
    job = enqueue("workload.fail_fast", name="unlucky")
    wait_until_done()

    assert in_time(job)
    assert job.attempt == 4


@each_clock
def test_a_job_enqueued_by_a_process_whose_clock_is_wrong_starts_in_time(
    offset: str, rqworker: StartWorker, workload: Workload, wrong_clock_here: None
) -> None:
    rqworker("--processes", "1")
    due = database_now("default") + timedelta(seconds=2)
    jobs = [note("by delay", "reminders", delay=2), note("by time", "reminders", run_at=due)]

    workload.wait_for_effects(2)
    assert jobs[1].run_at == due
    assert all(map(in_time, jobs))


# The reminders of settlements ----------------------------------------------------------------------


def went_out_at(settlement: Settlement, reminder_type: str) -> datetime:
    """When that reminder of the settlement went out, by the database's clock, once it did."""

    def job() -> Job | None:
        reminders = Job.objects.about(settlement).filter(processor="reminders.send", state="completed")
        return reminders.filter(payload__reminder_type=reminder_type).order_by("-pk").first()

    found = wait_until(job, timeout=20)
    assert (found.reason, found.started_at is None) == ("", False)
    assert ReminderDelivery.objects.filter(settlement=settlement, reminder_type=reminder_type).exists()
    return found.started_at  # type: ignore[no-any-return]


@each_clock
def test_the_reminders_of_a_settlement_go_out_in_time_on_a_worker_whose_clock_is_wrong(
    offset: str, rqworker: StartWorker, workload: Workload, make_settlement: Callable[..., Settlement]
) -> None:
    rqworker("--processes", "1", EMAIL_URL="memorymail://", **{CLOCK_OFFSET: offset})
    created = database_now("default")
    settlement = make_settlement(due_date=created + timedelta(seconds=3))

    assert created <= went_out_at(settlement, "initial") <= created + LATE
    assert settlement.due_date <= went_out_at(settlement, "final") <= settlement.due_date + LATE


@each_clock
def test_the_first_reminder_of_a_settlement_saved_under_a_wrong_clock_goes_out_in_time(
    offset: str,
    rqworker: StartWorker,
    workload: Workload,
    wrong_clock_here: None,
    make_settlement: Callable[..., Settlement],
) -> None:
    rqworker("--processes", "1", EMAIL_URL="memorymail://")
    created = database_now("default")
    settlement = make_settlement(due_date=created + timedelta(days=10))

    assert created <= went_out_at(settlement, "initial") <= created + LATE


@each_clock
def test_the_reminder_at_a_due_date_that_was_moved_under_a_wrong_clock_goes_out_in_time(
    offset: str,
    rqworker: StartWorker,
    workload: Workload,
    make_settlement: Callable[..., Settlement],
) -> None:
    rqworker("--processes", "1", EMAIL_URL="memorymail://")
    settlement = make_settlement()
    went_out_at(settlement, "initial")
    with time_machine.travel(timezone.now() + timedelta(seconds=float(offset)), tick=True):
        settlement.due_date = database_now("default") + timedelta(seconds=3)
        settlement.save()

    assert settlement.due_date <= went_out_at(settlement, "final") <= settlement.due_date + LATE
