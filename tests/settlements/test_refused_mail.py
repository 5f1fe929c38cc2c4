"""E-mails that are not taken for now: how long they are tried again, and what is shown meanwhile."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from jobqueue import jobs
from jobqueue.models import Attempt, Job
from jobqueue.testing import at, run_job
from jobqueue.worker.outcomes import Outcome, OutcomeStatus
from settlements import emails
from settlements.models import EmailDelivery
from tests.settlements.mail_providers import LOOPBACK, Mailgun, MailProvider, SendGrid, running
from tests.settlements.smtp import BreakingMailbox, BusyMailbox, Mailbox, SilentMailbox, smtp_server
from tests.settlements.steps import domain_settings

ADDRESS = "pia@example.com"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
FOREVER = 10**6
SMTP = "django.core.mail.backends.smtp.EmailBackend"
Serve = Callable[[Mailbox], Mailbox]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _policy(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SETTLEMENTS = domain_settings()
    monkeypatch.setenv("NO_PROXY", "*")


def use(settings: LazySettings, host: str, port: int, *, timeout: float = 10) -> None:
    settings.EMAIL_BACKEND = SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = host, port, timeout
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False


@pytest.fixture
def serve(settings: LazySettings) -> Iterator[Serve]:
    """Runs an SMTP server for a mailbox and lets Django send through it."""
    with ExitStack() as servers:

        def start(mailbox: Mailbox) -> Mailbox:
            use(settings, *servers.enter_context(smtp_server(mailbox)))
            return mailbox

        yield start


@pytest.fixture(params=[SendGrid, Mailgun])
def provider(request: pytest.FixtureRequest, settings: Any) -> Iterator[MailProvider]:
    with running(request.param) as server:
        settings.EMAIL_BACKEND = server.backend
        settings.ANYMAIL = {"REQUESTS_TIMEOUT": 10, **server.anymail}
        yield server


class Says(Mailbox):
    """Answers every recipient with this."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.said = answer

    def answer(self, address: str) -> str:
        return self.said


def add() -> Job:
    return jobs.enqueue(
        "email.notification",
        user_id=None,
        email=ADDRESS,
        email_subject="",
        template_type="payment_failed",
        template_data={},
    )


def delivery_of(job: Job) -> EmailDelivery:
    return EmailDelivery.objects.get(job=job)


def try_at(job: Job, moment: datetime) -> Outcome:
    with at(moment):
        return run_job(job)


def waits(job: Job, most: int = 100) -> list[timedelta]:
    """Try until the job ends, each time when it is due; how long it waited in between."""
    moment, found = timezone.now(), []
    while job.state == Job.State.WAITING and len(found) < most:
        outcome = try_at(job, moment)
        if outcome.status == OutcomeStatus.RETRIED:
            assert outcome.delay is not None
            found.append(outcome.delay)
            moment += outcome.delay
    return found


# How often ------------------------------------------------------------------------------------------


def test_a_greylisted_email_is_tried_after_1_2_and_4_seconds_and_then_doubling_to_an_hour(
    serve: Serve,
) -> None:
    serve(BusyMailbox(FOREVER))
    found = waits(add())
    assert found[:12] == [SECOND * 2**power for power in range(12)]
    assert set(found[12:-1]) == {HOUR}


def test_a_greylisted_email_is_given_up_after_24_hours(serve: Serve) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    total = sum(waits(job), timedelta(0))
    assert job.state == "failed"
    assert abs(total - 24 * HOUR) < 10 * SECOND


def test_the_last_try_is_at_the_end_of_the_time(serve: Serve) -> None:
    mailbox = serve(BusyMailbox(FOREVER))
    found = waits(add())
    assert mailbox.tries == len(found) + 1


def test_a_given_up_email_says_for_how_long_and_why(serve: Serve) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    waits(job)
    delivery = delivery_of(job)
    assert delivery.status == "failed"
    assert delivery.error.startswith("not taken within 24 h: ")
    assert "451 4.7.1" in delivery.error


