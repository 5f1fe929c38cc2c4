"""The processor `email.notification` against a real SMTP server that behaves well and badly."""

from __future__ import annotations

import logging
import re
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from anymail.exceptions import AnymailAPIError, AnymailInvalidAddress, AnymailRecipientsRefused
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend as MemoryBackend
from django.db import connection, connections
from django.utils import timezone

from jobqueue import jobs
from jobqueue.context import running
from jobqueue.execution import OutcomeStatus
from jobqueue.models import Job
from jobqueue.registry import Skipped, get_processor
from jobqueue.testing import drain, run_job
from settlements import emails
from settlements.models import EmailDelivery, EmailDeliveryManager, Settlement
from settlements.processors import email as email_processor
from settlements.processors.email import describe, is_permanent, message_id_of
from tests.settlements.smtp import (
    LOOPBACK,
    BreakingMailbox,
    BusyMailbox,
    Mailbox,
    RefusingContent,
    SilentMailbox,
    UnknownMailbox,
    smtp_server,
)

ADDRESS = "pia@example.com"
Serve = Callable[[Mailbox], Mailbox]


@pytest.fixture
def serve(settings: LazySettings) -> Iterator[Serve]:
    """Runs an SMTP server for a mailbox and lets Django send through it."""
    with ExitStack() as servers:

        def start(mailbox: Mailbox) -> Mailbox:
            host, port = servers.enter_context(smtp_server(mailbox))
            settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
            settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = host, port, 10
            settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
            settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
            return mailbox

        yield start


def payload(**changes: Any) -> dict[str, Any]:
    return {
        "user_id": None,
        "email": ADDRESS,
        "email_subject": "",
        "template_type": "payment_failed",
        "template_data": {"description": "Dinner"},
    } | changes


def add(subject: str | None = None, **changes: Any) -> Job:
    return jobs.enqueue("email.notification", subject=subject, **payload(**changes))


def delivery_of(job: Job) -> EmailDelivery:
    return EmailDelivery.objects.get(job=job)


# Accepted ---------------------------------------------------------------------------------------


