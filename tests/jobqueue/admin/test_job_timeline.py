"""One timeline of a job: its attempts, what operators did and what is to come, and nothing made up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from jobqueue.admin.job_timeline import MOST_ATTEMPTS, Step
from jobqueue.delivery.rescue import DID_NOT_YIELD
from jobqueue.models import AuditEntry, Job
from jobqueue.operating.words import absolute
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, confirm, make_job, make_worker, operator, page_of, text_of
from tests.jobqueue.models.test_bulk import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def begin() -> datetime:
    """When the story of the test began."""
    return database_now("default") - timedelta(hours=1)


def after(begin: datetime, seconds: float) -> datetime:
    return begin + timedelta(seconds=seconds)


def steps_of(client: Client, job: Job) -> list[Step]:
    """The timeline on the job's page."""
    steps: list[Step] = client.get(page_of(job)).context["timeline"]
    return steps


def told(step: Step) -> tuple[str, dict[str, str], str]:
    """What an attempt says: its label, how long it waited and ran, and its text."""
    return step.label, dict(step.facts), step.text


def test_the_steps_stand_in_their_order(admin_client: Client) -> None:
    now = database_now("default")
    job = make_job(
        created_at=now - timedelta(seconds=30),
        published_at=now - timedelta(seconds=29),
        run_at=now + timedelta(seconds=50),
    )
    assert [(step.label, step.after) for step in steps_of(admin_client, job)] == [
        ("Created", ""),
        ("Published", "1.0 s later"),
        ("Runs", "79 s later"),
    ]


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("ran past its time limit and could not be stopped", "Zeitlimit"),
        ("was asked to stop and did not yield, so its process was ended", "gab nicht nach"),
    ],
)
def test_what_the_queue_says_of_an_interruption_is_told_in_the_language_of_the_reader(
    admin_client: Client, message: str, word: str
) -> None:
    job = make_job("failed")
    add_attempt(job, error="JobInterrupted", message=message)
    add_attempt(job, 2, error="ValueError", message=message)

    steps = admin_client.get(page_of(job), headers={"accept-language": "de"}).context["timeline"]

    texts = {step.text for step in steps if step.kind == "attempt"}
    assert f"ValueError: {message}" in texts and f"JobInterrupted: {message}" not in texts
    assert any(text.startswith("JobInterrupted: ") and word in text for text in texts)


def test_each_attempt_says_how_long_it_waited_and_ran_where_and_what_went_wrong(
    admin_client: Client, begin: datetime
) -> None:
    worker = make_worker(name="worker-9")
    job = make_job(
        "completed", attempt=2, failures=1, created_at=begin, run_at=after(begin, 8), worker_id=worker.pk,
        started_at=after(begin, 9), finished_at=after(begin, 13),
    )  # fmt: skip
    add_attempt(
        job, 1, message="refused", worker_name="worker-1",
        started_at=after(begin, 2), finished_at=after(begin, 5), traceback="Traceback …",
    )  # fmt: skip
    _created, first, second = steps_of(admin_client, job)
    assert told(first) == (
        "Attempt 1",
        {"begun": "2.0 s after it was created", "ran": "3.0 s"},
        "ConnectionError: refused",
    )
    assert told(second) == ("Attempt 2", {"waited": "1.0 s since it was due", "ran": "4.0 s"}, "")
    assert (first.worker, second.worker) == ("worker-1", "worker-9")
    assert "jq-failed" in first.state and "jq-completed" in second.state
    assert absolute(after(begin, 5)) in first.time and absolute(after(begin, 2)) in first.began
    assert absolute(after(begin, 13)) in second.time and absolute(after(begin, 9)) in second.began


def test_the_last_failure_of_a_failed_job_stands_there_once(admin_client: Client, begin: datetime) -> None:
    times = {"started_at": after(begin, 1), "finished_at": after(begin, 2)}
    job = make_job("failed", attempt=1, failures=1, created_at=begin, **times)
    add_attempt(job, 1, **times)
    assert [step.label for step in steps_of(admin_client, job)] == ["Created", "Attempt 1"]


def test_a_run_that_goes_on_says_since_when(admin_client: Client) -> None:
    job = make_job("active", deadline_at=database_now("default") + timedelta(seconds=30))
    _created, run, limit = steps_of(admin_client, job)
    assert run.label == "Attempt 1" and "runs" in run.state and limit.label == "Time limit"


