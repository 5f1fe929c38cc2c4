"""What a settlement leads to by being saved: notifications, reminders and news of its changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from settlements.models import Payment, Settlement
from settlements.reconcile import reconcile
from tests.settlements.lifecycle_steps import (
    DAY,
    PAYEE,
    PAYER,
    MakePayment,
    MakeSettlement,
    about_the_settlement,
    both,
)
from tests.settlements.steps import (
    EMAIL,
    NOTIFICATION,
    NOTIFICATION_DELAY,
    REMINDER,
    about,
    domain_settings,
    emails_sent,
    events_of,
    forget_jobs,
    give_status,
    initial_reminder_went_out,
    jobs_of,
    only,
    reminders_of,
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


# A new settlement -----------------------------------------------------------------------------------


def test_a_new_settlement_has_one_notification_and_its_reminder_plan(settlement: Settlement) -> None:
    jobs = jobs_of(settlement)
    assert [job.processor for job in jobs].count(NOTIFICATION) == 1
    assert {job.processor for job in jobs} == {NOTIFICATION, REMINDER}
    assert events_of(settlement) == ["settlement_created"]


def test_a_notification_waits_a_moment_for_more_changes(settlement: Settlement) -> None:
    assert about(only(settlement, NOTIFICATION).run_at, timezone.now() + NOTIFICATION_DELAY, 1.5)


def test_a_new_settlement_is_told_to_both_and_the_payer_is_reminded(settlement: Settlement) -> None:
    run_soon()
    assert emails_sent() == [("reminder_initial", PAYER), *both("settlement_created")]
    assert sorted(message.to[0] for message in mail.outbox) == [PAYEE, PAYER, PAYER]


def test_the_jobs_of_a_settlement_are_in_their_three_queues(settlement: Settlement) -> None:
    run_soon()
    assert {(job.processor, job.queue) for job in jobs_of(settlement)} == {
        (NOTIFICATION, "settlement"),
        (REMINDER, "reminders"),
        (EMAIL, "email"),
    }


# Changes of a settlement ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ("pending", "partially_paid", "settlement_updated"),
        ("pending", "completed", "settlement_completed"),
        ("partially_paid", "completed", "settlement_completed"),
        ("pending", "cancelled", "settlement_cancelled"),
        ("partially_paid", "cancelled", "settlement_cancelled"),
        ("completed", "pending", "settlement_reopened"),
        ("completed", "partially_paid", "settlement_reopened"),
        ("cancelled", "pending", "settlement_reopened"),
        ("partially_paid", "pending", "settlement_updated"),
        ("completed", "cancelled", "settlement_cancelled"),
    ],
)
def test_a_changed_status_is_told_to_both(
    make_settlement: MakeSettlement, before: str, after: str, event: str
) -> None:
    settlement = make_settlement()
    give_status(settlement, before)
    forget_jobs()
    give_status(settlement, after)
    assert events_of(settlement) == [event]
    run_soon()
    assert about_the_settlement() == both(event)


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Lunch"},
        {"amount": Money(70, "EUR")},
        {"amount": Money(100, "CHF")},
        {"due_date": timezone.now() + 77 * DAY},
    ],
    ids=["description", "amount", "currency", "due date"],
)
def test_changed_terms_are_told_to_both(known: Settlement, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(known, name, value)
    known.save()
    assert events_of(known) == ["settlement_updated"]
    run_soon()
    assert about_the_settlement() == both("settlement_updated")


def test_pausing_the_reminders_is_nobodys_news(known: Settlement) -> None:
    known.reminders_paused = True
    known.save()
    assert jobs_of(known) == []


def test_a_domain_verb_and_a_save_are_enough(known: Settlement) -> None:
    known.complete()
    known.save()
    assert events_of(known) == ["settlement_completed"]


def test_a_save_of_one_field_is_enough(known: Settlement) -> None:
    known.status = "cancelled"
    known.save(update_fields=["status"])
    assert events_of(known) == ["settlement_cancelled"]


def test_a_value_that_the_save_leaves_out_is_no_change(known: Settlement) -> None:
    known.status, known.description = "cancelled", "Lunch"
    known.save(update_fields=["description"])
    assert events_of(known) == ["settlement_updated"]
    assert (stored(known).status, reminders_of(known)) == ("pending", {})


@pytest.mark.django_db(databases=["default", "other"])
def test_a_save_of_an_instance_that_was_loaded_in_part_is_announced(known: Settlement) -> None:
    part = Settlement.objects.only("status").get(pk=known.pk)
    part.status = "cancelled"
    part.save()
    assert events_of(known) == ["settlement_cancelled"]
    run_soon()
    assert reconcile(full=False) == {}


@pytest.mark.django_db(databases=["default", "other"])
def test_a_save_of_a_payment_that_was_loaded_in_part_is_announced(
    known: Settlement, make_payment: MakePayment
) -> None:
    part = Payment.objects.defer("announced_status").get(pk=make_payment(known).pk)
    part.status = "failed"
    part.save()
    run_soon()
    assert emails_sent() == [("payment_failed", PAYER)]
    assert reconcile(full=False) == {}


def test_a_stale_instance_counts_as_what_it_does_to_the_row(known: Settlement) -> None:
    stale = stored(known)
    known.complete()
    known.save()
    forget_jobs()
    stale.status = "pending"
    stale.save()
    assert events_of(known) == ["settlement_reopened"]


@pytest.mark.parametrize("verb", ["get_or_create", "update_or_create"])
def test_the_managers_verbs_count_as_saves(payer: User, payee: User, verb: str) -> None:
    values = {"payer": payer, "payee": payee, "amount": Money(5, "EUR"), "due_date": timezone.now() + DAY}
    settlement, _ = getattr(Settlement.objects, verb)(description="Tea", defaults=values)
    assert events_of(settlement) == ["settlement_created"]


@pytest.mark.django_db(databases=["default", "other"])
def test_update_or_create_of_a_known_settlement_counts_as_a_change(known: Settlement) -> None:
    Settlement.objects.update_or_create(pk=known.pk, defaults={"status": "cancelled"})
    assert events_of(known) == ["settlement_cancelled"]
    assert reconcile(full=False) == {}
