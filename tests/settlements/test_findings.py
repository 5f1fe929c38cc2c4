"""What settlements add to the overview of the job queue: late reminders, addresses that bounce."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from jobqueue.sql.clock import database_now
from settlements.models import BarredAddress
from tests.jobqueue.admin.steps import make_job, make_worker, operator

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
REGION = "/admin/jobqueue/queue/overview/"


def _findings(client: Client) -> list[str]:
    return [shown.finding.text for shown in client.get(REGION).context["findings"]]


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


def test_addresses_that_bounced_within_a_day(admin_client: Client) -> None:
    _bar("bounced", 2)
    assert _findings(admin_client) == []
    _bar("refused", 1)
    assert _findings(admin_client) == ["3 addresses bounced within a day: nothing is sent to them any more."]


def test_addresses_of_long_ago_and_those_that_unsubscribed_are_no_finding(admin_client: Client) -> None:
    _bar("bounced", 4, hours=30)
    _bar("unsubscribed", 4)
    assert _findings(admin_client) == []


def test_who_may_not_see_addresses_is_told_nothing_of_them() -> None:
    _bar("bounced", 4)
    assert _findings(operator("view_job", "view_queue")) == []
