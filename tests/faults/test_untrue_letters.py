"""A letter waits because its mailbox is greylisted, and meanwhile it stops being true: it never leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from moneyed import Money

from jobqueue.models import Job
from jobqueue.models.pauses import pause, resume
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from tests.conftest import StartWorker, wait_until
from tests.settlements.smtp import Mailbox, smtp_server

MakeSettlement = Callable[..., Settlement]


class GreylistedMailbox(Mailbox):
    """Asks everybody to come again, until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.was_tried = threading.Event()
        self.is_open = threading.Event()

    def answer(self, address: str) -> str:
        self.was_tried.set()
        return super().answer(address) if self.is_open.is_set() else "451 4.7.1 greylisted, come again"


def owe(make_settlement: MakeSettlement) -> Settlement:
    return make_settlement(due_date=timezone.now() + timedelta(days=10))


def remind(make_settlement: MakeSettlement) -> Settlement:
    """The payer is reminded of a new debt."""
    return owe(make_settlement)


def pay(settlement: Settlement) -> None:
    Payment.objects.create(settlement=settlement, amount=settlement.amount, status="completed")


def complete(make_settlement: MakeSettlement) -> Settlement:
    """A debt is paid."""
    settlement = owe(make_settlement)
    pay(settlement)
    return settlement


def refund(settlement: Settlement) -> None:
    payment = settlement.payments.get()
    payment.status = "refunded"
    payment.save()


def fail(make_settlement: MakeSettlement) -> Settlement:
    """A payment fails."""
    settlement = owe(make_settlement)
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="failed")
    return settlement


@contextmanager
def nothing_sent(letters: QuerySet[EmailDelivery]) -> Iterator[None]:
    """Inside the block no worker takes up these letters: what changes there has changed when one does."""
    jobs = Job.objects.filter(email_delivery__in=letters)
    pause("email")
    # One that stays due for a second is held by the pause; an executor looks twice a second.
    wait_until(lambda: not jobs.exclude(state="waiting", run_at__lte=Now() - timedelta(seconds=1)).exists())
    yield
    resume("email")


STORIES = {
    "reminder_initial": (remind, pay, "settlement already completed"),
    "settlement_completed": (complete, refund, "settlement is pending again"),
    "payment_failed": (fail, pay, "settlement already completed"),
}


@pytest.mark.parametrize("template_type", STORIES)
def test_a_letter_that_waited_and_is_not_true_any_more_is_skipped(
    template_type: str, rqworker: StartWorker, make_settlement: MakeSettlement
) -> None:
    begin, change, reason = STORIES[template_type]
    mailbox = GreylistedMailbox()
    with smtp_server(mailbox) as (host, port):
        rqworker("--processes", "1", EMAIL_URL=f"smtp://{host}:{port}")
        settlement = begin(make_settlement)
        letters = EmailDelivery.objects.filter(template_type=template_type)
        wait_until(lambda: letters.filter(status="deferred").exists())
        with nothing_sent(letters):
            change(settlement)
            status = "pending" if change is refund else "completed"
            wait_until(lambda: Settlement.objects.filter(pk=settlement.pk, status=status).exists())
        wait_until(lambda: not letters.exclude(status="skipped").exists(), timeout=40)
        mailbox.is_open.set()
        jobs = Job.objects.filter(email_delivery__in=letters)
        wait_until(lambda: not jobs.unfinished().exists())
        assert {job.reason for job in jobs} == {f"skipped: {reason}"}
        assert {letter.error for letter in letters} == {reason}
    assert not [mail for mail in mailbox.messages if "Paid in full" in mail["Subject"]]
    assert not ReminderDelivery.objects.filter(status="delivered").exists()


def test_a_greylisted_letter_arrives_once_when_it_is_let_in(
    rqworker: StartWorker, make_settlement: MakeSettlement
) -> None:
    mailbox = GreylistedMailbox()
    with smtp_server(mailbox) as (host, port):
        rqworker("--processes", "1", EMAIL_URL=f"smtp://{host}:{port}")
        settlement = owe(make_settlement)
        reminder = ReminderDelivery.objects.filter(settlement=settlement, reminder_type="initial")
        letter = EmailDelivery.objects.filter(template_type="reminder_initial")
        wait_until(lambda: letter.filter(status="deferred", tries=2).exists())
        assert reminder.get().status == "on_its_way"
        mailbox.is_open.set()
        wait_until(lambda: reminder.filter(status="delivered").exists())
        job = reminder.get().email_job
        assert job is not None
        wait_until(lambda: Job.objects.filter(pk=job.pk, state="completed").exists())
    assert len([mail for mail in mailbox.messages if "payment to make" in mail["Subject"]]) == 1
    job.refresh_from_db()
    assert (job.failures, job.attempts.count()) == (0, job.attempt - 1)
