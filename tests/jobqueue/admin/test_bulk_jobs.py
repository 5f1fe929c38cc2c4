"""What the page of a bulk action says of its jobs, and for how long it looks at them."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from jobqueue.admin import bulk_jobs
from jobqueue.models import BulkAction, Job, holding
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.bulk_steps import BULK, SMTP, start
from tests.jobqueue.admin.steps import ids_of, make_job, text_of
from tests.jobqueue.models.test_bulk import walk

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def _ended(client: Client, number: int = 1) -> BulkAction:
    """A retry that has ended, of so many jobs, which wait."""
    for _ in range(number):
        make_job("failed", cause=SMTP)
    start(client, cause=SMTP)
    action = BulkAction.objects.get()
    walk(action)
    return action


def _page(client: Client, action: BulkAction) -> str:
    return text_of(client.get(f"{BULK}{action.pk}/change/"))


def _seconds(page: str) -> str:
    found = re.search(r'<div id="jq-bulk-progress" data-region-seconds="(\d+)"', page)
    return found[1] if found else "0"


def _said(page: str) -> str:
    found = re.search(r"data-live-say>([^<]*)<", page)
    assert found is not None
    return html.unescape(found[1])


def _numbers(client: Client, action: BulkAction) -> list[tuple[str, str]]:
    states = client.get(f"{BULK}{action.pk}/change/").context["jobs"]["states"]
    return [(state.number, state.label) for state in states]


def _set(state: str, **fields: Any) -> None:
    Job.objects.update(state=state, **fields)


# How long it is looked at ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "due_in", "seconds"),
    [
        ("waiting", -1, "4"),
        ("waiting", 4, "4"),
        ("active", -1, "4"),
        ("waiting", 3_600, "60"),
        ("completed", -1, "0"),
        ("failed", -1, "0"),
        ("cancelled", -1, "0"),
    ],
)
def test_it_is_looked_at_until_none_of_its_jobs_is_to_run(
    admin_client: Client, state: str, due_in: float, seconds: str
) -> None:
    action = _ended(admin_client)
    _set(state, run_at=database_now("default") + timedelta(seconds=due_in))
    assert _seconds(_page(admin_client, action)) == seconds


def test_what_is_held_is_looked_at_seldom_until_somebody_releases_it(admin_client: Client) -> None:
    action = _ended(admin_client)
    holding.hold_all(Job.objects.all(), "held by pia")
    assert _numbers(admin_client, action) == [("1", "held")]
    assert _seconds(_page(admin_client, action)) == "60"


def test_it_is_looked_at_while_a_job_behind_those_that_are_counted_is_to_run(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_jobs, "MOST_COUNTED", 1)
    action = _ended(admin_client, 2)
    first, last = Job.objects.order_by("pk")
    Job.objects.filter(pk=first.pk).update(state="failed")
    assert _seconds(_page(admin_client, action)) == "4"
    Job.objects.filter(pk=last.pk).update(state="failed")
    assert _seconds(_page(admin_client, action)) == "0"


def test_it_is_said_what_became_of_the_jobs_once_they_have_ended(admin_client: Client) -> None:
    action = _ended(admin_client)
    assert _said(_page(admin_client, action)) == "It has ended; its jobs go on."
    _set("failed")
    assert _said(_page(admin_client, action)) == "It has ended. 1 failed again"


# What became of them ---------------------------------------------------------------------------------


def test_what_was_retried_and_failed_is_said_to_have_failed_again(admin_client: Client) -> None:
    action = _ended(admin_client, 2)
    Job.objects.filter(pk__in=Job.objects.values("pk")[:1]).update(state="failed")
    assert _numbers(admin_client, action) == [("1", "waiting"), ("1", "failed again")]


def test_what_was_skipped_is_told_apart_from_what_was_completed(admin_client: Client) -> None:
    action = _ended(admin_client, 2)
    ended = {"state": "completed", "finished_at": database_now("default")}
    _set(**ended, reason="skipped: nothing is left to pay")
    assert _numbers(admin_client, action) == [("0", "completed"), ("2", "skipped")]
    assert "<li>0 completed</li>" in _page(admin_client, action)


def test_each_number_leads_to_as_many_jobs(admin_client: Client) -> None:
    action = _ended(admin_client, 3)
    now = database_now("default")
    skipped, done, later = Job.objects.order_by("pk")
    Job.objects.filter(pk=skipped.pk).update(state="completed", reason="skipped: paid", finished_at=now)
    Job.objects.filter(pk=done.pk).update(state="completed", finished_at=now)
    Job.objects.filter(pk=later.pk).update(run_at=now + timedelta(hours=1))
    states = admin_client.get(f"{BULK}{action.pk}/change/").context["jobs"]["states"]
    assert {state.label: ids_of(admin_client.get(state.url)) for state in states} == {
        "delayed": {later.pk},
        "completed": {done.pk},
        "skipped": {skipped.pk},
    }
