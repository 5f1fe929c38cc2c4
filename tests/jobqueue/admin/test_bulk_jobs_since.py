"""What the page of a bulk action says of jobs that are no longer its own, of held ones, and of its days."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from django.test import Client

from jobqueue.models import BulkAction, Job
from jobqueue.models.bulk_verbs import BulkVerb
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.bulk_steps import BULK
from tests.jobqueue.admin.steps import make_job, text_of
from tests.jobqueue.admin.test_bulk_jobs import _numbers, _page, _said, _seconds
from tests.jobqueue.admin.test_calendar import change, day_url, tomorrow, walked
from tests.jobqueue.models.test_bulk import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])
SINCE = "that it changed were changed by another bulk action since, or are deleted."
GERMAN = {"accept-language": "de"}


def _changed(number: int, verb: BulkVerb = BulkVerb.MOVE) -> BulkAction:
    """An action that has changed so many delayed jobs and has ended."""
    now = database_now("default")
    action = ask(verb=verb, expected=number, changed=number, began_at=now, ended_at=now)
    for _ in range(number):
        make_job(bulk_action=action.pk, run_at=now + timedelta(days=1))
    return action


def test_those_that_a_later_action_changed_are_told_of(admin_client: Client) -> None:
    action = _changed(9)
    Job.objects.filter(pk__in=list(Job.objects.values_list("pk", flat=True)[:3])).update(bulk_action=99)
    page = _page(admin_client, action)
    assert _numbers(admin_client, action) == [("6", "delayed")]
    assert f"<li>3 of the 9 {SINCE}</li>" in page


def test_those_that_are_deleted_are_told_of(admin_client: Client) -> None:
    action = _changed(2)
    Job.objects.all()[:1].get().delete()
    page = _page(admin_client, action)
    assert "1 of the 2 that it changed was changed by another bulk action since, or is deleted." in page


def test_the_section_stays_where_none_is_left(admin_client: Client) -> None:
    action = _changed(7, BulkVerb.HOLD)
    Job.objects.update(bulk_action=99)
    page = _page(admin_client, action)
    assert "The jobs that it changed" in page and f"7 of the 7 {SINCE}" in page
    assert "bulk%3A" not in page


@pytest.mark.parametrize("verb", [BulkVerb.MOVE, BulkVerb.DELETE])
def test_nothing_is_said_where_none_is_missed(admin_client: Client, verb: BulkVerb) -> None:
    action = _changed(2, verb)
    if verb == BulkVerb.DELETE:
        Job.objects.all().delete()
    assert "since, or" not in _page(admin_client, action)


def test_it_is_said_in_german(admin_client: Client) -> None:
    action = _changed(2)
    Job.objects.update(bulk_action=99)
    page = text_of(admin_client.get(f"{BULK}{action.pk}/change/", headers=GERMAN))
    assert "2 der 2, die sie geändert hat, hat seitdem eine andere Sammelaktion geändert" in page


def test_a_hold_is_looked_at_until_its_jobs_are_released(admin_client: Client) -> None:
    day = tomorrow()
    make_job(run_at=day)
    change(admin_client, day_url(day, "hold/"))
    walked()
    page = _page(admin_client, BulkAction.objects.get())
    assert _seconds(page) == "60" and _said(page) == "It has ended. 1 held"


@pytest.mark.parametrize(
    ("days", "english", "german"),
    [
        ("-1", "1 day back, at the same time of day", "1 Tag zurück, zur selben Tageszeit"),
        ("2", "2 days, at the same time of day", "2 Tage, zur selben Tageszeit"),
    ],
)
def test_a_move_says_by_how_many_days_as_the_audit_does(
    admin_client: Client, days: str, english: str, german: str
) -> None:
    day = tomorrow(days=3)
    make_job(run_at=day)
    change(admin_client, day_url(day, "move/"), days=days)
    page = f"{BULK}{BulkAction.objects.get().pk}/change/"
    assert english in html.unescape(text_of(admin_client.get(page)))
    assert german in text_of(admin_client.get(page, headers=GERMAN))