def test_what_operators_did_stands_between(admin_client: Client, begin: datetime) -> None:
    times = {"started_at": after(begin, 1), "finished_at": after(begin, 2)}
    job = make_job("failed", attempt=1, failures=1, created_at=begin, **times)
    add_attempt(job, 1, **times)
    confirm(admin_client, "retry", job)
    steps = steps_of(admin_client, job)
    assert [(step.label, step.who, step.text) for step in steps if step.kind == "action"] == [
        ("", "admin", "Retry: failed → waiting")
    ]
    assert [step.kind for step in steps] == ["event", "attempt", "action", "coming"]


def test_a_run_that_was_stopped_ends_behind_its_stop_and_is_said_to_be_stopped(
    admin_client: Client, begin: datetime
) -> None:
    times = {"started_at": after(begin, 1), "finished_at": after(begin, 71)}
    job = make_job("cancelled", failures=0, created_at=begin, stop_asked_at=after(begin, 60), **times)
    add_attempt(job, 1, "JobInterrupted", message=DID_NOT_YIELD, **times)
    about = {"object_type": "jobqueue.job", "object_id": str(job.pk), "jobs": 1, "job_ids": [job.pk]}
    AuditEntry.objects.create(who="anna", verb="Stop", text="Stop", at=after(begin, 60), **about)

    created, stop, run = steps_of(admin_client, job)

    assert (created.label, stop.text, run.label) == ("Created", "Stop", "Attempt 1")
    assert "stopped" in run.state and "failed" not in run.state
    page = text_of(admin_client.get(page_of(job)))
    assert str(absolute(after(begin, 71))) in page and str(absolute(after(begin, 1))) in page


def test_a_run_that_yielded_to_its_stop_is_said_to_be_stopped(admin_client: Client, begin: datetime) -> None:
    times = {"started_at": after(begin, 1), "finished_at": after(begin, 71)}
    job = make_job("cancelled", created_at=begin, stop_asked_at=after(begin, 60), **times)
    run = steps_of(admin_client, job)[-1]
    assert "stopped" in run.state and absolute(after(begin, 71)) in run.time


def test_attempts_that_left_no_row_are_named_and_nothing_is_made_up(
    admin_client: Client, begin: datetime
) -> None:
    job = make_job(
        "active", attempt=9, created_at=begin, run_at=after(begin, 90), started_at=after(begin, 91)
    )
    add_attempt(job, 3, started_at=after(begin, 50), finished_at=after(begin, 60))
    steps = steps_of(admin_client, job)[1:]
    assert [step.label or step.text[:15] for step in steps] == [
        "Attempts 1 to 2", "Attempt 3", "Attempts 4 to 8", "Attempt 9",
    ]  # fmt: skip
    assert dict(steps[1].facts) == {"waited": "unknown", "ran": "10 s"}
    assert dict(steps[3].facts)["waited"] == "1.0 s since it was due"


def test_an_older_row_without_its_start_says_that_this_is_unknown(admin_client: Client) -> None:
    job = make_job(attempt=2)
    add_attempt(job, 1, started_at=None)
    assert dict(steps_of(admin_client, job)[1].facts) == {"waited": "unknown", "ran": "unknown"}


def test_runs_that_met_an_absent_database_are_one_step(admin_client: Client, begin: datetime) -> None:
    job = make_job(attempt=5, created_at=begin)
    add_attempt(job, 4, "DatabaseUnavailable", started_at=after(begin, 1), finished_at=after(begin, 90))
    step = steps_of(admin_client, job)[1]
    assert (step.label, dict(step.facts)) == ("Up to attempt 4", {"ran": "89 s"})


def test_a_job_that_was_cancelled_before_its_run_has_no_attempt(admin_client: Client) -> None:
    steps = steps_of(admin_client, make_job("cancelled", reason="cancelled by anna: no"))
    assert [(step.label, step.text) for step in steps] == [
        ("Created", ""), ("Ended", "cancelled by anna: no"),
    ]  # fmt: skip


