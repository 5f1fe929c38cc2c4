"""Changed terms are told once to each: a letter says the terms of the moment at which it leaves."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.db.models import F
from moneyed import Money
from pytest_django import Settings as DjangoSettings

from jobqueue.jobs import RetryLater, running
from jobqueue.models import Job
from jobqueue.registry import get_processor
from jobqueue.testing import run_job
from settlements import emails
from settlements.models import EmailDelivery, Settlement
from settlements.previews import letters_of
from tests.settlements.settlement_steps import MakePayment
from tests.settlements.steps import EMAIL, at_once, domain_settings, jobs_of, run_soon, waiting_of
from tests.settlements.test_told_once import PAYEE, PAYER, run_but_emails, told

UPDATED, CREATED = "settlement_updated", "settlement_created"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


@pytest.fixture
def agreed(settlement: Settlement) -> Settlement:
    """A settlement of which everybody was told."""
    run_soon()
    mail.outbox.clear()
    return settlement


def change_amount(settlement: Settlement, amount: int) -> None:
    """Change the terms, without an e-mail of it yet, as while their queue is paused."""
    settlement.refresh_from_db()
    settlement.amount = Money(amount, "EUR")
    settlement.save()
    run_but_emails()


def refuse(*_arguments: object) -> None:
    """What a mail server does that is away."""
    raise ConnectionRefusedError(111, "Connection refused")


def letters_to_payer(settlement: Settlement, template_type: str = UPDATED) -> list[Job]:
    """The jobs of letters of that kind to the payer, which wait."""
    waiting = waiting_of(settlement, EMAIL)
    return [
        job
        for job in waiting
        if job.payload["user_id"] == settlement.payer_id and job.payload["template_type"] == template_type
    ]


@pytest.mark.django_db
class TestTwoChanges:
    """Terms that changed twice."""

    def test_while_their_letters_wait_they_are_told_once_as_they_are_then(self, agreed: Settlement) -> None:
        change_amount(agreed, 70)
        change_amount(agreed, 50)
        run_soon()
        assert len(told(PAYER, UPDATED)) == len(told(PAYEE, UPDATED)) == 1
        assert all("€50.00" in letter.body and "€70.00" not in letter.body for letter in mail.outbox)

    def test_the_second_letter_says_why_it_did_not_leave(self, agreed: Settlement) -> None:
        change_amount(agreed, 70)
        change_amount(agreed, 50)
        run_soon()
        reasons = [job.reason for job in jobs_of(agreed, EMAIL) if job.reason]
        assert reasons == ["skipped: already told"] * 2

    def test_each_that_is_told_in_time_is_a_letter(self, agreed: Settlement) -> None:
        for amount in (70, 50):
            change_amount(agreed, amount)
            run_soon()
        assert len(told(PAYER, UPDATED)) == len(told(PAYEE, UPDATED)) == 2

    def test_parts_that_were_paid_meanwhile_are_told_together(
        self, agreed: Settlement, make_payment: MakePayment
    ) -> None:
        for amount in (10, 20):
            make_payment(agreed, status="completed", amount=Money(amount, "EUR"))
            run_but_emails()
        run_soon()
        assert len(told(PAYER, UPDATED)) == 1

    def test_one_that_the_mail_server_did_not_take_at_first_tells_what_changed_meanwhile(
        self, agreed: Settlement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change_amount(agreed, 70)
        [first] = letters_to_payer(agreed)
        with monkeypatch.context() as away:
            away.setattr(emails, "send", refuse)
            run_job(first)
        change_amount(agreed, 50)
        for job in letters_to_payer(agreed):
            run_job(job)
        assert [letter.body.count("€50.00") > 0 for letter in mail.outbox] == [True]

    def test_the_preview_says_that_it_was_told(self, agreed: Settlement) -> None:
        change_amount(agreed, 70)
        change_amount(agreed, 50)
        first, last = letters_to_payer(agreed)
        assert [letter.skipped for letter in letters_of(last)] == [""]
        run_job(first)
        assert [letter.skipped for letter in letters_of(last)] == ["already told"]


@pytest.mark.django_db
class TestTheFirstLetter:
    """The letter about a new settlement says its terms as well."""

    def test_one_that_leaves_after_a_change_has_told_it(self, settlement: Settlement) -> None:
        run_but_emails()
        change_amount(settlement, 70)
        run_soon()
        assert (len(told(PAYER, CREATED)), told(PAYER, UPDATED)) == (1, [])
        assert [letter.body.count("€70.00") > 0 for letter in mail.outbox if letter.to == [PAYER]]


@pytest.mark.django_db
class TestWhatWasNotTold:
    """Letters that keep no other back."""

    def test_one_that_was_made_ready_before_the_change_though_it_was_taken_after_it(
        self, agreed: Settlement
    ) -> None:
        change_amount(agreed, 70)
        run_soon()
        change_amount(agreed, 50)
        [letter] = letters_to_payer(agreed)
        taken_later = letter.created_at + timedelta(seconds=1)
        EmailDelivery.objects.filter(template_type=UPDATED).update(sent_at=taken_later)
        run_soon()
        assert len(told(PAYER, UPDATED)) == 2

    @pytest.mark.parametrize("status", ["failed", "bounced", "skipped"])
    def test_one_that_did_not_arrive(self, agreed: Settlement, status: str) -> None:
        change_amount(agreed, 70)
        change_amount(agreed, 50)
        first, last = letters_to_payer(agreed)
        run_job(first)
        EmailDelivery.objects.filter(job=first).update(status=status)
        run_job(last)
        assert EmailDelivery.objects.get(job=last).status == "sent"

    def test_what_a_copy_is_asked_for(self, agreed: Settlement) -> None:
        change_amount(agreed, 70)
        change_amount(agreed, 50)
        first, last = letters_to_payer(agreed)
        run_job(first)
        Job.objects.filter(pk=last.pk).update(copied_from=first.pk)
        run_job(last)
        assert EmailDelivery.objects.get(job=last).status == "sent"


@pytest.mark.django_db
@pytest.mark.parametrize("template_type", [CREATED, UPDATED])
def test_what_is_with_the_mail_server_at_this_moment_is_waited_for(
    agreed: Settlement, template_type: str
) -> None:
    change_amount(agreed, 70)
    change_amount(agreed, 50)
    first, second = letters_to_payer(agreed)
    run_job(first)
    EmailDelivery.objects.filter(job=first).update(status="sending", template_type=template_type)
    Job.objects.filter(pk=first.pk).update(state="active")
    with running(second, "default"), pytest.raises(RetryLater, match="another letter"):
        get_processor(EMAIL)(**second.payload)
    assert not EmailDelivery.objects.filter(job=second).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_that_leave_at_the_same_moment_one_is_sent(agreed: Settlement) -> None:
    change_amount(agreed, 70)
    change_amount(agreed, 50)
    jobs = letters_to_payer(agreed)
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state="active", attempt=1)

    def send(job: Job) -> Any:
        job.refresh_from_db()
        try:
            with running(job, "default"):
                return get_processor(EMAIL)(**job.payload)
        except RetryLater as later:
            return later

    answers = at_once(*[partial(send, job) for job in jobs])
    assert len(jobs) == 2
    assert len(mail.outbox) == 1, answers


@pytest.mark.django_db
def test_a_letter_is_written_down_by_the_clock_of_its_jobs(agreed: Settlement) -> None:
    rows = EmailDelivery.objects.filter(job__isnull=False)
    assert rows.count()
    assert not rows.filter(created_at__lt=F("job__created_at")).exists()
