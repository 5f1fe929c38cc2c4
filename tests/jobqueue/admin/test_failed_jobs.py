"""The list of failed jobs: by cause, each with its error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.test import Client

from jobqueue.admin import listing
from jobqueue.models import Job
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import (
    CAUSES,
    FAILED,
    JOBS,
    add_attempt,
    ids_of,
    make_job,
    rows_of,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_failed_jobs_are_listed_alone_with_error_and_message(admin_client: Client) -> None:
    job = make_job("failed", reason="ConnectionError: no route to host")
    make_job("completed")
    response = admin_client.get(FAILED)
    assert ids_of(response) == {job.pk}
    assert "<strong>ConnectionError</strong> no route to host" in text_of(response)


def test_the_most_frequent_causes_stand_above_the_list(admin_client: Client) -> None:
    for cause in ("OSError 5", "TimeoutError", "OSError 5"):
        make_job("failed", cause=cause)
    causes = admin_client.get(FAILED).context["causes"]
    assert [(cause.name, cause.number) for cause in causes] == [("OSError 5", 2), ("TimeoutError", 1)]


def test_causes_are_counted_over_all_failures_not_only_the_newest(admin_client: Client) -> None:
    _many_failed(3_100)
    [cause] = admin_client.get(FAILED).context["causes"]
    assert cause.number == 3_100
    assert admin_client.get(FAILED, {"cause": "OSError 5"}).context["cl"].result_count == 3_100


def test_a_list_of_more_failures_than_it_may_read_leads_to_the_page_that_groups_them(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 1)
    for _ in range(2):
        make_job("failed", cause="OSError 5")
    response = admin_client.get(FAILED)
    assert "causes" not in response.context
    assert f'<a href="{CAUSES}">' in text_of(response)


def test_failed_jobs_are_filtered_by_cause(admin_client: Client) -> None:
    wanted = make_job("failed", cause="OSError 5")
    make_job("failed", cause="OSError 50")
    make_job("waiting", cause="OSError 5")
    assert ids_of(admin_client.get(FAILED, {"cause": "OSError 5"})) == {wanted.pk}


def test_failed_jobs_of_older_workers_are_of_an_unknown_cause(admin_client: Client) -> None:
    wanted = make_job("failed")
    make_job("failed", cause="OSError 5")
    assert ids_of(admin_client.get(FAILED, {"cause": "(unknown cause)"})) == {wanted.pk}


def test_a_class_of_errors_is_found_by_the_cause_too(admin_client: Client) -> None:
    wanted = {make_job("failed", cause=cause).pk for cause in ("OSError 5", "OSError: KeyError", "OSError")}
    make_job("failed", cause="OSErrorOfOurs")
    assert ids_of(admin_client.get(FAILED, {"error": "OSError"})) == wanted


def test_a_class_of_errors_is_found_among_all_failures(admin_client: Client) -> None:
    oldest = make_job("failed", cause="TimeoutError")
    _many_failed(3_100)
    assert ids_of(admin_client.get(FAILED, {"error": "TimeoutError"})) == {oldest.pk}


def test_failed_jobs_are_filtered_by_the_error_of_the_last_attempt(admin_client: Client) -> None:
    wanted, other = make_job("failed"), make_job("failed")
    add_attempt(wanted, 1, "TimeoutError")
    add_attempt(wanted, 2, "ConnectionError")
    add_attempt(other, 1, "TimeoutError")
    assert ids_of(admin_client.get(FAILED, {"error": "ConnectionError"})) == {wanted.pk}


def test_a_failed_job_without_an_attempt_can_be_filtered_too(admin_client: Client) -> None:
    job = make_job("failed")
    add_attempt(make_job("failed"))
    assert ids_of(admin_client.get(FAILED, {"error": "(not recorded)"})) == {job.pk}


@pytest.mark.parametrize(
    ("age", "old", "young"),
    [
        ("quarter", 20, 10),
        ("hour", 90, 30),
        ("two_hours", 130, 110),
        ("day", 1_500, 1_400),
        ("week", 20_000, 10_000),
    ],
)
@pytest.mark.parametrize("url", [FAILED, f"{JOBS}?state=failed"])
def test_the_age_of_a_failed_job_is_since_it_failed_not_since_it_was_created(
    admin_client: Client, url: str, age: str, old: float, young: float
) -> None:
    now = database_now("default")
    long_ago = now - timedelta(days=200)
    wanted = make_job("failed", created_at=long_ago, finished_at=now - timedelta(minutes=young))
    make_job("failed", created_at=now, finished_at=now - timedelta(minutes=old))
    address = f"{url}{'&' if '?' in url else '?'}age={age}"
    assert ids_of(admin_client.get(address)) == {wanted.pk}


def test_failures_from_one_time_to_another_are_found(admin_client: Client) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    jobs = [make_job("failed", finished_at=noon + timedelta(hours=hours)) for hours in (-1, 0, 1, 2)]
    found = ids_of(admin_client.get(FAILED, {"from": "2026-11-20T12:00", "to": "2026-11-20T14:00"}))
    assert found == {jobs[1].pk, jobs[2].pk}


@pytest.mark.parametrize("asked", [{"age": "soon"}, {"from": "yesterday"}, {"to": "2026-13-01T00:00"}])
def test_a_time_that_cannot_be_read_finds_nothing_and_says_what_is_allowed(
    admin_client: Client, asked: dict[str, str]
) -> None:
    make_job("failed")
    response = admin_client.get(FAILED, asked)
    [refusal] = response.context["cl"].refusals
    assert ids_of(response) == set() and refusal in unescape(text_of(response))
    assert next(iter(asked.values())) in refusal
    assert "must be a time such as" in refusal or "age may be quarter, hour" in refusal


def _many_failed(number: int) -> None:
    values = Job.objects.values().get(pk=make_job("failed", cause="OSError 5").pk)
    Job.objects.bulk_create(Job(**{**values, "id": None}) for _ in range(number - 1))


def test_a_page_behind_the_counted_ones_keeps_the_filters(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COUNT_LIMIT", 100)
    _many_failed(160)
    make_job("failed", cause="TimeoutError")
    response = admin_client.get(FAILED, {"cause": "OSError 5", "p": "4"})
    assert len(ids_of(response)) == 10


def test_a_page_behind_the_last_is_the_last_of_the_same_filters(admin_client: Client) -> None:
    _many_failed(60)
    ids = sorted(Job.objects.values_list("pk", flat=True), reverse=True)
    make_job("failed", cause="TimeoutError")
    response = admin_client.get(FAILED, {"cause": "OSError 5", "p": "201"})
    assert [job.pk for job in rows_of(response)] == ids[-50:]
