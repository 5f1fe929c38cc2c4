"""No two letters tell a person the same: what was told already is not told again."""

from __future__ import annotations

import threading
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.jobs import RetryLater, running
from jobqueue.models import Job
from jobqueue.registry import get_processor
from jobqueue.testing import run_job
from settlements import emails
from settlements import told as letters_told
from settlements.jobs import add_letter_job
from settlements.models import EmailDelivery, Payment, Settlement
from settlements.previews import letters_of
from tests.settlements.settlement_steps import MakePayment
from tests.settlements.steps import (
    EMAIL,
    SOON,
    at_once,
    domain_settings,
    emails_sent,
    forget_jobs,
    initial_reminder_went_out,
    jobs_of,
    run_soon,
    waiting_of,
)

PAYER, PAYEE = "payer@example.com", "payee@example.com"
SKIPPED = "skipped: already told"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def paid(settlement: Settlement, make_payment: MakePayment) -> Payment:
    """A payment of 60 of 100, of which everybody was told."""
    initial_reminder_went_out(settlement)
    payment = make_payment(settlement, status="completed", amount=Money(60, "EUR"))
    run_soon()
    forget_jobs()
    mail.outbox.clear()
    return payment


def refund(payment: Payment, amount: int | None = None) -> None:
    """Note that so much of it went back, without an e-mail of it yet, as while their queue is paused."""
    payment.refresh_from_db()
    payment.give_back(None if amount is None else Decimal(amount))
    payment.save()
    run_but_emails()


def run_but_emails() -> None:
    """Run what is due and sends no e-mail."""
    for _ in range(20):
        due = Job.objects.filter(state="waiting", run_at__lte=timezone.now() + SOON).exclude(processor=EMAIL)
        if (job := due.exclude(processor="reminders.send").order_by("id").first()) is None:
            return
        run_job(job)


def told(address: str, template_type: str = "payment_refunded") -> list[str]:
    """The subjects of the letters of one kind that went out to an address, in their order."""
    sent = EmailDelivery.objects.filter(status="sent", recipient=address, template_type=template_type)
    return list(sent.order_by("id").values_list("subject", flat=True))


def change_status(settlement: Settlement, verb: str) -> None:
    """Complete, cancel or reopen it by hand, without an e-mail of it yet."""
    settlement.refresh_from_db()
    getattr(settlement, verb)()
    settlement.save()
    run_but_emails()


@pytest.mark.django_db
class TestRefunds:
    """Letters that tell a sum."""

    def test_two_refunds_that_wait_are_told_once(self, paid: Payment) -> None:
        refund(paid, 10)
        refund(paid, 15)
        run_soon()
        assert told(PAYER) == told(PAYEE) == ["Payment partly refunded: €25.00 for Dinner in Lisbon"]

    def test_the_second_says_why_it_did_not_leave(self, paid: Payment) -> None:
        refund(paid, 10)
        refund(paid, 15)
        run_soon()
        reasons = [job.reason for job in jobs_of(paid.settlement, EMAIL) if job.reason]
        assert reasons == [SKIPPED] * 2
        assert (
            list(EmailDelivery.objects.filter(status="skipped").values_list("error", flat=True))
            == ["already told"] * 2
        )

    def test_refunds_that_are_each_told_in_time_are_two_letters(self, paid: Payment) -> None:
        refund(paid, 10)
        run_soon()
        refund(paid, 15)
        run_soon()
        assert [subject[:31] for subject in told(PAYER)] == [
            "Payment partly refunded: €10.00",
            "Payment partly refunded: €25.00",
        ]

    def test_the_same_sum_of_another_payment_is_told(self, paid: Payment, make_payment: MakePayment) -> None:
        other = make_payment(paid.settlement, status="completed", amount=Money(60, "EUR"))
        run_soon()
        refund(paid, 10)
        refund(other, 10)
        run_soon()
        assert len(told(PAYER)) == len(told(PAYEE)) == 2

    def test_a_letter_whose_job_was_pruned_keeps_no_other_back(self, paid: Payment) -> None:
        refund(paid, 10)
        run_soon()
        EmailDelivery.objects.update(job=None)
        add_letter_job(
            paid.settlement, paid.settlement.payer_id, "payment_refunded", payment_id=paid.pk, using="default"
        )
        run_soon()
        assert len(told(PAYER)) == 2

    def test_a_letter_that_did_not_arrive_is_told_again(self, paid: Payment) -> None:
        refund(paid, 10)
        refund(paid, 15)
        first = waiting_of(paid.settlement, EMAIL)[0]
        EmailDelivery.objects.create(
            job=first, about=first.subject, user_id=first.payload["user_id"], status="bounced",
            template_type="payment_refunded", subject="Payment partly refunded: €25.00 for Dinner in Lisbon",
            message_id="<1@x>",
        )  # fmt: skip
        first.delete()
        run_soon()
        assert len(told(PAYER)) == len(told(PAYEE)) == 1

    def test_a_copy_that_an_operator_makes_leaves(self, paid: Payment) -> None:
        refund(paid, 10)
        run_soon()
        add_letter_job(
            paid.settlement, paid.settlement.payer_id, "payment_refunded", payment_id=paid.pk, using="default"
        )
        Job.objects.filter(state="waiting", processor=EMAIL).update(copied_from=1)
        run_soon()
        assert len(told(PAYER)) == 2

    def test_the_preview_says_that_it_was_told(self, paid: Payment) -> None:
        refund(paid, 10)
        refund(paid, 15)
        first, *_, last = [job for job in waiting_of(paid.settlement, EMAIL) if _is_to_payer(job, paid)]
        assert [letter.skipped for letter in letters_of(last)] == [""]
        run_job(first)
        assert [letter.skipped for letter in letters_of(last)] == ["already told"]


