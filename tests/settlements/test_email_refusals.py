"""E-mails that the mail server refuses, for good or for now: what is tried again and what is barred."""

from __future__ import annotations

import logging
import socket
from datetime import timedelta
from typing import Any

import pytest
import requests
from anymail.exceptions import AnymailAPIError
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from jobqueue.models import Job
from jobqueue.testing import at, drain, run_job
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from settlements import emails
from settlements.models import BarredAddress, EmailDelivery, Settlement
from tests.settlements.email_steps import ADDRESS, Serve, add, delivery_of, serve
from tests.settlements.smtp import (
    LOOPBACK,
    BreakingMailbox,
    BusyMailbox,
    Mailbox,
    RefusingContent,
    SilentMailbox,
    UnknownMailbox,
)

__all__ = ["serve"]


# Refused for good -------------------------------------------------------------------------------


def test_refused_recipient_ends_the_job_without_a_retry(db: None, serve: Serve) -> None:
    mailbox = serve(UnknownMailbox())
    add()
    (outcome,) = drain()
    assert outcome.status == OutcomeStatus.FAILED
    assert outcome.failure is not None and outcome.failure.error_class == "EmailNotSent"
    assert mailbox.tries == 1


def test_refused_recipient_leaves_a_failed_delivery_with_the_servers_answer(db: None, serve: Serve) -> None:
    serve(UnknownMailbox())
    job = add()
    drain()
    delivery = delivery_of(job)
    assert (delivery.status, delivery.sent_at) == (EmailDelivery.Status.FAILED, None)
    assert delivery.error == "SMTPRecipientsRefused: 550 5.1.1 <(address)> no such user here"


def test_refused_content_ends_the_job_without_a_retry(db: None, serve: Serve) -> None:
    serve(RefusingContent("554 5.7.1 looks like spam"))
    add()
    (outcome,) = drain()
    assert outcome.reason == "EmailNotSent: SMTPDataError: 554 5.7.1 looks like spam"


def test_refused_mailbox_bars_its_address(db: None, serve: Serve) -> None:
    serve(UnknownMailbox())
    add(email="Pia@Example.com")
    drain()
    barred = BarredAddress.objects.get()
    assert (barred.address, barred.cause, barred.is_barred) == (ADDRESS, "refused", True)
    assert barred.detail == "SMTPRecipientsRefused: 550 5.1.1 <(address)> no such user here"


def test_refused_content_bars_no_address(db: None, serve: Serve) -> None:
    serve(RefusingContent("554 5.7.1 looks like spam"))
    add()
    drain()
    assert not BarredAddress.objects.exists()


def test_failed_job_that_an_operator_retries_is_sent_under_the_same_message_id(
    db: None, serve: Serve
) -> None:
    serve(RefusingContent("554 5.7.1 looks like spam"))
    job = add()
    drain()
    before = delivery_of(job).message_id
    mailbox = serve(Mailbox())
    job.refresh_from_db()
    job.retry()
    drain()
    assert [message["Message-ID"] for message in mailbox.messages] == [before]
    assert (delivery_of(job).status, delivery_of(job).tries) == ("sent", 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": "pia@example.com\nBcc: emil@example.com"}, "line break"),
        ({"email": "pia"}, "no e-mail address"),
        ({"template_type": "poem"}, "no e-mail template type 'poem'"),
    ],
)
def test_payload_that_never_gets_better_ends_the_job(
    db: None, serve: Serve, changes: dict[str, Any], reason: str
) -> None:
    mailbox = serve(Mailbox())
    add(**changes)
    (outcome,) = drain()
    assert outcome.status == OutcomeStatus.FAILED
    assert reason in outcome.reason
    assert mailbox.tries == 0 and not EmailDelivery.objects.exists()


# Refused for now --------------------------------------------------------------------------------


def drain_soon() -> list[Outcome]:
    """Run what is due within ten seconds, the retries of e-mails included."""
    return drain(until=timezone.now() + timedelta(seconds=10))


def run_when_due(job: Job) -> Outcome:
    """Let the time go on until the job is due, and run it then."""
    with at(max(job.run_at, timezone.now())):
        return run_job(job)