def test_of_very_many_attempts_the_last_are_shown_and_the_page_says_so(
    admin_client: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    job = make_job(attempt=MOST_ATTEMPTS + 6)
    for number in range(1, MOST_ATTEMPTS + 6):
        add_attempt(job, number)
    with django_assert_max_num_queries(15):
        steps = steps_of(admin_client, job)
    assert "before number 6 are not shown" in steps[0].text + steps[1].text
    assert sum(step.kind == "attempt" for step in steps) == MOST_ATTEMPTS


@pytest.mark.parametrize("state", ["delayed", "active", "completed", "failed", "cancelled"])
def test_the_page_takes_few_queries(
    state: str, settlement: Any, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    others = Job.objects.about(settlement)
    job = make_job(state, subject=others[0].subject, copied_from=others[1].pk)
    for number in (1, 2, 3):
        add_attempt(job, number)
    client = operator("view_job", "retry_job", "copy_job", "move_job", "settlements.view_settlement")
    client.get(page_of(job))
    with django_assert_max_num_queries(19):  # with both parts of permissions, and a savepoint of the test
        client.get(page_of(job))


def test_errors_are_masked_for_who_may_not_read_payloads() -> None:
    job = make_job(attempt=2)
    add_attempt(job, 1, message="pia@example.com is unknown", traceback="to pia@example.com")
    assert "pia@example.com" not in text_of(operator("view_job").get(page_of(job)))


def test_a_hostile_name_of_an_operator_is_escaped(admin_client: Client) -> None:
    job = make_job("failed")
    confirm(admin_client, "retry", job)
    AuditEntry.objects.update(text="Retry: <script>alert(1)</script>", who="<script>alert(2)</script>")
    assert "<script>alert" not in text_of(admin_client.get(page_of(job)))


def actions_on(client: Client, job: Job) -> list[tuple[str, str]]:
    """Who did what to it, as its page tells."""
    return [(step.who, step.text) for step in steps_of(client, job) if step.kind == "action"]


def test_what_operators_did_is_told_whatever_became_of_the_log_of_the_admin(admin_client: Client) -> None:
    jobs = [make_job("failed") for _ in range(2)]
    confirm(admin_client, "retry", *jobs)
    confirm(admin_client, "cancel", jobs[0])
    LogEntry.objects.all().delete()
    assert actions_on(admin_client, jobs[0]) == [
        ("admin", "Retry: failed → waiting"),
        ("admin", "Cancel: waiting → cancelled"),
    ]
    assert actions_on(admin_client, jobs[1]) == [("admin", "Retry: failed → waiting")]


def test_of_an_action_on_many_each_job_tells_what_it_was_to_it(admin_client: Client) -> None:
    now = database_now("default")
    jobs = [make_job("delayed", run_at=now + timedelta(hours=hours)) for hours in (1, 2)]
    confirm(admin_client, "run_now", *jobs)
    for job in jobs:
        said = f"Run now: delayed until {absolute(job.run_at)} → due now"
        assert actions_on(admin_client, job) == [("admin", said)]
    LogEntry.objects.all().delete()
    assert actions_on(admin_client, jobs[0]) == [("admin", "Run now")]


def test_an_action_on_other_jobs_is_none_of_this_one(admin_client: Client) -> None:
    others = [make_job("failed") for _ in range(2)]
    job = make_job("failed")
    confirm(admin_client, "retry", *others)
    AuditEntry.objects.create(who="x", verb="Pause", object_type="jobqueue.queue", object_id=str(job.pk))
    AuditEntry.objects.create(who="x", verb="Retry", object_type="jobqueue.job", job_ids={"odd": job.pk})
    assert actions_on(admin_client, job) == []


def test_a_bulk_action_that_retried_it_stands_between_its_attempts(
    admin_client: Client, begin: datetime
) -> None:
    job = make_job("failed", attempt=2, created_at=begin, started_at=after(begin, 30))
    for number in (1, 2):
        moments = {"started_at": after(begin, 10 * number), "finished_at": after(begin, 10 * number + 1)}
        add_attempt(job, number, **moments)
    action = ask(asked_by="pia", asked_at=after(begin, 15), reason="the server is back")
    Job.objects.filter(pk=job.pk).update(bulk_action=action.pk)
    said = [step.label or f"{step.who}: {step.text}" for step in steps_of(admin_client, job)]
    retry = f"pia: Retry, by bulk action #{action.pk}. Reason: the server is back"
    assert said == ["Created", "Attempt 1", retry, "Attempt 2"]
