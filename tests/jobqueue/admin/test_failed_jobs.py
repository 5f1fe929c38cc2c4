"""The list of failed jobs: by cause, each with its error."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.admin import failures
from tests.jobqueue.admin.steps import (
    FAILED,
    add_attempt,
    ids_of,
    make_job,
    text_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def test_failed_jobs_are_listed_alone_with_error_and_message(admin_client: Client) -> None:
    job = make_job("failed", reason="ConnectionError: no route to host")
    make_job("completed")
    response = admin_client.get(FAILED)
    assert ids_of(response) == {job.pk}
    assert "<strong>ConnectionError</strong> no route to host" in text_of(response)


def test_failed_jobs_are_grouped_by_the_error_of_the_last_attempt(admin_client: Client) -> None:
    for _ in range(2):
        job = make_job("failed")
        add_attempt(job, 1, "TimeoutError")
        add_attempt(job, 2, "ConnectionError")
    add_attempt(make_job("failed"), 1, "TimeoutError")
    groups = admin_client.get(FAILED).context["error_groups"]
    assert [(group.error, group.jobs) for group in groups] == [("ConnectionError", 2), ("TimeoutError", 1)]


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


def test_the_causes_are_those_of_the_newest_failures(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "NEWEST", 2)
    jobs = [make_job("failed") for _ in range(3)]
    for job in jobs:
        add_attempt(job)
    [group] = admin_client.get(FAILED).context["error_groups"]
    assert (group.jobs, ids_of(admin_client.get(FAILED, {"error": "ConnectionError"}))) == (
        2,
        {job.pk for job in jobs[1:]},
    )
