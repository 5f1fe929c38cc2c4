"""Saves without news lead to nothing, and quick ones to one e-mail."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.exceptions import InvalidAmount
from settlements.models import Payment, Settlement
from tests.settlements.lifecycle_steps import (
    PAYEE,
    PAYER,
    MakePayment,
    MakeSettlement,
    about_the_settlement,
    both,
)
from tests.settlements.steps import (
    domain_settings,
    emails_sent,
    forget_jobs,
    initial_reminder_went_out,
    jobs_of,
    run_soon,
    stored,
)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of already; no job is left of that."""
    initial_reminder_went_out(settlement)
    forget_jobs()
    return settlement


# Nothing changed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"update_fields": ["status", "amount", "due_date"]}])
def test_saving_a_settlement_without_a_change_enqueues_nothing(
    known: Settlement, options: dict[str, Any]
) -> None:
    known.save(**options)
    stored(known).save(**options)
    assert jobs_of(known) == []


@pytest.mark.parametrize("status", Payment.Status.values)
def test_saving_a_payment_without_a_change_enqueues_nothing(
    known: Settlement, make_payment: MakePayment, status: str
) -> None:
    payment = make_payment(known, status=status)
    Job.objects.all().delete()
    payment.save()
    stored(payment).save(update_fields=["status"])
    assert jobs_of(known) == []


def test_values_written_in_another_way_are_no_change(known: Settlement) -> None:
    known.amount = Money("100.000", "EUR")
    known.due_date = known.due_date.astimezone(timezone.get_fixed_timezone(330))
    known.save()
    assert jobs_of(known) == []


def test_an_amount_with_more_digits_than_its_currency_has_is_refused_and_leaves_nothing(
    make_settlement: MakeSettlement,
) -> None:
    with pytest.raises(InvalidAmount, match="EUR has at most 2 digits after the point"):
        make_settlement(amount=Money(100, "EUR") / 3)
    assert not Settlement.objects.exists()
    assert not Job.objects.exists()


def test_changing_there_and_back_in_memory_is_no_change(known: Settlement) -> None:
    known.complete()
    known.reopen()
    known.save()
    assert jobs_of(known) == []


# Quick saves ----------------------------------------------------------------------------------------


def test_three_quick_saves_make_one_email_for_each_person(known: Settlement) -> None:
    for description in ("Lunch", "Brunch", "Breakfast"):
        known.description = description
        known.save()
    run_soon()
    assert emails_sent() == both("settlement_updated")
    assert all("Breakfast" in str(message.body) for message in mail.outbox[-2:])


def test_a_change_right_after_the_creation_is_in_its_email(make_settlement: MakeSettlement) -> None:
    settlement = make_settlement(description="Dinner")
    settlement.description = "Supper"
    settlement.save()
    run_soon()
    assert about_the_settlement() == both("settlement_created")
    assert all("Supper" in str(message.body) for message in mail.outbox)


def test_a_change_after_the_email_went_out_is_told_anew(known: Settlement) -> None:
    for description in ("Lunch", "Brunch"):
        known.description = description
        known.save()
        run_soon()
    assert emails_sent() == sorted(2 * both("settlement_updated"))


def test_a_mistake_taken_back_at_once_is_not_told_as_completed(known: Settlement) -> None:
    for status in ("completed", "pending"):
        known.status = status
        known.save()
    run_soon()
    assert ("settlement_completed", PAYER) not in emails_sent()


def test_completing_again_at_once_is_told_once(known: Settlement) -> None:
    for status in ("completed", "pending", "completed"):
        known.status = status
        known.save()
    run_soon()
    assert emails_sent() == both("settlement_completed")


def test_quick_saves_of_a_payment_make_one_email(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    for status in ("completed", "processing", "completed"):
        payment.status = status
        payment.save()
    run_soon()
    assert emails_sent().count(("payment_received", PAYEE)) == 1