def test_temporary_failure_is_retried_and_delivered_once(db: None, serve: Serve) -> None:
    mailbox = serve(BusyMailbox(times=2))
    job = add()
    statuses = [outcome.status for outcome in drain_soon()]
    assert statuses == [OutcomeStatus.RETRIED, OutcomeStatus.RETRIED, OutcomeStatus.COMPLETED]
    assert len(mailbox.messages) == 1
    assert (delivery_of(job).status, delivery_of(job).tries) == ("sent", 3)


def test_temporary_failure_marks_the_delivery_until_the_retry(db: None, serve: Serve) -> None:
    serve(BusyMailbox())
    job = add()
    run_job(job)
    delivery = delivery_of(job)
    assert delivery.status == EmailDelivery.Status.DEFERRED
    assert delivery.error == "SMTPRecipientsRefused: 451 4.7.1 <(address)> try again later"


def test_each_temporary_failure_leaves_an_attempt_and_takes_nothing_from_the_budget(
    db: None, serve: Serve
) -> None:
    serve(BusyMailbox(times=100))
    job = add()
    for _ in range(6):
        run_when_due(job)
    assert (job.state, job.failures, job.attempts.count()) == (Job.State.WAITING, 0, 6)


def test_temporary_failure_is_tried_again_at_growing_distances_for_a_day(db: None, serve: Serve) -> None:
    mailbox = serve(BusyMailbox(times=100))
    job = add()
    pauses = []
    while (outcome := run_when_due(job)).status == OutcomeStatus.RETRIED:
        assert outcome.delay is not None
        pauses.append(round(outcome.delay.total_seconds()))
    assert pauses[:13] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]
    assert set(pauses[13:-1]) == {3600}
    assert sum(pauses) == pytest.approx(24 * 3600, abs=5)
    assert mailbox.tries == len(pauses) + 1
    assert (outcome.status, delivery_of(job).status) == (OutcomeStatus.FAILED, EmailDelivery.Status.FAILED)
    assert delivery_of(job).error.startswith("not taken within 24 h: SMTPRecipientsRefused: 451")


def test_whoever_asks_for_it_once_more_has_it_tried_for_as_long_again(
    db: None, serve: Serve, settings: LazySettings
) -> None:
    settings.SETTLEMENTS = {"EMAIL_RETRY_FOR": 2}
    serve(BusyMailbox(times=100))
    job = add()
    while run_when_due(job).status == OutcomeStatus.RETRIED:
        pass
    job.retry()
    outcome = run_when_due(job)
    assert (outcome.status, outcome.delay) == (OutcomeStatus.RETRIED, timedelta(seconds=1))


