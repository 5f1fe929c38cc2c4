"""What settlements add to the overview of the job queue: late reminders, addresses that bounce."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.models import Cause, Job, subject_of
from jobqueue.sql.clock import database_now
from settlements.admin import findings
from settlements.admin.findings import LATE_REMINDERS
from settlements.models import BarredAddress, ReminderDelivery, Settlement
from tests.jobqueue.admin.steps import ids_of, make_job, make_worker, operator
from tests.settlements.steps import forget_jobs, give_status

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
REGION = "/admin/jobqueue/queue/overview/"


def _findings(client: Client) -> list[str]:
    found = [shown.finding.text for shown in client.get(REGION).context["findings"]]
    return [text for text in found if text != "No worker is alive."]


def _bar(cause: str, number: int, hours: float = 1) -> None:
    moment = database_now("default") - timedelta(hours=hours)
    for count in range(number):
        BarredAddress.objects.create(address=f"{cause}{count}@example.com", cause=cause, barred_at=moment)


def test_reminders_that_were_due_and_are_not_sent(admin_client: Client) -> None:
    make_worker()
    due = database_now("default") - timedelta(minutes=20)
    make_job(queue="reminders", processor="reminders.send", run_at=due)
    make_job("failed", queue="reminders", processor="reminders.send", run_at=due)
    make_job("delayed", queue="reminders", processor="reminders.send")
    make_job(queue="reminders", processor="reminders.send")
    assert _findings(admin_client)[0] == "2 reminders were due and are not sent."
    [cure] = [
        shown.finding.cure
        for shown in admin_client.get(REGION).context["findings"]
        if "due and" in shown.finding.text
    ]
    assert "Letters to addresses that are barred, or whose people paused them, stay unsent" in cure


def _of_reminders(client: Client) -> list[str]:
    return [text for text in _findings(client) if "due and" in text]


def _late(state: str = "failed", **fields: Any) -> Job:
    due = database_now("default") - timedelta(minutes=20)
    return make_job(state, queue="reminders", processor="reminders.send", run_at=due, **fields)


@pytest.mark.parametrize("state", ["waiting", "failed"])
@pytest.mark.parametrize(("status", "number"), [("pending", 1), ("completed", 0), ("cancelled", 0)])
def test_late_reminders_of_a_settlement_that_is_over_are_not_missed(
    admin_client: Client, settlement: Settlement, state: str, status: str, number: int
) -> None:
    give_status(settlement, status)
    forget_jobs()
    make_worker()
    _late(state, subject=subject_of(settlement))
    assert len(_of_reminders(admin_client)) == number


def test_late_reminders_of_a_deleted_settlement_are_not_missed(admin_client: Client) -> None:
    _late(subject=subject_of(Settlement()))
    assert _of_reminders(admin_client) == []


def test_late_reminders_that_failed_of_a_muted_cause_do_not_count(admin_client: Client) -> None:
    Cause.objects.create(name="ConnectionError", muted_at=database_now("default"))
    _late(cause="ConnectionError")
    assert _of_reminders(admin_client) == []


def _late_email(settlement: Settlement, state: str = "failed", status: str = "", **fields: Any) -> Job:
    """The job of the letter of a reminder that was due a while ago."""
    due = database_now("default") - timedelta(minutes=20)
    values = {"processor": "email.notification", "subject": subject_of(settlement), "run_at": due} | fields
    job = make_job(state, **values)
    ReminderDelivery.objects.create(
        settlement=settlement,
        reminder_type="follow_up",
        step=ReminderDelivery.objects.count(),
        due_date=settlement.due_date,
        recipient=settlement.payer,
        status=status or ("on_its_way" if state == "waiting" else "not_delivered"),
        email_job=job,
    )
    return job


@pytest.mark.parametrize("state", ["waiting", "failed"])
def test_a_reminder_whose_e_mail_waits_past_its_time_or_failed_is_missed(
    admin_client: Client, settlement: Settlement, state: str
) -> None:
    forget_jobs()
    make_worker()
    job = _late_email(settlement, state)
    assert _of_reminders(admin_client) == ["1 reminder was due and is not sent."]
    assert ids_of(admin_client.get(f"/admin/jobqueue/job/?finding={LATE_REMINDERS}")) == {job.pk}


@pytest.mark.parametrize(
    ("state", "fields"),
    [
        ("failed", {"status": "delivered"}),
        ("delayed", {"run_at": None}),
        ("completed", {}),
        ("cancelled", {}),
        ("failed", {"cause": "muted"}),
    ],
)
def test_a_reminder_whose_e_mail_is_still_to_come_or_was_given_up_is_not_missed(
    admin_client: Client, settlement: Settlement, state: str, fields: dict[str, Any]
) -> None:
    forget_jobs()
    Cause.objects.create(name="muted", muted_at=database_now("default"))
    ahead = database_now("default") + timedelta(hours=1)
    _late_email(settlement, state, **fields | ({"run_at": ahead} if "run_at" in fields else {}))
    assert _of_reminders(admin_client) == []


def test_an_e_mail_of_a_reminder_of_what_is_paid_is_not_missed(
    admin_client: Client, settlement: Settlement
) -> None:
    give_status(settlement, "completed")
    forget_jobs()
    _late_email(settlement)
    assert _of_reminders(admin_client) == []


def test_other_jobs_on_the_queue_of_reminders_are_none(admin_client: Client) -> None:
    make_job("failed", queue="reminders", run_at=database_now("default") - timedelta(minutes=20))
    assert _of_reminders(admin_client) == []


def test_e_mails_of_reminders_are_looked_for_among_the_newest_however_many_there_are(
    admin_client: Client, settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_jobs()
    for _ in range(3):
        _late_email(settlement)
    monkeypatch.setattr(findings, "_NEWEST", 2)
    admin_client.get(REGION)
    with CaptureQueriesContext(connection) as queries:
        assert _of_reminders(admin_client) == ["2 reminders were due and are not sent."]
    assert len(queries) <= 15


def test_late_reminders_lead_to_those_that_are_counted(admin_client: Client) -> None:
    make_worker()
    Cause.objects.create(name="muted", muted_at=database_now("default"))
    counted = {_late("waiting").pk, _late(cause="other").pk}
    _late(cause="muted")
    make_job("completed", queue="reminders")
    finding = admin_client.get(REGION).context["findings"][0].finding
    assert ids_of(admin_client.get(finding.url)) == counted


def test_a_finding_that_nobody_knows_has_no_jobs(admin_client: Client) -> None:
    make_job()
    assert ids_of(admin_client.get("/admin/jobqueue/job/?finding=nothing")) == set()


def test_addresses_that_bounced_within_a_day(admin_client: Client) -> None:
    _bar("bounced", 2)
    assert _findings(admin_client) == []
    _bar("refused", 1)
    text = "3 addresses bounced or complained within a day: nothing is sent to them any more."
    assert _findings(admin_client) == [text]


def test_addresses_of_long_ago_and_those_that_unsubscribed_are_no_finding(admin_client: Client) -> None:
    _bar("bounced", 4, hours=30)
    _bar("unsubscribed", 4)
    assert _findings(admin_client) == []


def test_who_may_not_see_addresses_is_told_nothing_of_them() -> None:
    _bar("bounced", 4)
    assert _findings(operator("view_job", "view_queue")) == []
