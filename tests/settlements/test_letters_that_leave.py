"""A letter is looked at as it leaves: whether it is true, to whom it goes, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from jobqueue.models import Job
from jobqueue.testing import run_job
from jobqueue.worker.outcomes import OutcomeStatus
from settlements.models import BarredAddress, EmailDelivery, Payment, Settlement
from tests.settlements.email_processor_steps import letter, run_again
from tests.settlements.email_steps import ADDRESS, Serve, delivery_of, serve
from tests.settlements.smtp import Mailbox
from tests.settlements.steps import domain_settings

__all__ = ["serve"]


def test_a_letter_goes_to_the_address_that_the_person_has_when_it_leaves(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    mailbox = serve(Mailbox())
    job = letter(settlement)
    User.objects.filter(pk=payer.pk).update(email="new@example.com")
    run_job(job)
    assert [message["To"] for message in mailbox.messages] == ["new@example.com"]
    assert (delivery_of(job).recipient, delivery_of(job).user) == ("new@example.com", payer)


def test_a_callers_own_letter_goes_to_the_given_address(settlement: Settlement, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    run_job(letter(settlement, email=ADDRESS, email_subject=""))
    assert [message["To"] for message in mailbox.messages] == [ADDRESS]


UNTRUE: list[tuple[str, dict[str, Any], str]] = [
    ("reminder_final", {"status": "completed"}, "settlement already completed"),
    ("settlement_created", {"status": "completed"}, "settlement already completed"),
    ("settlement_created", {"status": "cancelled"}, "settlement cancelled"),
    ("settlement_updated", {"status": "cancelled"}, "settlement cancelled"),
    ("settlement_completed", {}, "settlement is pending again"),
    ("settlement_cancelled", {}, "settlement is pending again"),
    ("settlement_reopened", {"status": "completed"}, "settlement is completed again"),
    ("settlement_reminder", {"reminders_paused": True}, "reminders are paused"),
]


@pytest.mark.parametrize("own", [{}, {"email": ADDRESS, "email_subject": ""}], ids=["system's", "caller's"])
@pytest.mark.parametrize(("template_type", "values", "reason"), UNTRUE)
def test_a_letter_that_is_not_true_any_more_is_skipped_and_says_why(
    settlement: Settlement,
    serve: Serve,
    template_type: str,
    values: dict[str, Any],
    reason: str,
    own: dict[str, Any],
) -> None:
    mailbox = serve(Mailbox())
    job = letter(settlement, template_type, **own)
    Settlement.objects.filter(pk=settlement.pk).update(**{"description": "Dinner", **values})
    outcome = run_job(job)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.SKIPPED, f"skipped: {reason}")
    delivery = delivery_of(job)
    assert (delivery.status, delivery.error, delivery.tries) == (EmailDelivery.Status.SKIPPED, reason, 0)
    assert mailbox.tries == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"email": ""}, "has no e-mail address"),
        ({"is_active": False}, "is inactive"),
    ],
)
def test_a_letter_to_somebody_who_cannot_get_it_is_skipped(
    settlement: Settlement, payer: User, serve: Serve, change: dict[str, Any], reason: str
) -> None:
    mailbox = serve(Mailbox())
    job = letter(settlement)
    User.objects.filter(pk=payer.pk).update(**change)
    assert run_job(job).reason == f"skipped: user {payer.pk} {reason}"
    assert mailbox.tries == 0


def test_a_letter_to_somebody_who_is_gone_is_skipped(settlement: Settlement, serve: Serve) -> None:
    serve(Mailbox())
    job = letter(settlement, user_id=987654)
    assert run_job(job).reason == "skipped: user 987654 does not exist any more"


def test_a_letter_to_an_address_that_is_none_fails_and_does_not_repeat_it(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    serve(Mailbox())
    User.objects.filter(pk=payer.pk).update(email="secret@@example.com")
    job = letter(settlement)
    outcome = run_job(job)
    assert outcome.status == OutcomeStatus.FAILED
    assert delivery_of(job).status == EmailDelivery.Status.FAILED
    assert "secret" not in outcome.reason + delivery_of(job).error + delivery_of(job).recipient


@pytest.mark.parametrize("own", [{}, {"email": "Payer@Example.com", "email_subject": ""}])
def test_a_letter_to_a_barred_address_is_skipped_until_it_is_cleared(
    settlement: Settlement, payer: User, serve: Serve, own: dict[str, Any]
) -> None:
    mailbox = serve(Mailbox())
    barred = BarredAddress.objects.create(address="payer@example.com", cause="bounced")
    assert "the address is barred" in run_job(letter(settlement, **own)).reason
    barred.clear(payer, "it works again")
    run_job(letter(settlement, **own))
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("gone", [Settlement, Payment])
def test_a_letter_about_what_was_deleted_is_skipped(
    settlement: Settlement, payee: User, serve: Serve, gone: type[Settlement | Payment]
) -> None:
    mailbox = serve(Mailbox())
    payment = Payment.objects.create(settlement=settlement, amount=settlement.amount, status="completed")
    data = {"settlement_id": str(settlement.pk), "payment_id": str(payment.pk)}
    if gone is Settlement:
        del data["payment_id"]
    job = letter(settlement, "payment_received", user_id=payee.pk, template_data=data)
    gone.objects.all().delete()
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING)
    assert run_job(job).reason == f"skipped: {gone._meta.model_name} was deleted"
    assert mailbox.tries == 0


def test_a_sent_letter_stays_sent_though_it_is_not_true_any_more(
    settlement: Settlement, serve: Serve
) -> None:
    serve(Mailbox())
    job = letter(settlement)
    run_job(job)
    Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
    assert run_again(job).reason == "skipped: already sent"
    assert delivery_of(job).status == EmailDelivery.Status.SENT


def test_a_planned_reminder_does_not_leave_at_night(
    settlement: Settlement, serve: Serve, settings: LazySettings
) -> None:
    mailbox = serve(Mailbox())
    now = timezone.now()
    night = ((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time())
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": night})
    reminder = {
        "reminder_type": "initial",
        "step": 0,
        "due_date": settlement.due_date.isoformat(),
        "planned_at": settlement.created_at.isoformat(),
    }
    outcome = run_job(letter(settlement, "reminder_initial", reminder=reminder))
    assert (outcome.status, outcome.reason) == (OutcomeStatus.RETRIED, "quiet hours")
    assert (mailbox.tries, EmailDelivery.objects.count()) == (0, 0)
