"""What settlements tell on the overview while the mail server takes no e-mails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobqueue.admin import Finding
from jobqueue.sql.clock import database_now
from settlements.admin import findings
from settlements.models import EmailDelivery
from tests.jobqueue.admin.steps import make_job, operator, text_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
REGION = "/admin/jobqueue/queue/overview/"
BUSY = "451 Mail server is overloaded."


def _not_taken(number: int, minutes: float, **fields: Any) -> None:
    """So many e-mails that wait for the mail server since then."""
    since = database_now("default") - timedelta(minutes=minutes)
    for _ in range(number):
        values = {
            "status": "deferred",
            "error": BUSY,
            "created_at": since,
            "template_type": "payment_received",
        }
        message_id = f"<{EmailDelivery.objects.count()}@example.com>"
        EmailDelivery.objects.create(**values | {"message_id": message_id} | fields)


def _found(client: Client) -> list[Finding]:
    """What is said of e-mails."""
    shown = [each.finding for each in client.get(REGION).context["findings"]]
    return [finding for finding in shown if "not taken" in finding.text]


def _texts(client: Client) -> list[str]:
    return [finding.text for finding in _found(client)]


def test_e_mails_that_the_mail_server_does_not_take(admin_client: Client) -> None:
    _not_taken(2, minutes=2)
    _not_taken(1, minutes=6)
    [finding] = _found(admin_client)
    assert finding.text == f"3 e-mails were not taken and are tried again: {BUSY}"
    assert finding.since == EmailDelivery.objects.earliest("created_at").created_at
    assert "each is given up 24 h after its first try (EMAIL_RETRY_FOR)" in finding.cure


def test_they_lead_to_the_list_of_those_e_mails(admin_client: Client) -> None:
    _not_taken(3, minutes=6)
    _not_taken(1, minutes=6, status="sent")
    [finding] = _found(admin_client)
    listed = admin_client.get(finding.url).context["cl"].result_list
    assert [delivery.status for delivery in listed] == ["deferred"] * 3


@pytest.mark.parametrize(("number", "minutes"), [(3, 4), (2, 50)])
def test_a_few_e_mails_that_are_greylisted_are_no_finding(
    admin_client: Client, number: int, minutes: float
) -> None:
    _not_taken(number, minutes)
    assert _texts(admin_client) == []


def test_one_e_mail_that_waits_for_more_than_an_hour_is_one(admin_client: Client) -> None:
    _not_taken(1, minutes=61)
    assert _texts(admin_client) == [f"1 e-mail was not taken and is tried again: {BUSY}"]


def test_the_time_counts_from_when_somebody_asked_for_it_once_more(admin_client: Client) -> None:
    _not_taken(3, minutes=600, trying_since=database_now("default") - timedelta(minutes=1))
    assert _texts(admin_client) == []


def test_e_mails_whose_jobs_have_ended_are_none(admin_client: Client) -> None:
    for _ in range(3):
        _not_taken(1, minutes=10, job=make_job("cancelled"))
    assert _texts(admin_client) == []


def test_the_last_answer_is_said_without_addresses_and_not_without_end(admin_client: Client) -> None:
    _not_taken(3, minutes=10)
    _not_taken(1, minutes=1, error=f"421 anna@example.com\r\n<b> {'x' * 500}")
    [text] = _texts(admin_client)
    assert text.startswith("4 e-mails were not taken and are tried again: 421 ")
    assert "anna@" not in text
    assert "\n" not in text
    assert len(text) < 300
    assert "<b> x" not in text_of(admin_client.get(REGION))


def test_of_many_so_many_are_counted(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    _not_taken(4, minutes=10)
    monkeypatch.setattr(findings, "COUNT_LIMIT", 3)
    assert _texts(admin_client) == [f"2+ e-mails were not taken and are tried again: {BUSY}"]


def test_who_may_not_see_e_mails_is_told_nothing_of_them() -> None:
    _not_taken(3, minutes=10)
    assert _texts(operator("view_job", "view_queue")) == []


def test_it_takes_one_statement(admin_client: Client) -> None:
    _not_taken(3, minutes=10)
    admin_client.get(REGION)
    with CaptureQueriesContext(connection) as queries:
        _found(admin_client)
    assert len([query for query in queries if "settlements_emaildelivery" in query["sql"]]) == 1
    assert len(queries) <= 15
