"""What pages refuse says moments in the zone of who reads it, and names no field; programs get both."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.test import Client

from jobqueue.models import Job
from tests.jobqueue.admin.steps import JOBS, make_job, operator, text_of
from tests.jobqueue.api.steps import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])
SEEN = "2090-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _in_berlin(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"


@pytest.fixture
def job() -> Job:
    """One that is delayed until the first moment of 2091 in Berlin."""
    found = make_job("delayed")
    Job.objects.filter(pk=found.pk).update(run_at=datetime(2090, 12, 31, 23, tzinfo=UTC))
    found.refresh_from_db()
    return found


def test_a_time_that_is_past(admin_client: Client, job: Job) -> None:
    told = {"to": "2020-01-01T10:00:00", "seen": job.run_at.isoformat(), "reason": "r"}
    page = text_of(admin_client.post(f"{JOBS}{job.pk}/move/", told))
    assert "2020-01-01 10:00:00 CET is past" in page and "run_at" not in page


@pytest.mark.parametrize(("language", "said"), [("en", "moved meanwhile"), ("de", "CET")])
def test_a_job_that_was_moved_meanwhile(admin_client: Client, job: Job, language: str, said: str) -> None:
    told = {"to": "2092-01-01T10:00:00", "seen": SEEN, "reason": "r"}
    response = admin_client.post(f"{JOBS}{job.pk}/move/", told, headers={"accept-language": language})
    problem = response.context["problems"]["all"]
    assert said in problem and "2091-01-01 00:00:00 CET" in problem and "T23:00" not in problem


def test_over_http_the_field_and_iso_stay(job: Job) -> None:
    client = operator("view_job", "move_job")
    answer = ask(client, "POST", f"jobs/{job.pk}/move/", {"run_at": "2020-01-01T09:00:00Z"})
    assert b"run_at 2020-01-01T09:00:00+00:00 is past" in answer.content