def _is_to_payer(job: Job, payment: Payment) -> bool:
    is_to_payer = job.payload["user_id"] == payment.settlement.payer_id
    return is_to_payer and job.payload["template_type"] == "payment_refunded"


@pytest.mark.django_db
class TestStatus:
    """Letters that tell of a decision."""

    def test_a_decision_that_was_taken_twice_is_told_once(self, paid: Payment) -> None:
        for verb in ("complete", "reopen", "complete"):
            change_status(paid.settlement, verb)
        run_soon()
        assert told(PAYER, "settlement_completed") == ["Marked as paid: Dinner in Lisbon"]
        assert told(PAYEE, "settlement_completed") == ["Marked as paid: Dinner in Lisbon"]

    def test_a_decision_that_was_told_to_be_over_is_told_again(self, paid: Payment) -> None:
        for verb in ("complete", "reopen", "complete"):
            change_status(paid.settlement, verb)
            run_soon()
        assert len(told(PAYER, "settlement_completed")) == 2
        assert len(told(PAYER, "settlement_reopened")) == 1

    def test_a_reminder_between_makes_it_news_again(self, paid: Payment) -> None:
        change_status(paid.settlement, "complete")
        run_soon()
        change_status(paid.settlement, "reopen")
        Job.objects.filter(payload__template_type="settlement_reopened").update(state="cancelled")
        add_letter_job(paid.settlement, paid.settlement.payer_id, "settlement_reminder", using="default")
        run_soon()
        change_status(paid.settlement, "complete")
        run_soon()
        assert len(told(PAYER, "settlement_completed")) == 2
        assert len(told(PAYEE, "settlement_completed")) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_that_leave_at_the_same_moment_one_is_sent(
    paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund(paid, 10)
    refund(paid, 15)
    jobs = [job for job in waiting_of(paid.settlement, EMAIL) if _is_to_payer(job, paid)]
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state="active", attempt=1)

    both_looked, look = threading.Barrier(2, timeout=2), letters_told.told_before

    def look_together(*arguments: Any) -> Any:
        """Give the other one the time to look before this one goes on."""
        found = look(*arguments)
        with suppress(threading.BrokenBarrierError):
            both_looked.wait()
        return found

    monkeypatch.setattr(letters_told, "told_before", look_together)

    def send(job: Job) -> str:
        job.refresh_from_db()
        try:
            with running(job, "default"):
                return str(get_processor(EMAIL)(**job.payload))
        except RetryLater as later:
            return str(later)

    answers = at_once(*[lambda job=job: send(job) for job in jobs])  # type: ignore[misc]
    assert len(jobs) == 2
    assert len(mail.outbox) == 1, answers


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_is_taken_back_while_its_letter_is_made_ready_is_told_so(
    paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund(paid, 10)
    payer = paid.settlement.payer_id
    [refunded] = [job for job in waiting_of(paid.settlement, EMAIL) if _is_to_payer(job, paid)]
    is_looked_at, is_told, render = threading.Event(), threading.Event(), emails.render

    def render_slowly(template_type: str, *arguments: Any, **more: Any) -> Any:
        """Give the other one the time to do all it can before this letter goes on."""
        if template_type == "payment_refunded":
            is_looked_at.set()
            is_told.wait(timeout=2)
        return render(template_type, *arguments, **more)

    monkeypatch.setattr(emails, "render", render_slowly)

    def take_back() -> None:
        is_looked_at.wait(timeout=10)
        payment = Payment.objects.get(pk=paid.pk)
        payment.take_back()
        payment.save()
        run_but_emails()
        letters = [job for job in waiting_of(paid.settlement, EMAIL) if job.payload["user_id"] == payer]
        [told] = [job for job in letters if job.payload["template_type"] == "payment_refund_taken_back"]
        _run(told)
        is_told.set()

    at_once(lambda: _run(refunded), take_back)
    assert [letter.subject.partition(":")[0] for letter in mail.outbox] == [
        "Payment partly refunded",
        "Not refunded after all",
    ]


def _run(job: Job) -> str:
    Job.objects.filter(pk=job.pk).update(state="active", attempt=1)
    job.refresh_from_db()
    try:
        with running(job, "default"):
            return str(get_processor(EMAIL)(**job.payload))
    except RetryLater as later:
        return str(later)


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["active", "waiting"])
def test_what_is_with_the_mail_server_at_this_moment_is_waited_for(paid: Payment, state: str) -> None:
    refund(paid, 10)
    refund(paid, 15)
    first, second = [job for job in waiting_of(paid.settlement, EMAIL) if _is_to_payer(job, paid)]
    Job.objects.filter(pk=first.pk).update(state=state)
    EmailDelivery.objects.create(
        job=first, about=first.subject, user_id=first.payload["user_id"], status="sending",
        template_type="payment_refunded", subject="Payment partly refunded: €25.00 for Dinner in Lisbon",
        message_id="<1@x>",
    )  # fmt: skip
    with running(second, "default"), pytest.raises(RetryLater, match="another letter"):
        get_processor(EMAIL)(**second.payload)
    assert not EmailDelivery.objects.filter(job=second).exists()


