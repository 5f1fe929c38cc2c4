"""What is counted of e-mails, reminders and the processing of settlements, by type and status."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.broker import counters
from jobqueue.broker.counters import field
from jobqueue.models import Job
from jobqueue.testing import run_job
from settlements import emails
from settlements.jobs import add_settlement_processing_job, add_settlement_reminder_job
from settlements.models import Payment, Settlement
from tests.settlements.steps import (
    EMAIL,
    STATUS_CHECK,
    domain_settings,
    forget_jobs,
    initial_reminder_went_out,
    only,
    reminders_of,
    run_soon,
)

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of already; no job is left of that."""
    initial_reminder_went_out(settlement)
    forget_jobs()
    return settlement


def counted(metric: str, kind: str) -> dict[str, float]:
    """The counter of one type by status, as Redis has it."""
    stored = counters.read()
    statuses = ("completed", "retried", "failed", "skipped")
    amounts = {status: stored.get(field(metric, kind, status), 0) for status in statuses}
    return {status: amount for status, amount in amounts.items() if amount}


def test_emails_are_counted_by_template_and_status(
    known: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.cancel()
    known.save()
    with monkeypatch.context() as patched:
        patched.setattr(emails, "send", refuse_once_then_break())
        run_soon()
    assert counted("email_notifications_total", "settlement_cancelled") == {"failed": 2, "retried": 3}
    retried = Job.objects.filter(processor=EMAIL).first()
    assert retried is not None
    retried.retry()
    run_soon()
    assert counted("email_notifications_total", "settlement_cancelled") == {
        "completed": 1,
        "failed": 2,
        "retried": 3,
    }
    Job.objects.filter(pk=retried.pk).update(state=Job.State.WAITING, attempt=9)
    run_soon()
    assert counted("email_notifications_total", "settlement_cancelled")["skipped"] == 1


def refuse_once_then_break() -> Callable[..., None]:
    """A mail backend that refuses the first e-mail for good, and has a bug that the second one meets."""
    calls: list[object] = []

    def send(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise smtplib.SMTPDataError(554, b"looks like spam")
        raise ZeroDivisionError("a bug")

    return send


def test_reminders_are_counted_by_type_and_status(settlement: Settlement, settings: DjangoSettings) -> None:
    now = timezone.now()
    hours = ((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time())
    initial = reminders_of(settlement)["initial", 0]
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": hours})
    run_job(initial)
    settings.SETTLEMENTS = domain_settings()
    run_job(initial)
    again = add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "initial")
    run_job(again)
    User.objects.filter(pk=settlement.payer_id).update(email="no address")
    run_job(add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "overdue"))
    assert counted("settlement_reminders_total", "initial") == {"retried": 1, "completed": 1, "skipped": 1}
    assert counted("settlement_reminders_total", "overdue") == {"failed": 1}


def test_settlement_processing_is_counted_by_type_and_status(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known)
    run_job(only(known, STATUS_CHECK))
    make_payment(known, status="completed")
    run_soon()
    more = make_payment(known, status="completed", amount=Money(1, "EUR"))
    run_soon()
    more.amount = Money(1, "USD")
    more.save()
    run_soon()
    metric = "settlement_processing_total"
    assert counted(metric, "payment_status_check") == {"retried": 1}
    assert counted(metric, "auto_complete") == {"completed": 1, "skipped": 2}
    User.objects.update(email="no address")
    run_job(add_settlement_processing_job(known.pk, "settlement_notification"))
    # Both payments, and the completion; then nobody can be reached.
    assert counted(metric, "settlement_notification") == {"completed": 3, "failed": 1}


def test_every_queue_counts_its_outcomes(settlement: Settlement) -> None:
    run_soon()
    stored = counters.read()
    names = ("email", "reminders", "settlement")
    amounts = {name: stored[field("job_processing_total", name, "completed")] for name in names}
    assert amounts == {"email": 3, "reminders": 1, "settlement": 1}
