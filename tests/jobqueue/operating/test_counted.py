"""How many failures count, beside what the timeline tells of them: nothing that contradicts it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from jobqueue.models import Job
from jobqueue.operating.explain import explain, gather
from jobqueue.operating.explain_many import facts_of_waiting
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
AWAY = "SMTPServerDisconnected"


def _waits(*errors: str, attempt: int, failures: int, reason: str = "") -> Job:
    now = database_now("default")
    job = make_job(
        attempt=attempt, failures=failures, reason=reason, run_at=now + timedelta(minutes=9, seconds=30)
    )
    for number, error in enumerate(errors, 1):
        add_attempt(job, number, error, is_retried=True)
    return job


def _why(job: Job) -> str:
    """On its page and in a list it is the same."""
    now = database_now("default")
    text = explain(job, gather(job, now))
    assert text == explain(job, facts_of_waiting([job], now, "default")[job.pk])
    return text


def test_the_number_of_a_retry_stands_beside_an_error_that_counts(admin_client: Client) -> None:
    job = _waits("ConnectionError", "ConnectionError", attempt=3, failures=2)
    assert _why(job).startswith("Retry 2 of 3 in ") and "after ConnectionError." in _why(job)
    assert "Retry 2 of 3 in " in text_of(admin_client.get(page_of(job)))


@pytest.mark.parametrize("failures", [1, 2])
def test_an_error_that_may_cost_no_attempt_is_told_apart_from_those_that_count(
    admin_client: Client, failures: int
) -> None:
    job = _waits("ConnectionError", "ConnectionError", AWAY, attempt=4, failures=failures)
    counts = {1: "1 failure counts against its 3 retries", 2: "2 failures count against its 3 retries"}
    assert f"after {AWAY}; {counts[failures]}." in _why(job) and "Retry" not in _why(job)
    assert f"after {AWAY}; {counts[failures]}." in text_of(admin_client.get(page_of(job)))


def test_an_error_of_a_run_before_the_last_is_not_why_the_job_waits(admin_client: Client) -> None:
    job = _waits("ConnectionError", attempt=3, failures=1, reason="quiet hours")
    assert ": quiet hours." in _why(job) and "ConnectionError" not in _why(job)
    assert "after ConnectionError" not in text_of(admin_client.get(page_of(job)))


@pytest.mark.parametrize(
    ("state", "attempt", "said"),
    [
        ("failed", 4, "4 (4 failed)"),
        ("failed", 8, "8 (4 failures count against its retries)"),
        ("completed", 5, "5 (4 failed)"),
        ("completed", 9, "9 (4 failures count against its retries)"),
    ],
)
def test_the_fact_says_how_many_count_where_others_failed_too(
    admin_client: Client, state: str, attempt: int, said: str
) -> None:
    job = make_job(state, attempt=attempt, failures=4)
    assert f"<dd>{said}</dd>" in text_of(admin_client.get(page_of(job)))


def test_it_is_said_in_german_too(admin_client: Client) -> None:
    job = _waits("ConnectionError", "ConnectionError", AWAY, attempt=4, failures=2)
    page = text_of(admin_client.get(page_of(job), headers={"accept-language": "de"}))
    assert f"nach {AWAY}; 2 Fehlschläge zählen gegen seine 3 Wiederholungen." in page