@pytest.mark.django_db
class TestTakenBack:
    """A refund that is taken back, whole or in part."""

    def take_back(self, payment: Payment) -> None:
        payment.refresh_from_db()
        payment.take_back()
        payment.save()
        run_but_emails()

    @pytest.mark.parametrize("amount", [10, None])
    def test_who_was_told_of_the_refund_is_told(self, paid: Payment, amount: int | None) -> None:
        refund(paid, amount)
        run_soon()
        self.take_back(paid)
        run_soon()
        expected = ["Not refunded after all: payment of €60.00 for Dinner in Lisbon"]
        assert (
            told(PAYER, "payment_refund_taken_back") == told(PAYEE, "payment_refund_taken_back") == expected
        )

    def test_who_was_told_of_none_is_not(self, paid: Payment) -> None:
        refund(paid, 10)
        self.take_back(paid)
        run_soon()
        assert [one for one in emails_sent() if one[0].startswith("payment")] == []

    def test_a_refund_after_it_is_told_though_it_is_the_same_sum(self, paid: Payment) -> None:
        refund(paid, 10)
        run_soon()
        self.take_back(paid)
        run_soon()
        refund(paid, 10)
        run_soon()
        assert len(told(PAYER)) == 2

    def test_a_refund_that_is_the_same_before_that_is_told_says_nothing_new(self, paid: Payment) -> None:
        refund(paid, 10)
        run_soon()
        self.take_back(paid)
        refund(paid, 10)
        run_soon()
        assert len(told(PAYER)) == 1
        assert told(PAYER, "payment_refund_taken_back") == []

    def test_a_refund_that_is_less_after_all_is_told(self, paid: Payment) -> None:
        refund(paid, 25)
        run_soon()
        paid.refresh_from_db()
        paid.refunded_amount = Decimal(10)
        paid.save()
        run_soon()
        assert [subject[:31] for subject in told(PAYER)][1:] == ["Payment partly refunded: €10.00"]