def test_a_greylisted_email_arrives_once(serve: Serve) -> None:
    mailbox = serve(BusyMailbox(5))
    job = add()
    waits(job)
    assert (job.state, len(mailbox.messages)) == ("completed", 1)
    assert (delivery_of(job).status, delivery_of(job).tries) == ("sent", 6)


def test_a_greylisted_email_takes_no_retry_from_the_job(serve: Serve) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    waits(job, most=10)
    assert job.failures == 0


def test_every_try_is_shown_on_the_job(serve: Serve) -> None:
    serve(BusyMailbox(3))
    job = add()
    waits(job)
    assert Attempt.objects.filter(job=job).count() == 3


@pytest.mark.parametrize("duration", [timedelta(seconds=10), timedelta(hours=2), timedelta(days=3)])
def test_the_setting_says_for_how_long(serve: Serve, settings: LazySettings, duration: timedelta) -> None:
    settings.SETTLEMENTS = domain_settings(EMAIL_RETRY_FOR=duration)
    serve(BusyMailbox(FOREVER))
    total = sum(waits(add(), most=1000), timedelta(0))
    assert abs(total - duration) < 10 * SECOND


def test_at_0_an_email_has_the_three_retries_of_any_job(serve: Serve, settings: LazySettings) -> None:
    settings.SETTLEMENTS = domain_settings(EMAIL_RETRY_FOR=0)
    mailbox = serve(BusyMailbox(FOREVER))
    job = add()
    found = waits(job)
    assert (len(found), mailbox.tries, job.state, job.failures) == (3, 4, "failed", 4)
    assert delivery_of(job).status == "failed"


def test_an_operators_retry_of_a_given_up_email_gets_the_whole_time_anew(serve: Serve) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    waits(job)
    job.retry()
    moment = timezone.now() + 30 * HOUR
    found = []
    while job.state == Job.State.WAITING:
        outcome = try_at(job, moment)
        if outcome.delay is not None:
            found.append(outcome.delay)
            moment += outcome.delay
    assert found[:4] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]
    assert abs(sum(found, timedelta(0)) - 24 * HOUR) < 10 * SECOND


def test_so_does_one_of_an_email_that_an_operator_had_cancelled(serve: Serve) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    run_job(job)
    job.cancel("wait a moment")
    assert (delivery_of(job).status, delivery_of(job).error) == ("skipped", "wait a moment")
    job.retry()
    outcomes = [try_at(job, timezone.now() + 40 * HOUR) for _ in range(3)]
    assert [outcome.delay for outcome in outcomes] == [SECOND, 2 * SECOND, 4 * SECOND]


# What is temporary ----------------------------------------------------------------------------------


TEMPORARY = [
    *("450 4.2.1 mailbox busy", "451 4.7.1 greylisted", "452 4.2.2 mailbox full"),
    *("421 4.3.2 closing down", "552 5.2.2 mailbox full", "550 5.2.2 over quota"),
]


@pytest.mark.parametrize("answer", TEMPORARY)
def test_these_answers_are_temporary(serve: Serve, answer: str) -> None:
    serve(Says(answer))
    job = add()
    outcome = run_job(job)
    assert (outcome.status, outcome.delay, job.failures) == (OutcomeStatus.RETRIED, SECOND, 0)
    assert delivery_of(job).status == "deferred"


@pytest.mark.parametrize("mailbox", [BreakingMailbox(1), SilentMailbox(1)])
def test_a_broken_connection_is_temporary(serve: Serve, mailbox: Mailbox) -> None:
    serve(mailbox)
    job = add()
    assert run_job(job).delay == SECOND
    run_job(job)
    assert delivery_of(job).status == "sent"


def nobody(settings: LazySettings) -> None:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    use(settings, LOOPBACK, port)


def unknown_host(settings: LazySettings) -> None:
    use(settings, "mail.nowhere.invalid", 25)


@pytest.mark.parametrize("absent", [nobody, unknown_host])
def test_an_absent_server_is_an_error_in_the_log_at_once_and_tried_again(
    settings: LazySettings, caplog: pytest.LogCaptureFixture, absent: Callable[[LazySettings], None]
) -> None:
    absent(settings)
    job = add()
    outcome = run_job(job)
    assert (outcome.status, outcome.delay) == (OutcomeStatus.RETRIED, SECOND)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage().partition(":")[0] for record in errors] == ["the mail server cannot be used"]
    assert delivery_of(job).status == "deferred"
    assert delivery_of(job).error