def test_who_could_not_be_reached_has_it_tried_from_when_the_address_was_mended(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    serve(BusyMailbox(times=100))
    User.objects.filter(pk=payer.pk).update(email="no address")
    data = {"settlement_id": str(settlement.pk)}
    job = add(template_type="settlement_updated", template_data=data, user_id=payer.pk, email="")
    assert run_job(job).status == OutcomeStatus.FAILED
    User.objects.filter(pk=payer.pk).update(email=ADDRESS)
    EmailDelivery.objects.update(created_at=timezone.now() - timedelta(days=3))
    job.retry()
    assert run_job(job).status == OutcomeStatus.RETRIED


def test_without_a_time_to_retry_for_it_fails_after_four_attempts(
    db: None, serve: Serve, settings: LazySettings
) -> None:
    settings.SETTLEMENTS = {"EMAIL_RETRY_FOR": 0}
    mailbox = serve(BusyMailbox(times=100))
    job = add()
    drain()
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.attempts.count() == mailbox.tries == 4


def test_connection_lost_in_the_middle_is_retried_under_the_same_message_id(db: None, serve: Serve) -> None:
    mailbox = serve(BreakingMailbox())
    job = add()
    first, second = drain_soon()
    assert first.failure is not None and first.failure.error_class == "SMTPServerDisconnected"
    assert second.status == OutcomeStatus.COMPLETED
    assert [message["Message-ID"] for message in mailbox.messages] == [delivery_of(job).message_id]
    assert mailbox.tries == 2


def test_connection_lost_after_the_server_took_it_repeats_the_same_message_id(db: None, serve: Serve) -> None:
    mailbox = serve(SilentMailbox())
    job = add()
    drain_soon()
    expected = delivery_of(job).message_id
    assert [message["Message-ID"] for message in mailbox.messages] == [expected, expected]


def test_server_that_is_not_there_is_retried_and_an_operator_told(
    db: None, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = LOOPBACK, port
    job = add()
    outcome = run_job(job)
    assert outcome.status == OutcomeStatus.RETRIED
    assert outcome.failure is not None and outcome.failure.error_class == "ConnectionRefusedError"
    assert delivery_of(job).status == EmailDelivery.Status.DEFERRED
    assert "the mail server cannot be used: ConnectionRefusedError" in caplog.text


def test_provider_that_asks_for_more_time_gets_it(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    response = requests.Response()
    response.status_code, response.headers["Retry-After"] = 503, "7200"

    def busy(*_: Any) -> None:
        raise AnymailAPIError("later", response=response)

    monkeypatch.setattr(emails, "send", busy)
    assert run_job(add()).delay == timedelta(hours=2)


def test_server_that_never_answers_is_given_up_after_the_timeout(
    db: None, settings: LazySettings, blackhole: tuple[str, int]
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = blackhole
    settings.EMAIL_TIMEOUT = 0.2
    outcome = run_job(add())
    assert outcome.status == OutcomeStatus.RETRIED
    assert outcome.failure is not None and "timed out" in outcome.failure.message


# Addresses stay out of errors and logs ----------------------------------------------------------


@pytest.mark.parametrize("mailbox_class", [Mailbox, UnknownMailbox, BusyMailbox, BreakingMailbox])
def test_no_address_in_reasons_errors_tracebacks_and_logs(
    db: None, serve: Serve, caplog: pytest.LogCaptureFixture, mailbox_class: type[Mailbox]
) -> None:
    caplog.set_level(logging.DEBUG)
    serve(mailbox_class())
    job = add()
    outcomes = drain_soon()
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    kept = [outcome.reason for outcome in outcomes]
    kept += [failure.message + failure.traceback for failure in failures]
    formatter = logging.Formatter()
    # The SMTP server runs in this process too; what it logs is not ours.
    kept += [formatter.format(record) for record in caplog.records if not record.name.startswith("mail.")]
    assert ADDRESS not in "\n".join([*kept, delivery_of(job).error])


def test_error_that_quotes_an_address_is_replaced(db: None, serve: Serve) -> None:
    serve(BusyMailbox())
    outcome = run_job(add())
    assert outcome.failure is not None
    assert outcome.failure.error_class == "EmailNotSent"
    assert outcome.failure.message == "SMTPRecipientsRefused: 451 4.7.1 <(address)> try again later"


def test_error_that_quotes_no_address_keeps_its_class_and_traceback(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> None:
        raise RuntimeError("misconfigured")

    monkeypatch.setattr(emails, "send", broken)
    outcome = run_job(add())
    assert outcome.failure is not None
    assert outcome.failure.error_class == "RuntimeError"
    assert "in broken" in outcome.failure.traceback


def test_error_that_was_raised_from_one_with_an_address_is_replaced(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> None:
        try:
            raise ValueError(f"cannot encode {ADDRESS}")
        except ValueError as error:
            raise RuntimeError("cannot send") from error

    monkeypatch.setattr(emails, "send", broken)
    outcome = run_job(add())
    assert outcome.failure is not None
    assert ADDRESS not in outcome.failure.traceback


@pytest.mark.parametrize("retry_for", [0, 3600])
@pytest.mark.parametrize("mailbox", [UnknownMailbox, lambda: BusyMailbox(10)])
def test_what_is_raised_carries_no_error_with_an_address(
    mailbox: Any, retry_for: float, db: None, serve: Serve, settings: LazySettings
) -> None:
    settings.SETTLEMENTS = {**settings.SETTLEMENTS, "EMAIL_RETRY_FOR": retry_for}
    serve(mailbox())
    outcome = run_job(add())

    link: BaseException | None = outcome.exception
    assert link is not None
    while link is not None:
        assert ADDRESS not in f"{link!r} {link}"
        link = link.__cause__ or link.__context__
