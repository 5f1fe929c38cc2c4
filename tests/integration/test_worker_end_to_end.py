"""Jobs from the save to their effect, with nothing running but `manage.py rqworker`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User

from jobqueue.jobs import enqueue
from jobqueue.models import Job
from settlements.models import EmailDelivery, Settlement
from tests.conftest import StartWorker, wait_until
from tests.servers import subprocess_environment
from tests.settlements.smtp import Mailbox, smtp_server
from tests.workload.fixtures import Workload, note, note_jobs, wait_until_done
from tests.workload.processors import QUEUES

# How late the relay may be: it looks once a second, and the machine is busy.
PICK_UP = 1.5


@pytest.fixture
def no_delays(settings: LazySettings) -> None:
    """Nobody waits for the next changes of a settlement, or for the morning."""
    settings.SETTLEMENTS = {"NOTIFICATION_DELAY": 0, "REMINDERS": {"QUIET_HOURS": None}}


def test_a_saved_settlement_becomes_emails(
    rqworker: StartWorker,
    make_settlement: Callable[..., Settlement],
    payer: User,
    payee: User,
    no_delays: None,
) -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as (host, port):
        rqworker(EMAIL_URL=f"smtp://{host}:{port}", REMINDER_QUIET_HOURS="off")
        make_settlement(description="Dinner in Lisbon")
        # The notification to both, and the first reminder to the payer.
        wait_until(lambda: len(mailbox.messages) >= 3)
        wait_until(lambda: EmailDelivery.objects.filter(status="sent").count() >= 3)

    recipients = Counter(str(message["To"]) for message in mailbox.messages)
    assert recipients == {payer.email: 2, payee.email: 1}


def test_an_email_says_what_it_is_about(
    rqworker: StartWorker, make_settlement: Callable[..., Settlement], no_delays: None
) -> None:
    mailbox = Mailbox()
    with smtp_server(mailbox) as (host, port):
        rqworker(EMAIL_URL=f"smtp://{host}:{port}")
        make_settlement(description="Dinner in Lisbon")
        wait_until(lambda: mailbox.messages)

    body = mailbox.messages[0].get_body(("plain",))
    assert body is not None
    assert "Dinner in Lisbon" in body.get_content()


def test_jobs_of_every_queue_run(rqworker: StartWorker, workload: Workload) -> None:
    rqworker()

    for queue in QUEUES:
        note(f"in {queue}", queue)

    assert workload.wait_for_effects(3) == {f"in {queue}": 1 for queue in QUEUES}


def test_a_lone_job_starts_at_once(rqworker: StartWorker, workload: Workload) -> None:
    rqworker()
    note("warm-up")
    workload.wait_for_effects(1)

    lateness = []
    for number in range(10):
        job = note(f"job-{number}")
        workload.wait_for_effects(number + 2)
        lateness.append(workload.start_times(f"job-{number}")[0] - job.created_at.timestamp())

    assert sorted(lateness)[5] < 0.1


def test_a_delayed_job_starts_on_time(rqworker: StartWorker, workload: Workload) -> None:
    rqworker()

    job = note("later", delay=2)
    workload.wait_for_start("later")

    lateness = workload.start_times("later")[0] - job.run_at.timestamp()
    assert 0 <= lateness < PICK_UP


def test_a_job_enqueued_with_a_nearer_time_does_not_wait_for_a_farther_one(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker()
    note("far", delay=600)

    job = note("near", delay=1)
    workload.wait_for_start("near")

    assert workload.start_times("near")[0] - job.run_at.timestamp() < PICK_UP


def test_a_job_that_was_due_while_no_worker_ran_starts_with_the_next_worker(
    rqworker: StartWorker, workload: Workload
) -> None:
    job = note("overdue", delay=0.05)
    wait_until(lambda: Job.objects.due().filter(pk=job.pk).exists())

    rqworker()

    assert workload.wait_for_effects(1) == {"overdue": 1}


def test_a_failing_job_runs_four_times_and_waits_longer_each_time(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker()

    enqueue("workload.fail", name="unlucky")
    for _ in range(4):
        workload.wait_for_start("unlucky")
    wait_until_done()

    gaps = [later - earlier for earlier, later in pairwise(workload.start_times("unlucky"))]
    assert len(gaps) == 3
    for gap, planned in zip(gaps, [1.0, 2.0, 4.0], strict=True):
        assert planned * 0.8 <= gap <= planned * 1.2 + PICK_UP


def test_a_job_that_used_up_its_retries_keeps_its_errors(rqworker: StartWorker, workload: Workload) -> None:
    rqworker()

    job = enqueue("workload.fail_fast", name="unlucky")
    wait_until_done()

    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == ("failed", 4, 4)
    assert [attempt.number for attempt in job.attempts.all()] == [1, 2, 3, 4]
    for attempt in job.attempts.all():
        assert (attempt.error_class, attempt.message) == ("ValueError", "no luck for unlucky")
        assert "in fail_fast" in attempt.traceback


def test_a_job_that_asks_for_another_time_runs_then_and_has_not_failed(
    rqworker: StartWorker, workload: Workload
) -> None:
    rqworker()

    job = enqueue("workload.later", name="patient", seconds=1.5)
    workload.wait_for_effects(1)
    wait_until_done()

    first, second = workload.start_times("patient")
    assert 1.5 <= second - first < 1.5 + PICK_UP
    job.refresh_from_db()
    assert (job.state, job.failures, job.attempts.count()) == ("completed", 0, 0)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_jobs_of_another_database_run(rqworker: StartWorker, workload: Workload) -> None:
    rqworker(OTHER_DATABASE_URL=subprocess_environment()["OTHER_DATABASE_URL"])

    job = note("elsewhere", using="other", delay=0.5)
    workload.wait_for_effects(1)

    wait_until(lambda: Job.objects.using("other").filter(pk=job.pk, state="completed").exists())
    assert not Job.objects.using("default").exists()


def test_two_workers_run_every_job_once(rqworker: StartWorker, workload: Workload) -> None:
    first, second = rqworker(wait=False), rqworker(wait=False)
    first.wait_until_ready()
    second.wait_until_ready()

    names = note_jobs(300)
    wait_until_done()

    assert workload.effects() == Counter(names)
    assert set(Job.objects.values_list("attempt", "state")) == {(1, "completed")}


def test_both_workers_take_part(rqworker: StartWorker, workload: Workload) -> None:
    for _ in range(2):
        rqworker("--processes", "1", "--threads", "1")

    jobs = [enqueue("workload.wait", name=name) for name in ("left", "right")]
    for name in ("left", "right"):
        workload.wait_for_start(name)

    workers = set(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("worker_id", flat=True))
    assert len(workers) == 2
    for name in ("left", "right"):
        workload.open_gate(name)
    wait_until_done()


def test_the_queue_named_first_goes_first(rqworker: StartWorker, workload: Workload) -> None:
    for number in range(3):
        note(f"second-{number}", "email")
        note(f"first-{number}", "reminders")

    rqworker(
        "--burst", "--processes", "1", "--threads", "1", queues=("reminders", "email"), wait=False
    ).wait()

    started = {name: workload.start_times(name)[0] for name in workload.effects()}
    assert max(started[f"first-{number}"] for number in range(3)) < min(
        started[f"second-{number}"] for number in range(3)
    )


def test_a_worker_leaves_other_queues_alone(rqworker: StartWorker, workload: Workload) -> None:
    job = note("not mine", "reminders")
    note("mine", "email")

    rqworker("--burst", queues=("email",), wait=False).wait()

    job.refresh_from_db()
    assert workload.effects() == {"mine": 1}
    assert job.state == "waiting"


def test_a_time_in_the_past_means_now(rqworker: StartWorker, workload: Workload) -> None:
    rqworker()

    note("past", delay=timedelta(hours=-1))

    workload.wait_for_effects(1, timeout=5)
