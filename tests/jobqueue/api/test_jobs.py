"""`/api/jobs/` and `/api/schedule/`: found by the search language, changed by their verbs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, entries_of, make_job, make_worker, operator
from tests.jobqueue.api.steps import ask, full_operator, get, post, problem, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _ids(page: Any) -> list[int]:
    return [job["id"] for job in page["results"]]


def test_a_job_that_is_deleted_while_it_is_looked_at_is_404(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job()

    def gone(*_: object) -> None:
        raise Job.DoesNotExist

    monkeypatch.setattr("jobqueue.api.jobs.in_full", gone)

    assert "no more" in problem(ask(viewer(), "GET", f"jobs/{job.pk}/"), 404)["detail"]


def test_jobs_are_listed_the_newest_first_in_pages_by_key() -> None:
    jobs = [make_job() for _ in range(5)]
    client = viewer()

    first = get(client, "jobs/?limit=3")
    make_job()
    second = read_next(client, first)

    assert _ids(first) == [job.pk for job in reversed(jobs[2:])]
    assert _ids(second) == [jobs[1].pk, jobs[0].pk]
    assert second["next"] is None


def read_next(client: Client, page: Any) -> Any:
    return get(client, page["next"].removeprefix("http://testserver/api/"))


def test_the_search_language_finds_them() -> None:
    failed, waiting = make_job("failed", reason="SMTPError: mailbox full"), make_job()
    client = viewer()

    assert _ids(get(client, 'jobs/?search=state:failed error:"mailbox full"')) == [failed.pk]
    assert _ids(get(client, f"jobs/?search=id:{waiting.pk}")) == [waiting.pk]
    Job.objects.filter(pk=failed.pk).update(bulk_action=7)
    assert _ids(get(client, "jobs/?search=bulk:7")) == [failed.pk]


def test_what_was_retried_is_found_and_has_the_state_that_it_is_in() -> None:
    job = make_job("completed")
    add_attempt(job, is_retried=True)
    make_job("completed")

    found = get(viewer(), "jobs/?search=state:retried since:1h")["results"]
    assert [(one["id"], one["state"]) for one in found] == [(job.pk, "completed")]


def test_an_unreadable_search_says_which_word_and_what_is_allowed() -> None:
    refused = problem(ask(viewer(), "GET", "jobs/?search=state:broken"), 400)

    [error] = refused["errors"]
    assert (error["field"], error["code"]) == ("search", "unreadable_search")
    assert "state:broken" in error["detail"]
    assert "state:failed" in error["detail"]


def test_a_search_of_payloads_takes_the_permission_to_read_them() -> None:
    problem(ask(viewer(), "GET", "jobs/?search=args.user_id:5"), 403)
    assert get(operator("view_job", "view_payload"), "jobs/?search=args.user_id:5")["results"] == []


def test_payload_and_errors_are_hidden_from_who_may_not_read_them() -> None:
    job = make_job("failed", payload={"email": "pia@example.com"}, reason="Refused: pia@example.com")
    add_attempt(job, message="to pia@example.com", traceback="pia@example.com")

    masked = ask(viewer(), "GET", f"jobs/{job.pk}/").content.decode()
    full = get(operator("view_job", "view_payload"), f"jobs/{job.pk}/")

    assert "pia@" not in masked
    assert '"is_masked":true' in masked
    assert full["payload"] == {"email": "pia@example.com"}
    assert full["attempts"][0]["message"] == "to pia@example.com"


def test_a_job_says_why_it_waits() -> None:
    job = make_job("delayed")

    shown = get(viewer(), f"jobs/{job.pk}/")

    assert shown["state"] == "delayed"
    assert shown["why"].startswith("Delayed until")


@pytest.mark.parametrize(
    ("verb", "state", "after"),
    [
        ("retry", "failed", "waiting"),
        ("retry", "cancelled", "waiting"),
        ("cancel", "waiting", "cancelled"),
        ("run-now", "delayed", "waiting"),
        ("put-back", "stuck", "waiting"),
        ("release", "stuck", "waiting"),
        ("fail", "stuck", "failed"),
    ],
)
def test_a_verb_changes_the_job_and_is_written_down(verb: str, state: str, after: str) -> None:
    job = make_job(state)

    shown = post(full_operator(), f"jobs/{job.pk}/{verb}/")

    assert shown["state"] == after
    assert Job.objects.get(pk=job.pk).state == after
    assert len(entries_of(job)) == 1
    assert shown["history"][0]["who"] == "operator"


@pytest.mark.parametrize(
    ("verb", "state"), [("retry", "waiting"), ("cancel", "failed"), ("run-now", "waiting")]
)
def test_a_verb_that_does_not_fit_is_refused_with_what_it_takes(verb: str, state: str) -> None:
    job = make_job(state)

    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/{verb}/"), 409)

    assert f"Job {job.pk} is {state}" in refused["detail"]
    assert entries_of(job) == []


@pytest.mark.parametrize("verb", ["put-back", "fail"])
def test_a_stuck_job_that_was_to_stop_is_answered_and_written_down_as_cancelled(verb: str) -> None:
    asked = {"stop_asked_at": database_now("default"), "stop_reason": "stopped by ann"}
    job = make_job("stuck", **asked)

    answer = post(full_operator(), f"jobs/{job.pk}/{verb}/")

    assert (answer["state"], answer["why"].partition(" ")[0]) == ("cancelled", "Cancelled")
    [entry] = entries_of(job)
    assert entry.endswith(": active → cancelled, as its stop was asked for")


def test_the_second_of_two_operators_finds_the_job_changed() -> None:
    job = make_job("failed")

    answers = [
        ask(full_operator(name), "POST", f"jobs/{job.pk}/retry/").status_code for name in ("one", "two")
    ]

    assert answers == [200, 409]
    assert len(entries_of(job)) == 1


def test_what_is_delayed_is_listed_by_its_time() -> None:
    now = database_now("default")
    jobs = [make_job("delayed", run_at=now + timedelta(hours=hours)) for hours in (3, 1, 2, 2)]
    make_job()
    client = viewer()

    first = get(client, "schedule/?limit=2")
    second = read_next(client, first)

    assert _ids(first) + _ids(second) == [jobs[1].pk, jobs[2].pk, jobs[3].pk, jobs[0].pk]


def test_the_schedule_is_narrowed_by_time_and_queue() -> None:
    now = database_now("default")
    soon = make_job("delayed", run_at=now + timedelta(hours=1))
    make_job("delayed", run_at=now + timedelta(days=3))
    make_job("delayed", queue="reminders", run_at=now + timedelta(hours=1))
    until = (now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert _ids(get(viewer(), f"schedule/?until={until}&queue=email")) == [soon.pk]


def test_a_running_job_names_its_worker() -> None:
    worker = make_worker(name="web-1.4711")
    job = make_job("active", worker_id=worker.pk)

    assert get(viewer(), f"jobs/{job.pk}/")["worker"] == "web-1.4711"


def test_a_job_with_all_that_is_known_of_it_takes_at_most_15_questions() -> None:
    worker, client = make_worker(takes_orders=True), operator("view_job", "view_payload")
    job = make_job("active", worker_id=worker.pk)
    for number in (1, 2, 3):
        add_attempt(job, number)
        make_job(copied_from=job.pk)

    with CaptureQueriesContext(connection) as asked:
        get(client, f"jobs/{job.pk}/")

    assert len(asked) <= 15
