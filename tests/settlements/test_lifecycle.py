"""Saving a settlement or a payment is all it takes: what each save leads to, and what leads to nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.broker import connections
from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from settlements.exceptions import InvalidAmount
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.reconcile import reconcile
from spendsync_site.demo.processes import LOOPBACK, free_port
from tests.jobqueue.reading import messages_in
from tests.settlements.steps import (
    AUTO_COMPLETE,
    EMAIL,
    FIRST_CHECK,
    NOTIFICATION,
    NOTIFICATION_DELAY,
    REMINDER,
    STATUS_CHECK,
    about,
    delivered,
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
    waiting_of,
)

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]
DAY = timedelta(days=1)
PAYER, PAYEE = "payer@example.com", "payee@example.com"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def about_the_settlement() -> list[tuple[str, str]]:
    """The e-mails that went out about the settlement itself."""
    return [email for email in emails_sent() if email[0].startswith("settlement")]


def both(template_type: str) -> list[tuple[str, str]]:
    """One e-mail of that type to each of the two."""
    return [(template_type, PAYEE), (template_type, PAYER)]


@pytest.fixture
def known(settlement: Settlement) -> Settlement:
    """A settlement that everybody heard of already; no job is left of that."""
    initial_reminder_went_out(settlement)
    forget_jobs()
    return settlement


# A new settlement ---------------------------------------------------------------------------------


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


# Changes of a settlement --------------------------------------------------------------------------


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


# Payments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_an_unsettled_payment_is_asked_about_after_a_while(
    known: Settlement, make_payment: MakePayment, status: str
) -> None:
    payment = make_payment(known, status=status)
    [job] = jobs_of(known)
    assert job.processor == STATUS_CHECK
    assert job.payload == {"settlement_id": str(known.pk), "payment_id": str(payment.pk)}
    assert about(job.run_at, timezone.now() + FIRST_CHECK)


def test_each_of_several_payments_has_a_check_of_its_own(
    known: Settlement, make_payment: MakePayment
) -> None:
    payments = [make_payment(known, status=status) for status in ("pending", "processing", "pending")]
    checks = jobs_of(known, STATUS_CHECK)
    assert [job.payload["payment_id"] for job in checks] == [str(payment.pk) for payment in payments]


def test_a_payment_that_starts_processing_is_asked_about(
    known: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(known, status="failed")
    forget_jobs()
    payment.status = "processing"
    payment.save()
    assert [job.processor for job in jobs_of(known)] == [STATUS_CHECK]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_completed_payment_completes_the_settlement_and_is_told_to_the_payee(
    known: Settlement, make_payment: MakePayment, is_new: bool
) -> None:
    payment = make_payment(known, status="completed" if is_new else "pending")
    if not is_new:
        Job.objects.all().delete()
        payment.status = "completed"
        payment.save()
    assert sorted(job.processor for job in jobs_of(known)) == [AUTO_COMPLETE, NOTIFICATION]
    assert events_of(known) == ["payment_received"]
    run_soon()
    assert emails_sent() == [("payment_received", PAYEE), *both("settlement_completed")]
    assert stored(known).status == "completed"


def test_a_part_payment_makes_the_settlement_partially_paid(
    known: Settlement, make_payment: MakePayment
) -> None:
    make_payment(known, status="completed", amount=Money(30, "EUR"))
    run_soon()
    assert stored(known).status == "partially_paid"
    assert emails_sent() == [("payment_received", PAYEE), *both("settlement_updated")]


def test_part_payments_that_cover_it_together_complete_the_settlement(
    known: Settlement, make_payment: MakePayment
) -> None:
    for amount in (30, 30, 40):
        make_payment(known, status="completed", amount=Money(amount, "EUR"))
        run_soon()
    assert stored(known).status == "completed"


def test_payments_in_one_moment_complete_the_settlement_once(
    known: Settlement, make_payment: MakePayment
) -> None:
    for amount in (30, 30, 60):
        make_payment(known, status="completed", amount=Money(amount, "EUR"))
    run_soon()
    assert about_the_settlement() == both("settlement_completed")
    assert [email for email in emails_sent() if email[0].startswith("payment")] == [
        ("payment_received", PAYEE)
    ] * 3


def test_a_failed_payment_is_told_to_the_payer_alone(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    Job.objects.all().delete()
    payment.status, payment.failure_reason = "failed", "card expired"
    payment.save()
    run_soon()
    assert emails_sent() == [("payment_failed", PAYER)]
    assert "card expired" in str(mail.outbox[-1].body)
    assert stored(known).status == "pending"


def test_a_refunded_payment_reopens_the_settlement_and_is_told(
    known: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(known, status="completed")
    run_soon()
    forget_jobs()
    assert stored(known).status == "completed"
    payment.status = "refunded"
    payment.save()
    assert events_of(known) == ["payment_refunded"]
    run_soon()
    assert stored(known).status == "pending"
    assert emails_sent() == [*both("payment_refunded"), *both("settlement_reopened")]


def test_payment_jobs_are_found_among_the_settlements(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known, status="completed")
    notification = only(known, NOTIFICATION)
    assert notification.payload["payment_id"] == str(payment.pk)


def test_a_payment_story_from_first_save_to_last_email(known: Settlement, make_payment: MakePayment) -> None:
    payment = make_payment(known)
    for status in ("processing", "failed", "processing", "completed"):
        payment.status = status
        payment.save()
        run_soon()
    assert stored(known).status == "completed"
    assert emails_sent() == [
        ("payment_failed", PAYER),
        ("payment_received", PAYEE),
        *both("settlement_completed"),
    ]


# Nothing changed ----------------------------------------------------------------------------------


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


# Quick saves --------------------------------------------------------------------------------------


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


# Fixtures, transactions, aliases ------------------------------------------------------------------


@pytest.fixture
def fixture_file(settlement: Settlement, make_payment: MakePayment, tmp_path: Path) -> Path:
    """Two settlements and a payment as `dumpdata` writes them; nothing of them is left in the database."""
    make_payment(settlement, status="pending")
    settlement.complete()
    settlement.save()
    make_payment(status="completed", amount=Money(1, "EUR"))
    path = tmp_path / "story.json"
    call_command("dumpdata", "settlements.settlement", "settlements.payment", output=str(path), verbosity=0)
    Settlement.objects.all().delete()
    Job.objects.all().delete()
    return path


def without_markers(path: Path) -> None:
    """Rewrite a fixture as somebody writes it by hand, or as an older version wrote it."""
    rows = json.loads(path.read_text())
    for row in rows:
        row["fields"].pop("announced_status")
        row["fields"].pop("announced_due_date", None)
    path.write_text(json.dumps(rows))


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("written_by_hand", [False, True])
def test_loaddata_enqueues_nothing_then_or_later(fixture_file: Path, written_by_hand: bool) -> None:
    if written_by_hand:
        without_markers(fixture_file)
    call_command("loaddata", str(fixture_file), verbosity=0)
    assert (Settlement.objects.count(), Payment.objects.count()) == (2, 2)
    assert not Job.objects.exists()
    assert reconcile(full=False) == {}
    assert not Job.objects.exists()


def test_loaddata_over_known_rows_enqueues_nothing(fixture_file: Path) -> None:
    call_command("loaddata", str(fixture_file), verbosity=0)
    Settlement.objects.update(description="Lunch")
    call_command("loaddata", str(fixture_file), verbosity=0)
    assert not Job.objects.exists()


def test_a_loaded_settlement_that_changes_is_like_any_other(fixture_file: Path) -> None:
    call_command("loaddata", str(fixture_file), verbosity=0)
    settlement = Settlement.objects.get(status="pending")
    settlement.cancel()
    settlement.save()
    assert events_of(settlement) == ["settlement_cancelled"]


def test_a_rollback_leaves_no_job(make_settlement: MakeSettlement, make_payment: MakePayment) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        settlement = make_settlement()
        make_payment(settlement, status="completed")
        assert Job.objects.exists()
        raise ZeroDivisionError
    assert not Job.objects.exists()


def test_a_rolled_back_change_leaves_the_jobs_as_they_were(known: Settlement) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        known.cancel()
        known.save()
        raise ZeroDivisionError
    assert jobs_of(known) == []


def test_a_save_that_fails_leaves_nothing(
    make_settlement: MakeSettlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("settlements.signals.plan_reminders", None)
    with pytest.raises(TypeError):
        make_settlement()
    assert not Settlement.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_save_publishes_its_jobs_after_the_commit_and_not_before(make_settlement: MakeSettlement) -> None:
    with transaction.atomic():
        make_settlement()
        assert messages_in("reminders") == 0
    assert messages_in("reminders") == 1


@pytest.mark.django_db(transaction=True)
def test_a_save_that_is_rolled_back_publishes_nothing(make_settlement: MakeSettlement) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        make_settlement()
        raise ZeroDivisionError
    assert [messages_in(queue) for queue in ("email", "reminders", "settlement")] == [0, 0, 0]


@pytest.fixture
def in_other() -> Settlement:
    """A settlement between two people that only the other database knows."""
    users = User.objects.using("other")
    payer = users.create(username="anna", email="anna@example.com")
    payee = users.create(username="otto", email="otto@example.com")
    settlement = Settlement(
        description="Rent",
        payer=payer,
        payee=payee,
        amount=Money(500, "EUR"),
        due_date=timezone.now() + 10 * DAY,
    )
    settlement.save(using="other")
    return settlement


@pytest.mark.django_db(databases=["default", "other"])
def test_a_save_in_another_database_has_its_jobs_there(in_other: Settlement) -> None:
    assert events_of(in_other, using="other") == ["settlement_created"]
    assert len(reminders_of(in_other, using="other")) == 6
    assert not Job.objects.using("default").exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_jobs_in_another_database_send_their_emails(in_other: Settlement) -> None:
    run_soon(using="other")
    assert emails_sent(using="other") == [
        ("reminder_initial", "anna@example.com"),
        ("settlement_created", "anna@example.com"),
        ("settlement_created", "otto@example.com"),
    ]
    assert sorted(message.to[0] for message in mail.outbox) == [
        "anna@example.com",
        "anna@example.com",
        "otto@example.com",
    ]
    assert all("Rent" in str(message.body) for message in mail.outbox)


@pytest.mark.django_db(databases=["default", "other"])
def test_a_payment_in_another_database_completes_the_settlement_there(in_other: Settlement) -> None:
    Payment(settlement=in_other, amount=in_other.amount, status="completed").save(using="other")
    run_soon(using="other")
    assert stored(in_other, using="other").status == "completed"
    assert ("payment_received", "otto@example.com") in emails_sent(using="other")
    assert reminders_of(in_other, using="other") == {}


@pytest.mark.django_db(databases=["default", "other"])
def test_a_life_in_another_database_leaves_nothing_in_the_default_one(in_other: Settlement) -> None:
    with at(in_other.due_date + DAY):
        drain(using="other")
    payment = Payment(settlement=in_other, amount=in_other.amount, status="processing")
    payment.save(using="other")
    run_job(only(in_other, STATUS_CHECK, using="other"), using="other")
    payment.status = "completed"
    payment.save()
    run_soon(using="other")
    reconcile(full=True)
    in_other.delete()
    for model in (Job, Settlement, Payment, EmailDelivery, ReminderDelivery):
        assert not model._base_manager.using("default").exists()


@pytest.mark.django_db(databases=["default", "other"])
def test_a_settlement_copied_to_another_database_is_a_new_one_there(settlement: Settlement) -> None:
    for user in User.objects.all():
        user.save(using="other")
    forget_jobs()
    settlement.save(using="other")
    assert events_of(settlement, using="other") == ["settlement_created"]
    assert not Job.objects.using("default").exists()


# Redis away ---------------------------------------------------------------------------------------


@pytest.fixture(params=["down", "hanging"])
def redis_away(
    request: pytest.FixtureRequest, settings: DjangoSettings, blackhole: tuple[str, int]
) -> Callable[[], None]:
    """Points the queues at a Redis that is not there, or never answers; calling it brings Redis back."""
    configured = settings.RQ_QUEUES
    host, port = (LOOPBACK, free_port()) if request.param == "down" else blackhole
    settings.RQ_QUEUES = {name: {**queue, "HOST": host, "PORT": port} for name, queue in configured.items()}

    def back() -> None:
        settings.RQ_QUEUES = configured

    return back


@pytest.mark.django_db(transaction=True)
def test_a_save_without_redis_succeeds_without_delay(
    redis_away: Callable[[], None], make_settlement: MakeSettlement
) -> None:
    make_settlement()  # whatever is done once in a process is done
    seconds = []
    for _ in range(3):
        connections.circuit.close()
        started = time.perf_counter()
        settlement = make_settlement()
        seconds.append(time.perf_counter() - started)
        assert stored(settlement).status == "pending"
    redis_away()
    connections.circuit.close()
    started = time.perf_counter()
    make_settlement()
    assert min(seconds) - (time.perf_counter() - started) < 0.1


@pytest.mark.django_db(transaction=True)
def test_the_jobs_of_a_save_without_redis_run_later(
    redis_away: Callable[[], None], make_settlement: MakeSettlement
) -> None:
    settlement = make_settlement()
    redis_away()
    assert Job.objects.filter(published_at__isnull=False).count() == 0
    run_soon()
    assert emails_sent() == [("reminder_initial", PAYER), *both("settlement_created")]
    assert delivered(settlement) == [("initial", 0)]


# Deleting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delete", [Settlement.delete, lambda row: Settlement.objects.filter(pk=row.pk).delete()]
)
def test_deleting_a_settlement_cancels_its_jobs(
    settlement: Settlement, make_payment: MakePayment, delete: Callable[[Settlement], object]
) -> None:
    make_payment(settlement)
    copy = stored(settlement)
    delete(settlement)
    jobs = jobs_of(copy)
    assert {job.processor for job in jobs} == {NOTIFICATION, REMINDER, STATUS_CHECK}
    assert {(job.state, job.reason) for job in jobs} == {(Job.State.CANCELLED, "the settlement was deleted")}


def test_a_deletion_that_is_rolled_back_keeps_the_jobs(settlement: Settlement) -> None:
    before = waiting_of(settlement)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        stored(settlement).delete()
        raise ZeroDivisionError
    assert waiting_of(settlement) == before


def test_deleting_a_settlement_leaves_the_others_alone(
    settlement: Settlement, make_settlement: MakeSettlement
) -> None:
    other = make_settlement()
    count = len(waiting_of(other))
    settlement.delete()
    assert len(waiting_of(other)) == count