def test_a_server_that_never_answers_is_tried_again(
    settings: LazySettings, blackhole: tuple[str, int]
) -> None:
    use(settings, *blackhole, timeout=0.3)
    job = add()
    assert run_job(job).status == OutcomeStatus.RETRIED
    assert delivery_of(job).status == "deferred"


class Locked(Mailbox):
    """Lets nobody in without a login, which it has not."""

    async def handle_MAIL(self, *arguments: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return "530 5.7.0 authentication required"


def test_a_refused_login_is_an_error_in_the_log_and_shown(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    serve(Locked())
    job = add()
    outcome = run_job(job)
    assert outcome.status == OutcomeStatus.RETRIED
    assert [record.levelname for record in caplog.records if "cannot be used" in record.getMessage()] == [
        "ERROR"
    ]
    assert "530" in delivery_of(job).error


def test_a_refused_key_of_a_provider_is_an_error_in_the_log_and_shown(
    provider: MailProvider, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    names = [name for name in settings.ANYMAIL if name.endswith("API_KEY")]
    settings.ANYMAIL = {**settings.ANYMAIL, names[0]: "another-key"}
    job = add()
    assert run_job(job).status == OutcomeStatus.RETRIED
    assert "ERROR" in {record.levelname for record in caplog.records if record.name == "settlements.email"}
    assert "401" in delivery_of(job).error


# Errors of our own ----------------------------------------------------------------------------------


def break_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **more: Any) -> emails.RenderedEmail:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(emails, "render", broken)


def break_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **more: Any) -> str:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(emails, "send", broken)


BUGS = [break_templates, break_sending]


@pytest.mark.parametrize("bug", BUGS)
def test_an_error_of_ours_has_three_retries(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    job = add()
    assert len(waits(job)) == 3
    assert (job.state, job.failures) == ("failed", 4)


@pytest.mark.parametrize("bug", BUGS)
def test_earlier_temporary_answers_eat_none_of_them(
    serve: Serve, bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    waits(job, most=8)
    bug(monkeypatch)
    assert len(waits(job)) == 3
    assert (job.state, job.failures) == ("failed", 4)


@pytest.mark.parametrize("bug", BUGS)
def test_they_eat_nothing_of_the_time_for_temporary_answers_and_add_none(
    serve: Serve, bug: Callable[[pytest.MonkeyPatch], None]
) -> None:
    serve(BusyMailbox(FOREVER))
    job = add()
    began = timezone.now()
    run_job(job)
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        try_at(job, began + 12 * HOUR)
    assert try_at(job, began + 13 * HOUR).status == OutcomeStatus.RETRIED
    assert try_at(job, began + 24 * HOUR + SECOND).status == OutcomeStatus.FAILED


# Providers ------------------------------------------------------------------------------------------


def test_a_providers_retry_after_is_kept(provider: MailProvider) -> None:
    provider.says(429, {}, Retry_After="1234")
    job = add()
    assert run_job(job).delay == 1234 * SECOND


def test_a_shorter_retry_after_does_not_hurry_us(provider: MailProvider) -> None:
    provider.says(429, {}, Retry_After="1")
    job = add()
    for _ in range(3):
        outcome = run_job(job)
    assert outcome.delay == 4 * SECOND


def test_a_retry_after_beyond_the_end_is_kept(provider: MailProvider, settings: LazySettings) -> None:
    settings.SETTLEMENTS = domain_settings(EMAIL_RETRY_FOR=60)
    provider.says(429, {}, Retry_After="3600")
    assert run_job(add()).delay == HOUR


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_provider_in_trouble_is_asked_again(provider: MailProvider, code: int) -> None:
    provider.says(code)
    job = add()
    assert run_job(job).delay == SECOND
    assert delivery_of(job).status == "deferred"


def test_a_provider_that_hangs_up_is_asked_again(provider: MailProvider) -> None:
    provider.hangs_up()
    assert run_job(add()).delay == SECOND
