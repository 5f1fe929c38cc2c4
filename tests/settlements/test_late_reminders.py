"""A reminder that is tried again is late from when it was due: a retry moves its job's time, not that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from jobqueue.admin import Finding
from jobqueue.models import Cause, Job, subject_of
from jobqueue.sql.clock import database_now
from settlements.admin.findings import LATE_REMINDERS
from settlements.models import ReminderDelivery, Settlement
from tests.jobqueue.admin.steps import add_attempt, ids_of, make_job
from tests.settlements.steps import forget_jobs

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
REGION = "/admin/jobqueue/queue/overview/"
LIST = f"/admin/jobqueue/job/?finding={LATE_REMINDERS}"


def _found(client: Client) -> list[Finding]:
    shown = [each.finding for each in client.get(REGION).context["findings"]]
    return [finding for finding in shown if "due and" in finding.text]


def _are_told(client: Client, *jobs: Job) -> None:
    """That these are late, and no others, by the finding and by its list."""
    found = [finding.text for finding in _found(client)]
    words = "reminder was" if len(jobs) == 1 else "reminders were"
    assert found == (
        [f"{len(jobs)} {words} due and {'is' if len(jobs) == 1 else 'are'} not sent."] if jobs else []
    )
    assert ids_of(client.get(LIST)) == {job.pk for job in jobs}


def _job(state: str = "waiting", *, tried: float | None, again_in: float = 0.5, **fields: Any) -> Job:
    """A job that failed so many minutes ago for the first time, if it did, and runs again in so many."""
    now = database_now("default")
    values = {
        "queue": "reminders",
        "processor": "reminders.send",
        "run_at": now + timedelta(minutes=again_in),
    }
    job = make_job(state, **values | {"attempt": 1 if tried is None else 3} | fields)
    for number in () if tried is None else (1, 2):
        begun = now - timedelta(minutes=tried / number)
        add_attempt(job, number, is_retried=True, started_at=begun, finished_at=begun)
    return job


def _email(settlement: Settlement, asked_for: float, state: str = "waiting", **fields: Any) -> Job:
    """The job of a reminder's e-mail that was asked for so many minutes ago."""
    forget_jobs()
    asked = database_now("default") - timedelta(minutes=asked_for)
    about = {"processor": "email.notification", "queue": "email", "subject": subject_of(settlement)}
    job = _job(state, **about | {"created_at": asked} | fields)
    ReminderDelivery.objects.create(
        settlement=settlement,
        reminder_type="follow_up",
        due_date=settlement.due_date,
        recipient=settlement.payer,
        status="on_its_way",
        email_job=job,
    )
    return job


def test_a_reminder_that_is_tried_again_is_late_still(admin_client: Client) -> None:
    _are_told(admin_client, _job(tried=20))


def test_it_is_late_since_it_was_tried_first(admin_client: Client) -> None:
    job = _job(tried=20)
    [finding] = _found(admin_client)
    assert finding.since == job.attempts.order_by("number")[0].started_at


def test_a_reminder_that_was_retried_by_hand_is_late_still(admin_client: Client) -> None:
    job = _job("failed", tried=20)
    job.retry()
    _are_told(admin_client, job)


@pytest.mark.parametrize("tried", [None, 10])
def test_a_reminder_that_was_due_a_moment_ago_is_not_late(admin_client: Client, tried: float | None) -> None:
    _job(tried=tried)
    _are_told(admin_client)


def test_a_reminder_that_failed_is_told_at_once(admin_client: Client) -> None:
    _are_told(admin_client, _job("failed", tried=1, again_in=-0.5))


def test_one_that_was_moved_after_it_was_tried_is_not_late(admin_client: Client) -> None:
    _job(tried=20, again_in=120)
    _are_told(admin_client)


def test_one_that_waits_for_the_end_of_quiet_hours_is_not_late(admin_client: Client) -> None:
    _job(tried=20, again_in=30, reason="quiet hours")
    _are_told(admin_client)


@pytest.mark.parametrize("again_in", [0.5, 30])
def test_an_e_mail_that_is_tried_again_is_late_from_when_it_was_asked_for(
    admin_client: Client, settlement: Settlement, again_in: float
) -> None:
    job = _email(settlement, asked_for=20, tried=10, again_in=again_in)
    _are_told(admin_client, job)
    [finding] = _found(admin_client)
    assert finding.since == job.created_at


def test_an_e_mail_that_was_retried_by_hand_is_late_still(
    admin_client: Client, settlement: Settlement
) -> None:
    job = _email(settlement, asked_for=20, state="failed", tried=19)
    job.retry()
    _are_told(admin_client, job)


def test_an_e_mail_that_failed_is_told_at_once(admin_client: Client, settlement: Settlement) -> None:
    _are_told(admin_client, _email(settlement, asked_for=2, state="failed", tried=2, again_in=-0.5))


@pytest.mark.parametrize(
    "fields",
    [
        {"asked_for": 10, "tried": 9},
        {"asked_for": 300, "tried": None, "again_in": 30, "attempt": 2, "reason": "quiet hours"},
        {"asked_for": 300, "tried": None, "again_in": 30},
        {"asked_for": 300, "tried": 200, "again_in": 120},
    ],
    ids=["a moment ago", "quiet hours", "moved", "moved after it was tried"],
)
def test_an_e_mail_that_is_not_due_for_long_is_not_late(
    admin_client: Client, settlement: Settlement, fields: dict[str, Any]
) -> None:
    _email(settlement, **fields)
    _are_told(admin_client)


def test_an_e_mail_that_quiet_hours_put_off_is_late_from_when_it_was_tried(
    admin_client: Client, settlement: Settlement
) -> None:
    job = _email(settlement, asked_for=600, tried=10)
    job.attempts.filter(number=1).delete()
    _are_told(admin_client)
    job.attempts.update(started_at=database_now("default") - timedelta(minutes=20))
    _are_told(admin_client, job)


def test_a_row_that_cannot_be_read_hides_no_other(admin_client: Client) -> None:
    broken, good = _job(tried=None, again_in=-30), _job(tried=20)
    Cause.objects.create(name="muted", muted_at=database_now("default"))
    moment = "-infinity" if connection.vendor == "postgresql" else "12026-01-01 00:00:00"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobqueue_job SET run_at = %s WHERE id = %s", [moment, broken.pk])
    assert [finding.text for finding in _found(admin_client)] == ["2 reminders were due and are not sent."]
    assert good.pk in ids_of(admin_client.get(LIST))
