"""Another time for a delayed job, on its page: zones, refusals beside the field, one of two who ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from jobqueue.exceptions import InvalidRunAt, JobTransitionRefused
from jobqueue.models import Job
from jobqueue.moving import move_job
from jobqueue.sql.clock import database_now
from settlements.decisions import REMINDERS
from settlements.models import Settlement
from tests.jobqueue.admin.steps import JOBS, entries_of, make_job, operator, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
LATER = "2090-07-01T09:00:00"


def send(client: Client, job: Job, **fields: Any) -> Any:
    """What follows the filled form."""
    told = {"to": LATER, "reason": "on leave", "seen": job.run_at.isoformat(), **fields}
    return client.post(f"{JOBS}{job.pk}/move/", told, follow=True)


def time_of(job: Job) -> datetime:
    return Job.objects.get(pk=job.pk).run_at


def test_the_form_is_on_the_page_of_a_delayed_job_alone(admin_client: Client) -> None:
    for state, is_there in {"delayed": True, "waiting": False, "failed": False, "active": False}.items():
        job = make_job(state)
        assert (f"/{job.pk}/move/" in text_of(admin_client.get(page_of(job)))) is is_there


def test_a_move_is_made_in_the_zone_of_the_page_and_written_down(
    admin_client: Client, settings: LazySettings
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    job = make_job("delayed")
    assert "runs 2090-07-01 09:00:00 CEST" in text_of(send(admin_client, job))
    assert time_of(job) == datetime(2090, 7, 1, 7, tzinfo=UTC)
    assert entries_of(job)[0].endswith("→ 2090-07-01 09:00:00 CEST. Reason: on leave")


def test_a_time_may_be_one_of_utc(admin_client: Client, settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    job = make_job("delayed")
    send(admin_client, job, zone="UTC")
    assert time_of(job) == datetime(2090, 7, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("to", "2020-01-01T09:00:00", "is past"),
        ("to", "soon", "A date and a time"),
        ("to", "2090-03-26T02:30:00", "does not exist in the zone Europe/Berlin"),
        ("to", "", "A date and a time"),
        ("to", "99999-01-01T00:00", "A date and a time"),
        ("to", "9999-01-01T00:00", "before the year 9000"),
        ("reason", "", "Say why"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    admin_client: Client, settings: LazySettings, field: str, value: str, said: str
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    job = make_job("delayed")
    found = send(admin_client, job, **{field: value}).context["problems"]
    assert list(found) == [field] and said in found[field]
    assert time_of(job) == job.run_at and entries_of(job) == []


@pytest.mark.parametrize("zone", ["", "UTC"])
def test_the_time_that_it_has_is_no_other(admin_client: Client, zone: str) -> None:
    job = make_job("delayed", run_at=datetime(2090, 7, 1, 9, 0, 0, 123_456, tzinfo=UTC))
    found = send(admin_client, job, zone=zone, to="2090-07-01T09:00:00").context["problems"]
    assert found == {
        "to": f"job {job.pk} has that time already, 2090-07-01 09:00:00 UTC: nothing was changed."
    }
    assert time_of(job) == job.run_at and entries_of(job) == []


def test_a_time_that_somebody_else_gave_it_stays(admin_client: Client) -> None:
    job = make_job("delayed")
    send(admin_client, job)
    refused = send(admin_client, job, to="2091-01-01T00:00:00").context["problems"]
    assert "was moved meanwhile" in refused["all"]
    assert time_of(job).year == 2090


@pytest.mark.parametrize("state", ["waiting", "active", "completed", "failed", "cancelled"])
def test_a_job_that_is_not_delayed_is_not_moved_and_the_page_says_why(
    admin_client: Client, state: str
) -> None:
    job = make_job(state)
    assert "cannot be moved" in str(list(send(admin_client, job).context["messages"])[0])
    with pytest.raises(JobTransitionRefused):
        move_job(job, database_now("default") + timedelta(days=1))


def test_the_verb_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(InvalidRunAt, match="has no time zone"):
        move_job(make_job("delayed"), datetime(2090, 1, 1))  # noqa: DTZ001


def test_a_reminder_moves_between_its_neighbours_only(admin_client: Client, settlement: Settlement) -> None:
    job = Job.objects.about(settlement).filter(processor=REMINDERS, state="waiting").order_by("run_at")[1]
    found = send(admin_client, job, to=LATER).context["problems"]
    assert "moves between its neighbours only" in found["to"]
    assert time_of(job) == job.run_at


@pytest.mark.parametrize("permissions", [["view_job"], ["move_job"]])
def test_who_may_not_move_is_refused(permissions: list[str]) -> None:
    job, client = make_job("delayed"), operator(*permissions)
    assert client.get(f"{JOBS}{job.pk}/move/").status_code == 403
    assert send(client, job).status_code == 403
    assert time_of(job) == job.run_at
