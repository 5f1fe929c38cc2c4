"""An e-mail goes out once, however often and beside whom its job runs."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, connections, transaction
from django.utils import timezone

from jobqueue import jobs
from jobqueue.jobs import running
from jobqueue.models import Job
from jobqueue.registry import Skipped, get_processor
from jobqueue.testing import drain, run_job
from jobqueue.worker.outcomes import OutcomeStatus
from settlements import deliveries, emails
from settlements.models import EmailDelivery, Settlement
from settlements.models.deliveries import EmailDeliveryManager
from tests.conftest import wait_until
from tests.settlements.email_processor_steps import letter, run_again
from tests.settlements.email_steps import ADDRESS, Serve, add, delivery_of, payload, serve
from tests.settlements.smtp import Mailbox

__all__ = ["serve"]


def test_job_that_runs_twice_sends_once(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    job = add()
    run_job(job)
    outcome = run_again(job)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.SKIPPED, "skipped: already sent")
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("left_behind", [EmailDelivery.Status.SENDING, EmailDelivery.Status.FAILED])
def test_row_of_an_earlier_attempt_is_sent_again_under_the_same_message_id(
    db: None, serve: Serve, left_behind: str
) -> None:
    mailbox = serve(Mailbox())
    job = add()
    EmailDelivery.objects.create(
        job=job, message_id="<old@example.com>", recipient=ADDRESS, status=left_behind, tries=3, error="lost"
    )
    run_job(job)
    delivery = delivery_of(job)
    assert (delivery.status, delivery.tries, delivery.error) == ("sent", 4, "")
    assert [message["Message-ID"] for message in mailbox.messages] == ["<old@example.com>"]


def second_attempt(job: Job) -> Job:
    """The job as its second attempt has it."""
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    return job


def test_of_two_runs_that_saw_the_same_row_one_sends(
    db: None, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = serve(Mailbox())
    job = second_attempt(add())
    send = get_processor("email.notification")
    claim = deliveries._claim

    def overtaken(*arguments: Any) -> None:
        """The other run goes first, between this run's look at the row and its claim."""
        monkeypatch.setattr(deliveries, "_claim", claim)
        assert send(**payload()) is None
        claim(*arguments)

    monkeypatch.setattr(deliveries, "_claim", overtaken)
    with running(job, "default"), pytest.raises(jobs.RetryLater, match="another run"):
        send(**payload())
    assert len(mailbox.messages) == 1
    assert delivery_of(job).status == EmailDelivery.Status.SENT


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", [1, 2])
def test_many_runs_of_one_job_at_the_same_moment_send_once(
    attempt: int, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = serve(Mailbox())
    job = add() if attempt == 1 else second_attempt(add())
    runs = 4
    together = threading.Barrier(runs, timeout=20)
    owner: Any = EmailDeliveryManager if attempt == 1 else deliveries
    step = "begin" if attempt == 1 else "_claim"
    take = getattr(owner, step)

    def take_together(*arguments: Any, **facts: str) -> Any:
        together.wait()
        return take(*arguments, **facts)

    monkeypatch.setattr(owner, step, take_together)
    answers: list[Any] = []

    def run() -> None:
        try:
            with running(job, "default"):
                answers.append(get_processor("email.notification")(**payload()))
        except Exception as error:
            answers.append(type(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mailbox.messages) == 1
    assert len(answers) == runs
    assert [answer for answer in answers if answer not in (jobs.RetryLater, Skipped("already sent"))] == [
        None
    ]


def test_a_run_of_the_first_attempt_waits_for_one_that_has_just_begun(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    job = add()
    EmailDelivery.objects.create(job=job, message_id="<a@example.com>", recipient=ADDRESS, tries=1)
    with running(job, "default"), pytest.raises(jobs.RetryLater, match="another run"):
        get_processor("email.notification")(**payload())
    assert mailbox.tries == 0


def test_run_that_was_given_up_does_not_send(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    job = add()
    Job.objects.filter(pk=job.pk).update(attempt=job.attempt + 1)
    with running(job, "default"), pytest.raises(jobs.RetryLater):
        get_processor("email.notification")(**payload())
    assert mailbox.tries == 0


def test_overtaken_run_comes_back_and_finds_the_email_sent(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    job = add()
    run_job(job)
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=job.attempt + 1)
    (outcome,) = drain(until=timezone.now() + deliveries.BUSY_DELAY + timedelta(seconds=1))
    assert outcome.reason == "skipped: already sent"
    assert len(mailbox.messages) == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_notes_why_not_while_another_marks_it_sent_leaves_it_sent(
    settlement: Settlement,
) -> None:
    job = letter(settlement)
    begun = EmailDelivery.objects.create(job=job, message_id="<a@example.com>", recipient=ADDRESS)
    Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
    answers: list[Any] = []

    def run() -> None:
        with running(job, "default"):
            answers.append(get_processor("email.notification")(**job.payload))
        connections.close_all()

    other = threading.Thread(target=run)
    with transaction.atomic():
        EmailDelivery.objects.filter(pk=begun.pk).update(status=EmailDelivery.Status.SENT)
        other.start()
        if connection.vendor == "postgresql":
            wait_until(_is_waited_for, 10)
    other.join()
    assert answers == [Skipped("already sent")]
    assert delivery_of(job).status == EmailDelivery.Status.SENT


def _is_waited_for() -> bool:
    """Whether another connection waits for what this one has written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return bool(cursor.fetchone()[0])


def test_late_failure_of_an_overtaken_run_does_not_unsend(
    db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = add()
    send = get_processor("email.notification")
    hand_over = emails.send

    def overtaken(*arguments: Any) -> None:
        """While this run waits for its server, the job is rescued and another run sends the e-mail."""
        monkeypatch.setattr(emails, "send", hand_over)
        Job.objects.filter(pk=job.pk).update(attempt=2)
        with running(Job.objects.get(pk=job.pk), "default"):
            send(**payload())
        raise TimeoutError("no answer")

    monkeypatch.setattr(emails, "send", overtaken)
    with running(job, "default"), pytest.raises(jobs.RetryLater, match="no answer"):
        send(**payload())
    delivery = delivery_of(job)
    assert (delivery.status, delivery.tries, delivery.error) == ("sent", 2, "")
