"""The hour that comes twice where clocks are put back, and the one that never comes: what is said of both."""

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
    assert not entries_of(job)


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


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (
            "2090-03-26T02:30",
            "That time does not exist in the zone Europe/Berlin: its clocks are put forward then."
            " Choose a time outside that hour.",
        ),
        (
            "2090-10-29T02:30",
            "In this zone that time comes twice: as 2090-10-29 02:30:00 CEST (2090-10-29 00:30:00 UTC) and as"
            " 2090-10-29 02:30:00 CET (2090-10-29 01:30:00 UTC). Choose a time outside that hour.",
        ),
    ],
)
def test_no_pause_ends_in_such_an_hour(admin_client: Client, until: str, said: str) -> None:
    told = {"queue": "email", "until": until, "reason": "r"}
    response = admin_client.post("/admin/jobqueue/queue/pause/", told)
    [message] = [str(message) for message in response.context["messages"]]
    assert message.endswith(said) and not message.endswith("..")


def test_of_an_hour_that_never_comes_each_form_says_so(admin_client: Client) -> None:
    job = delayed(FIRST)
    never = "2090-03-26T02:30"
    day = f"{JOBS}calendar/2090-10-29/move/?job={job.pk}"
    for address, field in ((f"{JOBS}{job.pk}/move/", "to"), (f"{JOBS}{job.pk}/copy/", "run_at"), (day, "to")):
        page = text_of(admin_client.post(address, {field: never, "reason": "r"}))
        assert "does not exist in the zone Europe/Berlin" in page
