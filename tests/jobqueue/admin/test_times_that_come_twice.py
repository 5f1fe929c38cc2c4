"""The hour that comes twice where clocks are put back: which of both it is is said, and kept by forms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.test import Client

from jobqueue.admin.moments import ComesTwice, as_field, typed_moment
from jobqueue.models import Job
from jobqueue.operating.words import absolute
from tests.jobqueue.admin.steps import JOBS, entries_of, make_job, page_of, text_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
FIRST, SECOND = datetime(2090, 10, 29, 0, 30, tzinfo=UTC), datetime(2090, 10, 29, 1, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_berlin(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"


def delayed(moment: datetime) -> Job:
    """A job that runs then."""
    job = make_job("delayed")
    Job.objects.filter(pk=job.pk).update(run_at=moment)
    job.refresh_from_db()
    return job


@pytest.mark.parametrize(("moment", "zone"), [(FIRST, "CEST"), (SECOND, "CET")])
def test_it_says_which_of_both_it_is(admin_client: Client, moment: datetime, zone: str) -> None:
    assert absolute(moment) == f"2090-10-29 02:30:00 {zone}"
    job = delayed(moment)
    for address in (page_of(job), f"{JOBS}{job.pk}/move/"):
        assert f"2090-10-29 02:30:00 {zone}" in text_of(admin_client.get(address))


@pytest.mark.parametrize("moment", [FIRST, SECOND])
@pytest.mark.parametrize("cut", [19, 16])
def test_a_form_sent_unchanged_moves_nothing(admin_client: Client, moment: datetime, cut: int) -> None:
    job = delayed(moment)
    told = {"to": as_field(moment)[:cut], "zone": "Europe/Berlin", "seen": moment.isoformat(), "reason": "r"}
    admin_client.post(f"{JOBS}{job.pk}/move/", told)
    assert Job.objects.get(pk=job.pk).run_at == moment
    assert entries_of(job)


def test_typed_anew_it_is_refused(admin_client: Client) -> None:
    job = make_job("delayed")
    told = {"to": "2090-10-29T02:30", "zone": "Europe/Berlin", "seen": job.run_at.isoformat(), "reason": "r"}
    page = text_of(admin_client.post(f"{JOBS}{job.pk}/move/", told))
    assert "2090-10-29 02:30:00 CEST (2090-10-29 00:30:00 UTC)" in page
    assert "Choose the zone UTC" in page
    assert Job.objects.get(pk=job.pk).run_at == job.run_at


def test_in_utc_it_comes_once() -> None:
    assert typed_moment("2090-10-29T01:30", UTC) == SECOND
    with pytest.raises(ComesTwice):
        typed_moment("2090-10-29T02:30", shown=datetime(2090, 1, 1, tzinfo=UTC))
