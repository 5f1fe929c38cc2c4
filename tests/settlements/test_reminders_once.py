"""`reminders.send`: at most one of each reminder goes out, however often and wherever its job runs."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.delivery import rescue
from jobqueue.jobs import running
from jobqueue.models import Job, transitions
from jobqueue.registry import Skipped, get_processor
from jobqueue.testing import at, drain, run_job
from jobqueue.worker.claiming import Claim, Identity
from jobqueue.worker.performing import perform
from jobqueue.worker.settling import settle_and_tell
from jobqueue.worker.telling import Teller
from settlements import emails
from settlements.jobs import add_settlement_reminder_job
from settlements.models import ReminderDelivery, ReminderType, Settlement
from settlements.processors import reminders as reminder_processor
from settlements.reconcile import reconcile
from tests.settlements.steps import (
    EMAIL,
    REMINDER,
    at_once,
    delivered,
    domain_settings,
    emails_asked_for,
    emails_sent,
    jobs_of,
    only,
    reminders_of,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def run(settlement: Settlement, stage: tuple[str, int]) -> Job:
    """Run the waiting reminder of that stage at the time it was planned for."""
    job = reminders_of(settlement)[stage]
    with at(max(job.run_at, timezone.now())):
        run_job(job)
    return job


def change(settlement: Settlement, **values: object) -> None:
    """Change the row behind the back of the rules, so that its reminders still wait."""
    Settlement.objects.filter(pk=settlement.pk).update(**values)


def run_everything_at(moment: object) -> None:
    """Let a worker that was away until `moment` run what is due by then."""
    with at(moment):
        drain()


def reminders_about(settlement: Settlement) -> list[tuple[str, str]]:
    """The reminder e-mails that were asked for."""
    return [email for email in emails_asked_for(settlement) if email[0].startswith("reminder")]


def run_again(job: Job) -> Job:
    """Run a job that completed once more, as after a worker that was lost before it said so."""
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=F("attempt") + 1)
    job.refresh_from_db()
    run_job(job)
    return job


def test_a_job_that_runs_twice_sends_once(settlement: Settlement) -> None:
    job = run_again(run(settlement, ("follow_up", 1)))
    assert job.reason == "skipped: this reminder is on its way"
    assert reminders_about(settlement) == [("reminder_follow_up", "payer@example.com")]
    assert delivered(settlement) == [("follow_up", 1)]


def test_a_job_that_runs_again_after_its_email_went_out_sends_nothing_more(settlement: Settlement) -> None:
    job = run(settlement, ("follow_up", 1))
    run_job(only(settlement, EMAIL))
    assert run_again(job).reason == "skipped: this reminder went out already"
    assert reminders_about(settlement) == [("reminder_follow_up", "payer@example.com")]


def test_a_reminder_whose_email_was_refused_may_be_asked_for_again(
    settlement: Settlement, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise smtplib.SMTPDataError(554, b"looks like spam")

    run(settlement, ("final", 0))
    with monkeypatch.context() as patched:
        patched.setattr(emails, "send", refuse)
        run_job(only(settlement, EMAIL))
    assert ReminderDelivery.objects.get().status == ReminderDelivery.Status.NOT_DELIVERED
    run_job(add_settlement_reminder_job(settlement.pk, payer.pk, settlement.due_date, "final"))
    run_job(only(settlement, EMAIL))
    assert ReminderDelivery.objects.get().status == ReminderDelivery.Status.DELIVERED
    assert emails_sent() == [("reminder_final", "payer@example.com")]


def test_two_jobs_for_the_same_reminder_send_once(settlement: Settlement, payer: User) -> None:
    jobs = [
        add_settlement_reminder_job(settlement.pk, payer.pk, settlement.due_date, "final") for _ in range(2)
    ]
    for job in jobs:
        run_job(job)
    assert [job.reason for job in jobs] == ["", "skipped: this reminder is on its way"]
    assert reminders_about(settlement) == [("reminder_final", "payer@example.com")]


def test_a_reminder_by_hand_counts_for_the_plan(settlement: Settlement, payer: User) -> None:
    run_job(add_settlement_reminder_job(settlement.pk, payer.pk, settlement.due_date, "final"))
    assert run(settlement, ("final", 0)).reason == "skipped: this reminder is on its way"
    assert reminders_about(settlement) == [("reminder_final", "payer@example.com")]


def test_each_step_is_a_reminder_of_its_own(settlement: Settlement) -> None:
    run(settlement, ("overdue", 1))
    run(settlement, ("overdue", 2))
    assert delivered(settlement) == [("overdue", 1), ("overdue", 2)]


def test_the_initial_reminder_goes_out_once_for_all_due_dates(settlement: Settlement, payer: User) -> None:
    run(settlement, ("initial", 0))
    settlement.due_date += DAY
    settlement.save()
    job = add_settlement_reminder_job(settlement.pk, payer.pk, settlement.due_date, "initial")
    run_job(job)
    assert job.reason == "skipped: the initial reminder went out already"


@pytest.mark.django_db(transaction=True)
def test_two_jobs_for_the_same_reminder_at_the_same_moment_send_once(
    make_settlement: Callable[..., Settlement],
) -> None:
    settlement = make_settlement()
    identity = Identity(UUID(int=3), "tests")
    jobs = [
        add_settlement_reminder_job(settlement.pk, settlement.payer_id, settlement.due_date, "final")
        for _ in range(4)
    ]
    claims = transitions.claim(Job.objects, [(job.pk, 1) for job in jobs], identity.id)
    outcomes = at_once(*[partial(perform, Claim(job, "default")) for job in claims])
    settle_and_tell(outcomes, identity, Teller())
    assert sorted(outcome.status for outcome in outcomes) == ["completed", "skipped", "skipped", "skipped"]
    assert reminders_about(settlement) == [("reminder_final", "payer@example.com")]
    assert delivered(settlement) == [("final", 0)]


def test_an_error_in_between_leaves_neither_the_delivery_nor_the_email(
    settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = reminder_processor.add_letter_job

    def add_and_fail(*arguments: object, **options: object) -> Job:
        add(*arguments, **options)  # type: ignore[arg-type]
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(reminder_processor, "add_letter_job", add_and_fail)
        job = run(settlement, ("initial", 0))
    assert job.reason == "OSError: the disk is full"
    assert (delivered(settlement), jobs_of(settlement, EMAIL)) == ([], [])


def test_after_an_error_in_between_the_next_attempt_sends(
    settlement: Settlement, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(reminder_processor, "add_letter_job", None)
        job = run(settlement, ("initial", 0))
        assert job.state == Job.State.WAITING
    run_job(job)
    assert delivered(settlement) == [("initial", 0)]
    assert reminders_about(settlement) == [("reminder_initial", "payer@example.com")]


def test_a_call_outside_a_worker_sends_as_well(settlement: Settlement) -> None:
    answer = get_processor(REMINDER).function(**reminders_of(settlement)["final", 0].payload)
    assert answer is None
    assert delivered(settlement) == [("final", 0)]


def test_a_job_written_before_the_plan_had_steps_is_understood(settlement: Settlement) -> None:
    job = reminders_of(settlement)["final", 0]
    with running(job, "default"):
        answer = get_processor(REMINDER).function(
            settlement_id=str(settlement.pk),
            user_id=str(settlement.payer_id),
            due_date=settlement.due_date.isoformat(),
            reminder_type=ReminderType.FINAL.value,
        )
    assert not isinstance(answer, Skipped)


def test_all_of_it_reaches_the_mailbox_once(settlement: Settlement) -> None:
    run_everything_at(settlement.due_date + 30 * DAY)
    assert [sent for sent in emails_sent() if sent[0].startswith("reminder")] == [
        ("reminder_overdue", "payer@example.com")
    ]


def test_a_reminder_that_two_clicks_retry_after_the_settlement_was_paid_sends_nothing(
    settlement: Settlement, admin_client: Client
) -> None:
    job = reminders_of(settlement)["initial", 0]
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED, failures=4, attempt=4)
    settlement.complete()
    settlement.save()

    retry = {"action": "retry", "confirmed": "retry", "_selected_action": [job.pk]}
    for _ in range(2):
        assert admin_client.post("/admin/jobqueue/job/", retry).status_code == 302
    drain()

    job.refresh_from_db()
    assert (job.state, job.reason, job.attempt) == ("completed", "skipped: settlement already completed", 5)
    assert reminders_about(settlement) == []
    assert not ReminderDelivery.objects.exists()


# What becomes of a reminder's row -------------------------------------------------------------------


@pytest.fixture
def brought(settlement: Settlement) -> Job:
    """The e-mail of the initial reminder, which waits."""
    run(settlement, ("initial", 0))
    return only(settlement, EMAIL)


def status_of(email_job: Job) -> str:
    return ReminderDelivery.objects.get(email_job=email_job).status


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def send(*_: object) -> str:
        raise error

    monkeypatch.setattr(emails, "send", send)


@pytest.fixture
def brought_as_before(settlement: Settlement, brought: Job, payer: User) -> Job:
    """The same, as it was written before e-mails said which reminder they are."""
    payload = {**brought.payload, "email": payer.email, "email_subject": ""}
    del payload["reminder"]
    Job.objects.filter(pk=brought.pk).update(payload=payload)
    brought.refresh_from_db()
    return brought


def test_a_reminder_written_before_emails_said_so_is_delivered_by_its_email(brought_as_before: Job) -> None:
    run_job(brought_as_before)
    assert status_of(brought_as_before) == "delivered"


def test_a_reminder_written_before_emails_said_so_is_not_delivered_by_an_email_that_is_refused(
    brought_as_before: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = smtplib.SMTPRecipientsRefused({"payer@example.com": (550, b"5.1.1 no such user")})
    refuse(monkeypatch, refused)
    run_job(brought_as_before)
    assert status_of(brought_as_before) == "not_delivered"


def test_a_reminder_whose_email_was_cancelled_and_retried_is_on_its_way_while_it_is_put_off(
    brought: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought.cancel()
    brought.retry()
    refuse(monkeypatch, smtplib.SMTPRecipientsRefused({"payer@example.com": (451, b"4.7.1 come again")}))
    run_job(brought)
    assert status_of(brought) == "on_its_way"


@pytest.mark.django_db(databases=["default", "other"])
def test_a_reminder_whose_email_an_operator_gave_up_as_stuck_is_found_not_delivered(brought: Job) -> None:
    Job.objects.filter(pk=brought.pk).update(state=Job.State.ACTIVE)
    rescue.fail(Job.objects.filter(pk=brought.pk))
    reconcile(full=True)
    assert status_of(brought) == "not_delivered"


@pytest.mark.django_db(databases=["default", "other"])
def test_a_reminder_on_its_way_is_left_alone_by_the_reconciler(brought: Job) -> None:
    reconcile(full=True)
    assert status_of(brought) == "on_its_way"
