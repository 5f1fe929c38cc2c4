"""Each state has its own columns: what an operator asks of jobs in it, read at once for the page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin.job_columns import COLUMNS
from jobqueue.models import Job, Queue
from jobqueue.models.holding import hold_all
from jobqueue.operating.explain import explain, gather
from jobqueue.searching import OF_ANY_STATE, STATES
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import (
    FAILED,
    JOBS,
    STUCK,
    add_attempt,
    make_job,
    make_worker,
    rows_of,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def cells(client: Client, state: str) -> dict[str, str]:
    """What the only row of the list says, by column."""
    page = client.get(JOBS, {"state": state})
    changes = page.context["cl"]
    (job,) = rows_of(page)
    return {name: _cell(changes.model_admin, name, job) for name in changes.list_display[1:]}


def _cell(pages: Any, name: str, job: Job) -> str:
    return str(getattr(pages, name)(job)) if hasattr(pages, name) else str(getattr(job, name))


def test_every_state_has_columns_of_its_own(admin_client: Client) -> None:
    assert set(COLUMNS) == set(STATES) - set(OF_ANY_STATE)
    for state, columns in COLUMNS.items():
        shown = admin_client.get(JOBS, {"state": state}).context["cl"].list_display
        assert tuple(name for name in shown if name != "action_checkbox") == columns


@pytest.mark.parametrize(("url", "state"), [(FAILED, "failed"), (STUCK, "stuck")])
def test_the_list_of_one_state_has_the_columns_of_that_state(
    admin_client: Client, url: str, state: str
) -> None:
    assert tuple(admin_client.get(url).context["cl"].list_display[1:]) == COLUMNS[state]


@pytest.mark.parametrize("state", ["waiting", "delayed"])
def test_a_job_that_waits_says_why_as_its_own_page_does(admin_client: Client, state: str) -> None:
    Queue.objects.create(name="email", paused_at=database_now("default"))
    job = make_job(state, failures=1, attempt=2)
    add_attempt(job, error="SMTPServerDisconnected")
    assert explain(job, gather(job)) in cells(admin_client, state)["why"]


def test_why_it_waits_is_told_without_addresses(admin_client: Client) -> None:
    make_job("delayed", attempt=2, reason="anna@example.com is busy")
    assert "anna@example.com" not in cells(admin_client, "delayed")["why"]


def test_a_queue_at_its_limit_is_why_its_jobs_wait(admin_client: Client) -> None:
    Queue.objects.create(name="email", concurrency_limit=1)
    make_job("active")
    make_job("waiting")
    assert "no more than 1 jobs run at once" in cells(admin_client, "waiting")["why"]


def test_a_delayed_job_has_its_time_in_both_ways(admin_client: Client) -> None:
    job = make_job("delayed", run_at=database_now("default") + timedelta(hours=3, seconds=30))
    due = cells(admin_client, "delayed")["due"]
    assert f"{job.run_at:%Y-%m-%d}" in due
    assert "in 3 h" in due


def test_a_held_job_says_when_it_was_to_run_and_who_holds_it(admin_client: Client) -> None:
    job = make_job("delayed")
    hold_all(Job.objects.filter(pk=job.pk), "held by ops: wait for the bank")
    shown = cells(admin_client, "held")
    assert f"{job.run_at:%Y-%m-%d}" in shown["was_to_run"]
    assert "wait for the bank" in shown["shown_reason"]


def test_a_running_job_says_who_runs_it_for_how_long_and_of_what_limit(admin_client: Client) -> None:
    now = database_now("default")
    worker = make_worker(name="worker-7", hostname="web-3")
    make_job("active", worker_id=worker.pk, started_at=now - timedelta(minutes=3), timeout=600)
    shown = cells(admin_client, "active")
    assert ("worker-7" in shown["on_worker"], "web-3" in shown["on_worker"]) == (True, True)
    assert ">3 min<" in shown["running_for"]
    assert 'value="3" max="10"' in shown["of_limit"]
    assert "600 s" in shown["of_limit"]


def test_a_failed_job_says_its_error_when_it_failed_and_how_often_it_was_tried(admin_client: Client) -> None:
    make_job("failed")
    shown = cells(admin_client, "failed")
    assert "<strong>ConnectionError</strong> refused" in shown["error"]
    assert (">now<" in shown["failed_at"] or "s ago" in shown["failed_at"], shown["attempt"]) == (True, "4")


def test_a_completed_job_says_how_long_it_waited_and_ran_and_where(admin_client: Client) -> None:
    now = database_now("default")
    times = {"run_at": now, "created_at": now - timedelta(hours=1)}
    ran = {"started_at": now + timedelta(seconds=90), "finished_at": now + timedelta(seconds=94)}
    make_job("completed", worker_id=make_worker(name="worker-7").pk, **times, **ran)
    shown = cells(admin_client, "completed")
    assert (shown["waited"], shown["ran"]) == ("90 s", "4.0 s")
    assert "worker-7" in shown["by_worker"]


@pytest.mark.parametrize(("state", "reason"), [("cancelled", "cancelled by ops: twice"), ("skipped", None)])
def test_what_did_not_run_says_why(admin_client: Client, state: str, reason: str | None) -> None:
    make_job(state, **({"reason": reason} if reason else {}))
    shown = cells(admin_client, state)
    assert (reason or "already paid") in shown["shown_reason"]
    assert "<time" in shown["ended"]


@pytest.mark.parametrize("state", sorted(COLUMNS))
def test_the_columns_take_as_many_questions_for_many_rows_as_for_one(
    admin_client: Client, state: str
) -> None:
    worker = make_worker()
    Queue.objects.create(name="email", concurrency_limit=1)

    def make(number: int) -> None:
        fields = {"failures": 1, "attempt": 2} if state in ("waiting", "delayed") else {}
        for _ in range(number):
            job = make_job("delayed" if state == "held" else state, worker_id=worker.pk, **fields)
            add_attempt(job)
            if state == "held":
                hold_all(Job.objects.filter(pk=job.pk), "held")
        if state == "stuck":
            Job.objects.update(deadline_at=database_now("default") - timedelta(hours=1))

    make(1)
    text_of(admin_client.get(JOBS, {"state": state}))
    counts = []
    for number in (0, 4):
        make(number)
        with CaptureQueriesContext(connection) as captured:
            text_of(admin_client.get(JOBS, {"state": state}))
        counts.append(len(captured.captured_queries))
    assert counts[0] == counts[1] <= 15
