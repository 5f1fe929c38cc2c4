"""A form that was open while its record changed is refused, and says what changed and by whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from moneyed import Money

from jobqueue.admin import seal
from jobqueue.models import Job, subject_of
from settlements.admin.shown import values_of
from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import operator
from tests.settlements.admin_steps import errors_of, give_reason, opened, saved
from tests.settlements.steps import at_once, stored

pytestmark = pytest.mark.django_db

MAY_ALL = (
    "settlements.change_settlement",
    "settlements.view_settlement",
    "settlements.complete_settlement",
    "settlements.cancel_settlement",
    "settlements.reopen_settlement",
    "settlements.change_payment",
    "settlements.view_payment",
    "settlements.complete_payment",
    "settlements.fail_payment",
    "settlements.refund_payment",
)


@pytest.fixture
def anna() -> Client:
    """Another operator."""
    return operator(*MAY_ALL, username="anna")


def _finished(settlement: Settlement, processor: str, **fields: object) -> Job:
    now = timezone.now()
    values = {"queue": "settlement", "timeout": 30, "state": "completed", "finished_at": now} | fields
    return Job.objects.create(processor=processor, subject=subject_of(settlement), **values)


def _settle(settlement: Settlement) -> None:
    """What the job does, and not more: the payments of this settlement cover it."""
    Payment.objects.create(settlement=settlement, amount=settlement.amount, status="completed")
    settlement.follow_payments(settlement.paid().amount)
    settlement.save()


def test_a_page_that_was_open_while_a_payment_settled_is_refused_and_says_so(
    admin_client: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    _settle(settlement)
    job = _finished(settlement, "settlement.auto_complete")
    text = errors_of(form.save(description="Supper in Porto"))
    assert f"Status: pending → completed by job settlement.auto_complete #{job.pk}." in text
    assert stored(settlement).description == "Dinner in Lisbon"


def test_an_amount_that_another_operator_changed_is_not_set_back(
    admin_client: Client, anna: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    saved(opened(anna, settlement).save(amount_0="90.00"))
    text = errors_of(form.save(description="Supper in Porto"))
    assert "Amount: €100.00 → €90.00 by anna." in text
    assert stored(settlement).amount == Money(90, "EUR")


def test_a_decision_of_another_operator_is_told_with_its_reason(
    admin_client: Client, anna: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    give_reason(anna, "cancel", settlement, reason="paid in cash")
    text = errors_of(form.save(description="Supper in Porto"))
    assert "Status: pending → cancelled" in text
    assert "reason of the decision: – → paid in cash by anna" in text


def test_a_change_of_nobody_known_was_made_by_a_program(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(reminders_paused=True)
    assert "Reminders paused: no → yes by a program." in errors_of(form.save())


def test_a_change_that_was_on_the_page_already_is_nobodys(
    admin_client: Client, anna: Client, settlement: Settlement
) -> None:
    saved(opened(anna, settlement).save(description="Lunch"))
    form = opened(admin_client, settlement)
    Settlement.objects.update(description="Supper")
    assert "Description: Lunch → Supper by a program." in errors_of(form.save())


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "skipped: nothing to do"},
        {"state": "waiting", "finished_at": None},
        {"state": "failed"},
        {"finished_at": timezone.now() - timedelta(days=1)},
        {"processor": "settlement.settlement_notification"},
    ],
)
def test_a_job_that_changed_nothing_is_not_blamed(
    admin_client: Client, settlement: Settlement, fields: dict[str, object]
) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(status="completed")
    _finished(settlement, str(fields.pop("processor", "settlement.auto_complete")), **fields)
    assert "Status: pending → completed by a program." in errors_of(form.save())


def test_a_job_that_is_about_to_end_is_named(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(status="completed")
    job = _finished(settlement, "settlement.auto_complete", state="active", finished_at=None)
    assert f"by job settlement.auto_complete #{job.pk}." in errors_of(form.save())


def test_what_several_did_names_them_all(admin_client: Client, anna: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    saved(opened(anna, settlement).save(description="Lunch"))
    Settlement.objects.update(status="completed")
    job = _finished(settlement, "settlement.auto_complete")
    assert f"by anna and job settlement.auto_complete #{job.pk}." in errors_of(form.save())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"description": "Lunch"}, "Description: Dinner in Lisbon → Lunch"),
        ({"reminders_paused": True}, "Reminders paused: no → yes"),
        ({"amount": Money(5, "JPY")}, "Amount: €100.00 → ¥5"),
        ({"history": True}, "History: no → yes"),
    ],
)
def test_every_field_the_page_shows_is_compared(
    admin_client: Client, settlement: Settlement, values: dict[str, object], told: str
) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(**values)
    assert told in errors_of(form.save())


def test_a_person_is_told_by_name(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(payer=User.objects.create_user("zoe"))
    assert "Payer: payer → zoe" in errors_of(form.save())


def test_a_moved_due_date_is_told(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(due_date=settlement.due_date + timedelta(microseconds=1))
    assert "Due date: " in errors_of(form.save())


# What the form shows then -------------------------------------------------------------------------


def test_what_was_entered_stays_and_what_was_not_touched_follows_the_row(
    admin_client: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(amount=Money(90, "EUR"), reminders_paused=True)
    again = form.shown_again(form.save(description="Supper in Porto"))
    assert again.fields["description"] == "Supper in Porto"
    assert again.fields["amount_0"] == "90.00"
    assert again.fields["reminders_paused"] == "on"


def test_a_field_that_both_changed_keeps_what_was_entered(
    admin_client: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(amount=Money(90, "EUR"))
    again = form.shown_again(form.save(amount_0="70"))
    assert again.fields["amount_0"] == "70"


def test_saving_again_after_the_message_works(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    later = settlement.due_date + timedelta(days=3)
    Settlement.objects.update(amount=Money(90, "EUR"), reminders_paused=True, due_date=later)
    saved(form.shown_again(form.save(description="Supper in Porto")).save())
    now = stored(settlement)
    assert (now.description, now.amount, now.reminders_paused) == ("Supper in Porto", Money(90, "EUR"), True)
    assert now.due_date == later


def test_another_change_before_the_second_try_is_refused_again(
    admin_client: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(amount=Money(90, "EUR"))
    again = form.shown_again(form.save())
    Settlement.objects.update(amount=Money(95, "EUR"))
    assert "Amount: €90.00 → €95.00" in errors_of(again.save())


def test_another_error_does_not_hide_that_the_row_changed(
    admin_client: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    Settlement.objects.update(reminders_paused=True)
    text = errors_of(form.save(due_date_0=""))
    assert "Reminders paused: no → yes" in text
    assert "required" in text


def test_an_open_page_without_changes_saves(admin_client: Client, settlement: Settlement) -> None:
    saved(opened(admin_client, settlement).save(description="Supper"))
    assert stored(settlement).description == "Supper"


# The signed values --------------------------------------------------------------------------------


def test_a_form_that_does_not_say_what_it_showed_is_refused(
    admin_client: Client, settlement: Settlement
) -> None:
    form = opened(admin_client, settlement)
    assert "does not say what it showed" in errors_of(form.save(shown_values=None, description="Supper"))
    assert stored(settlement).description == "Dinner in Lisbon"


@pytest.mark.parametrize("text", ["", "x", "{}", "a:b:c", "é" * 10])
def test_a_form_whose_shown_values_were_tampered_with_is_refused(
    admin_client: Client, settlement: Settlement, text: str
) -> None:
    form = opened(admin_client, settlement)
    assert "changed on the way" in errors_of(form.save(shown_values=text))


def test_a_changed_signature_is_refused(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    text = form.fields["shown_values"]
    assert "changed on the way" in errors_of(form.save(shown_values=text[:-1] + "A" + text[-1]))


def test_the_shown_values_of_another_record_are_refused(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    one, other = make_settlement(), make_settlement()
    text = opened(admin_client, other).fields["shown_values"]
    assert "changed on the way" in errors_of(opened(admin_client, one).save(shown_values=text))


def test_shown_values_that_leave_fields_out_are_refused(admin_client: Client, settlement: Settlement) -> None:
    text = seal(Settlement, settlement.pk, values_of(settlement, ["description"]))
    assert "changed on the way" in errors_of(opened(admin_client, settlement).save(shown_values=text))


def test_after_a_form_without_them_saving_again_works(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    again = form.shown_again(form.save(shown_values="x", description="Supper"))
    saved(again.save())
    assert stored(settlement).description == "Supper"


# Payments -----------------------------------------------------------------------------------------


def test_a_payment_that_a_job_settled_meanwhile_is_refused(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment()
    form = opened(admin_client, payment)
    payment.complete()
    payment.save()
    job = _finished(payment.settlement, "settlement.payment_status_check")
    text = errors_of(form.save(amount_0="12"))
    assert f"Status: pending → completed by job settlement.payment_status_check #{job.pk}." in text
    assert stored(payment).amount == payment.amount


def test_a_payment_that_an_operator_refunded_in_part_meanwhile_is_refused(
    admin_client: Client, anna: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(status="completed")
    form = opened(admin_client, payment)
    give_reason(anna, "refund", payment, amount="30")
    assert "Refunded amount: €0.00 → €30.00 by anna." in errors_of(form.save(failure_reason="x"))


def test_a_payment_page_saves_at_the_second_try(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment()
    form = opened(admin_client, payment)
    Payment.objects.update(failure_reason="card expired")
    saved(form.shown_again(form.save(amount_0="12")).save())
    assert stored(payment).amount == Money(12, "EUR")
    assert stored(payment).failure_reason == "card expired"


# At once ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_change_that_commits_while_the_form_waits_for_its_row_is_seen(
    admin_client: Client, settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = opened(admin_client, settlement)
    found = admin.ModelAdmin.get_object

    def change() -> None:
        Settlement.objects.update(amount=Money(90, "EUR"))

    def change_after_reading(self: Any, request: Any, *args: Any) -> Any:
        record = found(self, request, *args)
        if request.method == "POST" and connection.vendor == "postgresql":
            at_once(change)  # SQLite has one writer: nobody else writes once this one has begun
        return record

    if connection.vendor != "postgresql":
        change()
    with monkeypatch.context() as patch:
        patch.setattr(admin.ModelAdmin, "get_object", change_after_reading)
        response = form.save(description="Supper")
    assert "Amount: €100.00 → €90.00" in errors_of(response)
    assert stored(settlement).amount == Money(90, "EUR")
