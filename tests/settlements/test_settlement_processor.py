"""The processors of a settlement that follow its payments and tell people."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, transitions
from jobqueue.testing import run_job
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.performing import perform
from jobqueue.worker.settling import settle_and_tell
from jobqueue.worker.telling import Teller
from settlements.jobs import add_settlement_processing_job
from settlements.models import Discrepancy, Payment, Settlement
from settlements.processors import settlement as settlement_processor
from tests.settlements.steps import (
    EMAIL,
    NOTIFICATION,
    REMINDER,
    at_once,
    domain_settings,
    emails_asked_for,
    emails_sent,
    events_of,
    forget_jobs,
    initial_reminder_went_out,
    jobs_of,
    only,
    run_soon,
    stored,
    waiting_of,
)

MakeSettlement = Callable[..., Settlement]
MakePayment = Callable[..., Payment]


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def complete(settlement: Settlement) -> Job:
    """Run `auto_complete` for the settlement."""
    job = add_settlement_processing_job(settlement.pk, "auto_complete")
    run_job(job)
    return job


def status_of(row: Settlement | Payment) -> str:
    """The status that the database has."""
    return str(stored(row).status)


# `auto_complete` ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payments", "status"),
    [
        ([], "pending"),
        ([("completed", 100)], "completed"),
        ([("completed", 40)], "partially_paid"),
        ([("completed", 40), ("completed", 60)], "completed"),
        ([("completed", 99), ("completed", "0.99")], "partially_paid"),
        ([("completed", "33.33"), ("completed", "33.33"), ("completed", "33.34")], "completed"),
        ([("completed", 100), ("completed", 50)], "completed"),
        ([("pending", 100)], "pending"),
        ([("processing", 100)], "pending"),
        ([("failed", 100)], "pending"),
        ([("refunded", 100)], "pending"),
        ([("completed", 60), ("refunded", 60)], "partially_paid"),
        ([("completed", 60), ("pending", 40)], "partially_paid"),
    ],
)
def test_the_status_follows_the_completed_payments(
    settlement: Settlement, make_payment: MakePayment, payments: list[tuple[str, object]], status: str
) -> None:
    Payment.objects.bulk_create(
        [
            Payment(settlement=settlement, status=name, amount=Money(amount, "EUR"))
            for name, amount in payments
        ]
    )
    complete(settlement)
    assert status_of(settlement) == status


def test_a_completion_that_changes_nothing_says_so(settlement: Settlement) -> None:
    job = complete(settlement)
    assert (job.state, job.reason) == (Job.State.COMPLETED, "skipped: settlement already pending")


def test_completing_tells_both_and_ends_the_reminders(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    complete(settlement)
    assert "settlement_completed" in events_of(settlement)
    assert waiting_of(settlement, REMINDER) == []


def test_completing_twice_changes_nothing_and_mails_once(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    complete(settlement)
    run_soon()
    before = (stored(settlement).updated_at, emails_sent())
    assert complete(settlement).reason == "skipped: settlement already completed"
    run_soon()
    assert (stored(settlement).updated_at, emails_sent()) == before
    assert [email for email in emails_sent() if email[0] == "settlement_completed"] == [
        ("settlement_completed", "payee@example.com"),
        ("settlement_completed", "payer@example.com"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_completions_at_the_same_moment_complete_once(
    make_settlement: MakeSettlement, make_payment: MakePayment
) -> None:
    settlement = make_settlement()
    make_payment(settlement, status="completed")
    Job.objects.all().delete()
    identity = Identity(UUID(int=3), "tests")
    jobs = [add_settlement_processing_job(settlement.pk, "auto_complete") for _ in range(4)]
    claims = transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], identity.id)
    outcomes = at_once(*[partial(perform, Claim(job, "default")) for job in claims])
    settle_and_tell(outcomes, identity, Teller())
    assert sorted(outcome.status for outcome in outcomes) == ["completed", "skipped", "skipped", "skipped"]
    assert events_of(settlement) == ["settlement_completed"]
    run_soon()
    assert emails_sent() == [
        ("settlement_completed", "payee@example.com"),
        ("settlement_completed", "payer@example.com"),
    ]


def test_a_payment_in_another_currency_counts_nothing_and_is_noted_for_operators(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed", amount=Money(100, "USD"))
    job = complete(settlement)
    assert (job.state, job.reason) == (Job.State.COMPLETED, "skipped: settlement already pending")
    noted = Discrepancy.objects.get()
    assert (noted.kind, noted.settlement, noted.payment) == ("currency", settlement, payment)
    assert (noted.amount, noted.currency) == (Decimal(100), "USD")


def test_a_payment_in_another_currency_is_noted_once(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed", amount=Money(100, "USD"))
    for _ in range(2):
        complete(settlement)
    assert Discrepancy.objects.count() == 1


def test_a_payment_in_another_currency_does_not_keep_the_others_from_counting(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed", amount=Money(100, "EUR"))
    make_payment(settlement, status="completed", amount=Money(1, "USD"))
    complete(settlement)
    assert status_of(settlement) == "completed"


def test_an_unsettled_payment_in_another_currency_does_not_matter(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed")
    make_payment(settlement, status="failed", amount=Money(1, "USD"))
    complete(settlement)
    assert status_of(settlement) == "completed"


def test_a_settlement_completed_by_hand_stays_completed_after_a_part_payment(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    settlement.complete()
    settlement.save()
    make_payment(settlement, status="completed", amount=Money(1, "EUR"))
    run_soon()
    assert status_of(settlement) == "completed"


def test_a_cancelled_settlement_stays_cancelled(settlement: Settlement, make_payment: MakePayment) -> None:
    settlement.cancel()
    settlement.save()
    make_payment(settlement, status="completed")
    assert complete(settlement).reason == "skipped: settlement cancelled"
    assert status_of(settlement) == "cancelled"


def test_completing_a_deleted_settlement_is_skipped(settlement: Settlement) -> None:
    job = add_settlement_processing_job(settlement.pk, "auto_complete")
    Job.objects.exclude(pk=job.pk).delete()
    Settlement.objects.filter(pk=settlement.pk)._raw_delete("default")
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"


def test_status_and_notification_are_one_transaction(
    settlement: Settlement, make_payment: MakePayment, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_payment(settlement, status="completed")
    save = Settlement.save

    def save_and_fail(self: Settlement, **options: object) -> None:
        save(self, **options)
        raise IntegrityError("the connection is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Settlement, "save", save_and_fail)
        complete(settlement)
    assert status_of(settlement) == "pending"
    assert "settlement_completed" not in events_of(settlement)


# Money that goes back -----------------------------------------------------------------------------


@pytest.fixture
def paid(settlement: Settlement, make_payment: MakePayment) -> Payment:
    """The payment that completed the settlement."""
    initial_reminder_went_out(settlement)
    payment = make_payment(settlement, status="completed")
    run_soon()
    assert status_of(settlement) == "completed"
    forget_jobs()
    return payment


def change_payment(payment: Payment, **values: object) -> None:
    """Save the payment with these values and run what that leads to."""
    for name, value in values.items():
        setattr(payment, name, value)
    payment.save()
    run_soon()


def test_a_refund_reopens_the_settlement(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, status="refunded")
    assert status_of(settlement) == "pending"


def test_a_refund_tells_both_what_happened(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, status="refunded")
    assert emails_sent() == [
        ("payment_refunded", "payee@example.com"),
        ("payment_refunded", "payer@example.com"),
        ("settlement_reopened", "payee@example.com"),
        ("settlement_reopened", "payer@example.com"),
    ]


def test_a_refund_brings_the_reminders_back(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, status="refunded")
    assert {job.payload["reminder_type"] for job in waiting_of(settlement, REMINDER)} >= {"final", "overdue"}


def test_a_refund_of_a_part_leaves_the_other_part_paid(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    make_payment(settlement, status="completed", amount=Money(60, "EUR"))
    part = make_payment(settlement, status="completed", amount=Money(40, "EUR"))
    run_soon()
    change_payment(part, status="refunded")
    assert status_of(settlement) == "partially_paid"


def test_a_refund_of_what_was_paid_too_much_leaves_the_settlement_completed(
    settlement: Settlement, paid: Payment, make_payment: MakePayment
) -> None:
    more = make_payment(settlement, status="completed", amount=Money(20, "EUR"))
    run_soon()
    change_payment(more, status="refunded")
    assert status_of(settlement) == "completed"


def test_paying_again_after_a_refund_completes_again(
    settlement: Settlement, paid: Payment, make_payment: MakePayment
) -> None:
    change_payment(paid, status="refunded")
    make_payment(settlement, status="completed")
    run_soon()
    assert status_of(settlement) == "completed"


def test_a_refund_of_a_part_reopens_a_settlement_completed_by_hand(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed", amount=Money(30, "EUR"))
    run_soon()
    settlement.refresh_from_db()
    settlement.complete()
    settlement.save()
    change_payment(payment, status="refunded")
    assert status_of(settlement) == "pending"


@pytest.mark.parametrize("status", ["failed", "pending", "processing"])
def test_a_payment_that_turns_out_not_to_have_come_reopens_the_settlement(
    settlement: Settlement, paid: Payment, status: str
) -> None:
    change_payment(paid, status=status)
    assert status_of(settlement) == "pending"


def test_a_payment_corrected_downwards_reopens_the_settlement(settlement: Settlement, paid: Payment) -> None:
    change_payment(paid, amount=Money(10, "EUR"))
    assert status_of(settlement) == "partially_paid"


def test_a_payment_corrected_upwards_completes_the_settlement(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed", amount=Money(10, "EUR"))
    run_soon()
    change_payment(payment, amount=Money(100, "EUR"))
    assert status_of(settlement) == "completed"


def test_an_old_refund_does_not_reopen_a_settlement_completed_by_hand_since(
    settlement: Settlement, paid: Payment, make_payment: MakePayment
) -> None:
    change_payment(paid, status="refunded")
    settlement.refresh_from_db()
    settlement.complete()
    settlement.save()
    make_payment(settlement, status="completed", amount=Money(1, "EUR"))
    run_soon()
    assert status_of(settlement) == "completed"


@pytest.mark.parametrize(("amount", "status"), [(40, "completed"), (41, "partially_paid")])
def test_a_lower_amount_may_be_covered_already(
    settlement: Settlement, make_payment: MakePayment, amount: int, status: str
) -> None:
    make_payment(settlement, status="completed", amount=Money(40, "EUR"))
    run_soon()
    settlement.refresh_from_db()
    settlement.amount = Money(amount, "EUR")
    settlement.save()
    run_soon()
    assert status_of(settlement) == status


def test_a_higher_amount_reopens_what_payments_had_completed(settlement: Settlement, paid: Payment) -> None:
    settlement.refresh_from_db()
    settlement.amount = Money(150, "EUR")
    settlement.save()
    run_soon()
    assert status_of(settlement) == "partially_paid"


def test_a_higher_amount_does_not_reopen_what_was_completed_by_hand(settlement: Settlement) -> None:
    settlement.complete()
    settlement.save()
    settlement.amount = Money(150, "EUR")
    settlement.save()
    run_soon()
    assert status_of(settlement) == "completed"


@pytest.mark.parametrize(("reopen", "status"), [(None, "pending"), (True, "pending"), (False, "completed")])
def test_a_completion_asked_for_by_hand_reopens_after_a_refund_unless_told_otherwise(
    settlement: Settlement, paid: Payment, reopen: bool | None, status: str
) -> None:
    Payment.objects.filter(pk=paid.pk).update(status="refunded")
    run_job(add_settlement_processing_job(settlement.pk, "auto_complete", reopen=reopen))
    assert status_of(settlement) == status


# `settlement_notification` ------------------------------------------------------------------------


def notify(settlement: Settlement, event: str | None = None, payment: Payment | None = None) -> Job:
    """Run a notification about the event."""
    job = add_settlement_processing_job(
        settlement.pk, "settlement_notification", event=event, payment_id=payment and payment.pk
    )
    run_job(job)
    return job


BOTH = ["payee@example.com", "payer@example.com"]


@pytest.mark.parametrize(
    ("event", "status", "recipients"),
    [
        ("settlement_created", "pending", BOTH),
        ("settlement_updated", "pending", BOTH),
        ("settlement_completed", "completed", BOTH),
        ("settlement_cancelled", "cancelled", BOTH),
        ("settlement_reopened", "pending", BOTH),
        ("payment_received", "pending", ["payee@example.com"]),
        ("payment_failed", "pending", ["payer@example.com"]),
        ("payment_refunded", "pending", BOTH),
    ],
)
def test_an_event_is_told_to_the_people_it_concerns(
    settlement: Settlement, event: str, status: str, recipients: list[str]
) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    payment = None
    if event.startswith("payment_"):
        happened = event.removeprefix("payment_").replace("received", "completed")
        payment = Payment(settlement=settlement, amount=Money(5, "EUR"), status=happened)
        Payment.objects.bulk_create([payment])
    notify(settlement, event, payment)
    assert emails_asked_for(settlement) == [(event, recipient) for recipient in recipients]


@pytest.mark.parametrize("event", ["payment_received", "payment_failed", "payment_refunded"])
def test_an_event_of_a_payment_without_a_payment_tells_nobody(settlement: Settlement, event: str) -> None:
    job = notify(settlement, event)
    assert job.reason == "skipped: no payment is named"
    assert emails_asked_for(settlement) == []


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ("pending", "settlement_updated"),
        ("partially_paid", "settlement_updated"),
        ("completed", "settlement_completed"),
        ("cancelled", "settlement_cancelled"),
    ],
)
def test_without_an_event_the_status_is_told(settlement: Settlement, status: str, event: str) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    notify(settlement)
    assert {template_type for template_type, _ in emails_asked_for(settlement)} == {event}


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        ("settlement_completed", "pending", "settlement is pending again"),
        ("settlement_cancelled", "pending", "settlement is pending again"),
        ("settlement_reopened", "completed", "settlement is completed again"),
        ("settlement_created", "cancelled", "settlement cancelled"),
        ("settlement_updated", "cancelled", "settlement cancelled"),
    ],
)
def test_an_event_that_is_no_news_any_more_is_skipped(
    settlement: Settlement, event: str, status: str, reason: str
) -> None:
    Settlement.objects.filter(pk=settlement.pk).update(status=status)
    assert notify(settlement, event).reason == f"skipped: {reason}"
    assert jobs_of(settlement, EMAIL) == []


def test_the_email_knows_the_settlement_and_the_payment(
    settlement: Settlement, make_payment: MakePayment, payee: User
) -> None:
    payment = make_payment(settlement, status="completed")
    notify(settlement, "payment_received", payment)
    assert only(settlement, EMAIL).payload == {
        "user_id": payee.pk,
        "template_type": "payment_received",
        "template_data": {"settlement_id": str(settlement.pk), "payment_id": str(payment.pk)},
    }


@pytest.mark.parametrize(
    ("event", "status", "called_for"),
    [
        ("payment_received", "pending", "completed"),
        ("payment_received", "refunded", "completed"),
        ("payment_failed", "processing", "failed"),
        ("payment_refunded", "completed", "refunded"),
    ],
)
def test_news_of_a_payment_that_are_not_so_any_more_are_skipped(
    settlement: Settlement, make_payment: MakePayment, event: str, status: str, called_for: str
) -> None:
    payment = make_payment(settlement, status=status)
    assert notify(settlement, event, payment).reason == f"skipped: payment is {status}, not {called_for}"


def test_a_failed_payment_is_no_news_once_nothing_is_owed(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    failed = make_payment(settlement, status="failed")
    make_payment(settlement, status="completed")
    assert notify(settlement, "payment_failed", failed).reason == "skipped: nothing is left to pay"


def test_a_notification_that_runs_twice_asks_for_each_email_once(settlement: Settlement) -> None:
    job = notify(settlement, "settlement_updated")
    for email in waiting_of(settlement, EMAIL):
        run_job(email)
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=2)
    job.refresh_from_db()
    run_job(job)
    assert emails_asked_for(settlement) == [("settlement_updated", address) for address in BOTH]


def test_a_notification_that_failed_half_way_asks_for_each_email_once(
    settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = settlement_processor.add_letter_job
    calls: list[object] = []

    def fail_the_second_time(*arguments: object, **options: object) -> Job:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("the disk is full")
        return add(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(settlement_processor, "add_letter_job", fail_the_second_time)
    job = notify(settlement, "settlement_updated")
    assert (job.state, jobs_of(settlement, EMAIL)) == (Job.State.WAITING, [])
    run_job(job)
    assert emails_asked_for(settlement) == [("settlement_updated", address) for address in BOTH]


def test_somebody_who_owes_money_to_himself_is_told_once(
    make_settlement: MakeSettlement, payer: User
) -> None:
    settlement = make_settlement(payee=payer)
    notify(settlement, "settlement_updated")
    assert emails_asked_for(settlement) == [("settlement_updated", "payer@example.com")]


def test_somebody_without_an_address_is_left_out(settlement: Settlement, payee: User) -> None:
    User.objects.filter(pk=payee.pk).update(email="")
    notify(settlement, "settlement_updated")
    assert emails_asked_for(settlement) == [("settlement_updated", "payer@example.com")]


def test_nobody_with_an_address_is_skipped_with_the_reason(settlement: Settlement) -> None:
    User.objects.update(email="")
    assert (
        notify(settlement, "settlement_updated").reason == "skipped: nobody concerned has an e-mail address"
    )


def test_a_broken_address_does_not_keep_the_other_from_being_told(
    settlement: Settlement, payee: User
) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    notify(settlement, "settlement_updated")
    assert emails_asked_for(settlement) == [("settlement_updated", "payer@example.com")]


def test_a_broken_address_fails_the_job_and_says_whose_it_is(settlement: Settlement, payee: User) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    job = notify(settlement, "settlement_updated")
    assert (job.state, job.attempt) == (Job.State.FAILED, 1)
    assert f"user {payee.pk}" in job.reason


def test_once_the_address_is_mended_a_retry_tells_only_the_one_who_was_left_out(
    settlement: Settlement, payee: User
) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    job = notify(settlement, "settlement_updated")
    User.objects.filter(pk=payee.pk).update(email="mended@example.com")
    job.retry()
    run_job(job)
    assert emails_asked_for(settlement) == [
        ("settlement_updated", "mended@example.com"),
        ("settlement_updated", "payer@example.com"),
    ]


def test_a_notification_about_a_deleted_settlement_is_skipped(settlement: Settlement) -> None:
    job = add_settlement_processing_job(settlement.pk, "settlement_notification")
    Settlement.objects.filter(pk=settlement.pk)._raw_delete("default")
    run_job(job)
    assert job.reason == "skipped: settlement was deleted"


def test_a_notification_about_a_deleted_payment_is_skipped(
    settlement: Settlement, make_payment: MakePayment
) -> None:
    payment = make_payment(settlement, status="completed")
    job = next(job for job in jobs_of(settlement, NOTIFICATION) if job.payload.get("payment_id"))
    payment.delete()
    run_job(job)
    assert job.reason == "skipped: payment was deleted"