def test_email_arrives_once(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    outcome = run_job(add())
    assert outcome.status == OutcomeStatus.COMPLETED
    (message,) = mailbox.messages
    assert message["To"] == ADDRESS
    assert message["Subject"] == "Payment failed: Dinner"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_email_with_long_unicode_text_arrives_unchanged(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    description = "Äpfel, naïve 日本 🎉 " * 100
    run_job(add(template_data={"description": description}))
    text = mailbox.messages[0].get_body(("plain",))
    assert text is not None
    assert description.strip() in " ".join(text.get_content().split("\n"))


def test_delivery_is_sent_afterwards(db: None, serve: Serve) -> None:
    serve(Mailbox())
    before = timezone.now()
    job = add(subject="settlements.settlement:7")
    run_job(job)
    delivery = delivery_of(job)
    assert delivery.status == EmailDelivery.Status.SENT
    assert delivery.sent_at is not None and before <= delivery.sent_at <= timezone.now()
    assert (delivery.recipient, delivery.template_type) == (ADDRESS, "payment_failed")
    assert (delivery.subject, delivery.about) == ("Payment failed: Dinner", "settlements.settlement:7")
    assert (delivery.tries, delivery.error) == (1, "")


def test_message_id_is_made_of_the_job(db: None, serve: Serve, settings: LazySettings) -> None:
    settings.EMAIL_MESSAGE_ID_DOMAIN = "mail.example.org"
    mailbox = serve(Mailbox())
    job = add()
    run_job(job)
    expected = f"<job-{job.pk}-{int(job.created_at.timestamp())}@mail.example.org>"
    assert mailbox.messages[0]["Message-ID"] == delivery_of(job).message_id == expected


@pytest.mark.parametrize(
    ("configured", "sender", "domain"),
    [
        ("mail.example.org", "SpendSync <noreply@example.com>", "mail.example.org"),
        ("", "SpendSync <noreply@example.com>", "example.com"),
        ("", "noreply@example.com", "example.com"),
        ("", "nobody", "localhost"),
    ],
)
def test_message_id_domain(settings: LazySettings, configured: str, sender: str, domain: str) -> None:
    settings.EMAIL_MESSAGE_ID_DOMAIN = configured
    settings.DEFAULT_FROM_EMAIL = sender
    assert message_id_of(None).endswith(f"@{domain}>")


def test_settlement_in_the_template_data_is_looked_up(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    mailbox = serve(Mailbox())
    data = {"settlement_id": str(settlement.pk)}
    run_job(add(user_id=payer.pk, template_type="settlement_created", template_data=data))
    text = mailbox.messages[0].get_body(("plain",))
    assert text is not None
    assert "Hello Pia Payer," in text.get_content()
    assert "You owe Emil Payee €100.00" in text.get_content()


def test_long_subject_is_sent_whole_and_stored_in_short(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    job = add(email_subject="word " * 100)
    run_job(job)
    assert len(delivery_of(job).subject) == 250
    assert mailbox.messages[0]["Subject"] == ("word " * 100).strip()


def test_call_outside_a_worker_sends_under_an_id_of_its_own(db: None, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    send = get_processor("email.notification")
    assert send(**payload()) is None and send(**payload()) is None
    first, second = (message["Message-ID"] for message in mailbox.messages)
    assert first != second
    assert set(EmailDelivery.objects.values_list("message_id", "status")) == {
        (first, "sent"),
        (second, "sent"),
    }


class WatchingBackend(MemoryBackend):
    """Notes what the database looked like at the moment of sending."""

    seen: list[tuple[bool, str, int]] = []

    def send_messages(self, messages: Any) -> int:
        delivery = EmailDelivery.objects.get()
        self.seen.append((connection.in_atomic_block, delivery.status, delivery.tries))
        return super().send_messages(messages)


@pytest.mark.django_db(transaction=True)
def test_row_is_committed_as_sending_and_no_transaction_is_open_while_sending(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.WatchingBackend"
    monkeypatch.setattr(WatchingBackend, "seen", [])
    run_job(add())
    assert WatchingBackend.seen == [(False, "sending", 1)]


# Not twice --------------------------------------------------------------------------------------


def run_again(job: Job) -> Any:
    """Run a job that is done as if its message had come a second time."""
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING, attempt=job.attempt + 1)
    return run_job(job)


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
    claim = email_processor._claim

    def overtaken(*arguments: Any) -> None:
        """The other run goes first, between this run's look at the row and its claim."""
        monkeypatch.setattr(email_processor, "_claim", claim)
        assert send(**payload()) is None
        claim(*arguments)

    monkeypatch.setattr(email_processor, "_claim", overtaken)
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
    owner: Any = EmailDeliveryManager if attempt == 1 else email_processor
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
    (outcome,) = drain(until=timezone.now() + email_processor.BUSY_DELAY + timedelta(seconds=1))
    assert outcome.reason == "skipped: already sent"
    assert len(mailbox.messages) == 1


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
    with running(job, "default"), pytest.raises(TimeoutError):
        send(**payload())
    delivery = delivery_of(job)
    assert (delivery.status, delivery.tries, delivery.error) == ("sent", 2, "")


# Refused for good -------------------------------------------------------------------------------


def test_refused_recipient_ends_the_job_without_a_retry(db: None, serve: Serve) -> None:
    mailbox = serve(UnknownMailbox())
    add()
    (outcome,) = drain()
    assert outcome.status == OutcomeStatus.FAILED
    assert outcome.failure is not None and outcome.failure.error_class == "Discard"
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
    assert outcome.reason == "Discard: SMTPDataError: 554 5.7.1 looks like spam"


def test_failed_job_that_an_operator_retries_is_sent_under_the_same_message_id(
    db: None, serve: Serve
) -> None:
    serve(UnknownMailbox())
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


def test_temporary_failure_is_retried_and_delivered_once(db: None, serve: Serve) -> None:
    mailbox = serve(BusyMailbox(times=2))
    job = add()
    statuses = [outcome.status for outcome in drain()]
    assert statuses == [OutcomeStatus.RETRIED, OutcomeStatus.RETRIED, OutcomeStatus.COMPLETED]
    assert len(mailbox.messages) == 1
    assert (delivery_of(job).status, delivery_of(job).tries) == ("sent", 3)


def test_temporary_failure_marks_the_delivery_until_the_retry(db: None, serve: Serve) -> None:
    serve(BusyMailbox())
    job = add()
    run_job(job)
    delivery = delivery_of(job)
    assert delivery.status == EmailDelivery.Status.FAILED
    assert delivery.error == "SMTPRecipientsRefused: 451 4.7.1 <(address)> try again later"


def test_temporary_failure_that_stays_fails_after_four_attempts(db: None, serve: Serve) -> None:
    mailbox = serve(BusyMailbox(times=100))
    job = add()
    drain()
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.attempts.count() == mailbox.tries == 4


def test_connection_lost_in_the_middle_is_retried_under_the_same_message_id(db: None, serve: Serve) -> None:
    mailbox = serve(BreakingMailbox())
    job = add()
    first, second = drain()
    assert first.failure is not None and first.failure.error_class == "SMTPServerDisconnected"
    assert second.status == OutcomeStatus.COMPLETED
    assert [message["Message-ID"] for message in mailbox.messages] == [delivery_of(job).message_id]
    assert mailbox.tries == 2


def test_connection_lost_after_the_server_took_it_repeats_the_same_message_id(db: None, serve: Serve) -> None:
    mailbox = serve(SilentMailbox())
    job = add()
    drain()
    expected = delivery_of(job).message_id
    assert [message["Message-ID"] for message in mailbox.messages] == [expected, expected]


def test_server_that_is_not_there_is_retried(db: None, settings: LazySettings) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = LOOPBACK, port
    outcome = run_job(add())
    assert outcome.status == OutcomeStatus.RETRIED
    assert outcome.failure is not None and outcome.failure.error_class == "ConnectionRefusedError"


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
    outcomes = drain()
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


# Which errors are permanent ---------------------------------------------------------------------


def refused(**answers: int) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused({name: (code, b"answer") for name, code in answers.items()})


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (refused(a=550), True),
        (refused(a=550, b=553), True),
        (refused(a=550, b=451), False),
        (refused(a=451), False),
        (refused(), False),
        (smtplib.SMTPSenderRefused(553, b"no", "me@example.com"), True),
        (smtplib.SMTPSenderRefused(451, b"later", "me@example.com"), False),
        (smtplib.SMTPDataError(554, b"spam"), True),
        (smtplib.SMTPDataError(452, b"full"), False),
        (smtplib.SMTPResponseException(500, b"what"), True),
        (smtplib.SMTPAuthenticationError(535, b"password"), False),
        (smtplib.SMTPConnectError(554, b"go away"), False),
        (smtplib.SMTPHeloError(550, b"who"), False),
        (smtplib.SMTPServerDisconnected("gone"), False),
        (TimeoutError(), False),
        (AnymailRecipientsRefused(), True),
        (AnymailInvalidAddress("no"), True),
        (AnymailAPIError("503"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_permanent_errors(error: Exception, permanent: bool) -> None:
    assert is_permanent(error) is permanent


def test_description_of_an_error_is_one_short_line() -> None:
    text = describe(smtplib.SMTPDataError(554, b"line\r\n" * 500))
    assert len(text) == 500 and "\n" not in text


def test_description_hides_every_kind_of_address() -> None:
    text = describe(ValueError("'Pia <pia@example.com>', \"a+b@xn--p1ai.example\", mailto:x@y, <ü@ö.de>"))
    assert not re.search(r"\w@\w", text)


# Other mail backends ----------------------------------------------------------------------------


def test_anymail_backend_needs_configuration_only(db: None, settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = "anymail.backends.test.EmailBackend"
    job = add()
    assert run_job(job).status == OutcomeStatus.COMPLETED
    message: Any = mail.outbox[0]
    assert message.anymail_status.status == {"sent"}
    assert message.anymail_test_params["extra_headers"]["Message-ID"] == delivery_of(job).message_id


def test_recipient_that_anymail_refuses_ends_the_job(db: None, settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.RefusingBackend"
    job = add()
    (outcome,) = drain()
    assert outcome.status == OutcomeStatus.FAILED
    assert delivery_of(job).error.startswith("AnymailRecipientsRefused")


class RefusingBackend(MemoryBackend):
    """Answers as a provider does that has the recipient on its list of refused ones."""

    def send_messages(self, messages: Any) -> int:
        raise AnymailRecipientsRefused(f"{ADDRESS} is on the suppression list")


@pytest.mark.django_db(databases=["default", "other"])
def test_delivery_is_written_where_the_job_lives() -> None:
    job = jobs.enqueue("email.notification", using="other", **payload())
    run_job(job, using="other")
    assert EmailDelivery.objects.using("other").get().job_id == job.pk
    assert not EmailDelivery.objects.using("default").exists()


def test_processor_serves_the_email_queue_and_counts_by_template_type() -> None:
    registered = get_processor("email.notification")
    assert registered.queue == "email"
    assert registered.counter is not None
    assert registered.counter.name == "email_notifications_total"
    assert registered.counter.type_of(payload()) == "payment_failed"


def test_skipped_is_the_answer_and_not_an_error(db: None) -> None:
    job = add()
    run_job(job)
    with running(Job.objects.get(pk=job.pk), "default"):
        assert get_processor("email.notification")(**payload()) == Skipped("already sent")
