"""Moments of any zone that Python and ISO 8601 know, at every door; PostgreSQL itself reads no +16:00."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client

from jobqueue.jobs import enqueue
from jobqueue.models import Job, Queue, pauses
from tests.jobqueue.admin.steps import JOBS, make_job, operator
from tests.jobqueue.api.steps import VIEWER, ask, full_operator, get, post, problem, viewer

pytestmark = pytest.mark.django_db(databases=["default", "other"])

OFFSETS = ("+20:00", "-16:00", "+05:30:15.5")
ALL_OFFSETS = (*OFFSETS, "+15:59:59", "+16:00", "-23:59", "+23:59:59.999999")
FAR = "2100-01-01T00:00:00"


def moment_of(offset: str, text: str = FAR) -> datetime:
    """That wall time in a zone so far from UTC."""
    return datetime.fromisoformat(text + offset)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_body_has_the_end_of_a_pause(offset: str) -> None:
    post(full_operator(), "queues/email/pause/", {"until": FAR + offset})
    assert Queue.objects.get(pk="email").paused_until == moment_of(offset)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_body_has_the_time_of_a_job_and_the_time_that_was_seen(offset: str) -> None:
    job = make_job("delayed")
    zone = moment_of(offset).tzinfo
    seen = job.run_at.astimezone(zone).isoformat()
    post(full_operator(), f"jobs/{job.pk}/move/", {"run_at": FAR + offset, "seen": seen})
    job.refresh_from_db()
    assert job.run_at == moment_of(offset)


def test_a_time_seen_outside_of_the_calendar_is_refused_by_name() -> None:
    job = make_job("delayed")
    body = {"run_at": f"{FAR}+20:00", "seen": "0001-01-01T00:00:00+20:00"}
    refused = problem(ask(full_operator(), "POST", f"jobs/{job.pk}/move/", body), 422)
    assert [(one["field"], one["code"]) for one in refused["errors"]] == [("seen", "overflow")]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    ("path", "body"),
    [("bulk/", {"verb": "retry"}), ("causes/retry/", {"cause": "x"}), ("causes/discard/", {"cause": "x"})],
)
def test_a_body_has_the_times_at_which_jobs_failed(offset: str, path: str, body: dict[str, Any]) -> None:
    client = operator(*VIEWER, "retry_job", "delete_job")
    asked = {**body, "since": f"2026-01-01T00:00:00{offset}", "until": FAR + offset}
    assert problem(ask(client, "POST", path, asked), 422)["code"] == "nothing_matches"


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    "address",
    [
        "schedule/?since={time}&until={time}",
        "causes/?since={time}&until={later}",
        "causes/concerned/?cause=x&since={time}&until={later}",
        "bulk/plan/?verb=retry&since={time}&until={later}",
        "jobs/?search=since:{time}",
        "jobs/?search=until:{time}",
        "bulk/plan/?verb=cancel&search=since:{time}",
    ],
)
def test_an_address_of_the_api_has_it(offset: str, address: str) -> None:
    times = {"time": f"2026-11-01T00:00:00{offset}", "later": FAR + offset}
    asked = address.format(**{name: quote(text) for name, text in times.items()})
    answer = ask(viewer(), "GET", asked)
    assert answer.status_code == 200, answer.content


def test_a_search_means_the_moment() -> None:
    job = make_job("failed")
    finished = Job.objects.get(pk=job.pk).finished_at
    assert finished is not None
    client = viewer()
    for seconds, found in ((-5, [job.pk]), (5, [])):
        moment = (finished + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=20)))
        words = quote(f"state:failed since:{moment:%Y-%m-%dT%H:%M:%S}+20:00")
        assert [one["id"] for one in get(client, f"jobs/?search={words}")["results"]] == found


@pytest.mark.parametrize("offset", OFFSETS)
def test_addresses_of_the_admin_have_it(admin_client: Client, offset: str) -> None:
    time, later = quote(f"2026-11-01T00:00:00{offset}"), quote(FAR + offset)
    for address in (
        f"{JOBS}?q=since:{time}",
        f"{JOBS}?run_at__gte={time}&run_at__lt={later}",
        f"{JOBS}?created_at__gte={time}",
        f"/admin/jobqueue/failedjob/?from={time}&to={later}",
        f"/admin/jobqueue/failedjob/retry/?from={time}&to={later}",
    ):
        assert admin_client.get(address).status_code < 500, address


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_field_of_the_admin_has_it(admin_client: Client, offset: str) -> None:
    job = make_job("delayed")
    seen = job.run_at.astimezone(moment_of(offset).tzinfo).isoformat()
    told = {"to": FAR + offset, "zone": "UTC", "seen": seen, "reason": "asked by the shop"}
    assert admin_client.post(f"{JOBS}{job.pk}/move/", told).status_code == 302
    job.refresh_from_db()
    assert job.run_at == moment_of(offset)


@pytest.mark.parametrize("offset", OFFSETS)
def test_programs_pass_it(offset: str) -> None:
    moment = moment_of(offset)
    job = enqueue("sample.succeed", run_at=moment)
    Job.objects.filter(pk=job.pk).update(run_at=moment)
    assert Job.objects.filter(run_at=moment, created_at__lt=moment).get().run_at == moment
    job.refresh_from_db()
    job.run_at = moment - timedelta(days=1)
    job.save()
    job.move(moment, seen=moment - timedelta(days=1))
    pauses.pause("email", until=moment)
    assert Queue.objects.get(pk="email").paused_until == job.run_at == moment


@pytest.mark.parametrize("offset", ALL_OFFSETS)
def test_a_statement_of_ones_own_has_it(offset: str) -> None:
    told = [moment_of(offset), datetime(2100, 1, 1)]
    expected = (moment_of(offset).astimezone(UTC), datetime(2100, 1, 1))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::timestamptz, %s::timestamp", told)
            assert cursor.fetchone() == expected
