"""The processor `email.notification` against a real SMTP server that behaves well and badly."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from anymail.exceptions import AnymailRecipientsRefused
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend as MemoryBackend
from django.db import connection, connections, transaction
from django.utils import timezone

from jobqueue import jobs
from jobqueue.jobs import running
from jobqueue.models import Job
from jobqueue.registry import Skipped, get_processor
from jobqueue.testing import drain, run_job
from jobqueue.worker.outcomes import OutcomeStatus
from settlements import deliveries, emails
from settlements.deliveries import message_id_of
from settlements.models import BarredAddress, EmailDelivery, Payment, Settlement
from settlements.models.deliveries import EmailDeliveryManager
from tests.conftest import wait_until
from tests.settlements.email_steps import ADDRESS, Serve, add, delivery_of, payload, serve
from tests.settlements.smtp import Mailbox
from tests.settlements.steps import domain_settings

__all__ = ["serve"]


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


# True when it leaves ----------------------------------------------------------------------------


def letter(settlement: Settlement, template_type: str = "settlement_updated", **changes: Any) -> Job:
    """A letter that the system decided on; with `email` among the changes a caller's own."""
    data = {"settlement_id": str(settlement.pk)}
    values = {"user_id": settlement.payer_id, "template_type": template_type, "template_data": data}
    return jobs.enqueue("email.notification", subject=settlement, **values | changes)


def test_a_letter_goes_to_the_address_that_the_person_has_when_it_leaves(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    mailbox = serve(Mailbox())
    job = letter(settlement)
    User.objects.filter(pk=payer.pk).update(email="new@example.com")
    run_job(job)
    assert [message["To"] for message in mailbox.messages] == ["new@example.com"]
    assert (delivery_of(job).recipient, delivery_of(job).user) == ("new@example.com", payer)


def test_a_callers_own_letter_goes_to_the_given_address(settlement: Settlement, serve: Serve) -> None:
    mailbox = serve(Mailbox())
    run_job(letter(settlement, email=ADDRESS, email_subject=""))
    assert [message["To"] for message in mailbox.messages] == [ADDRESS]


UNTRUE: list[tuple[str, dict[str, Any], str]] = [
    ("reminder_final", {"status": "completed"}, "settlement already completed"),
    ("settlement_created", {"status": "completed"}, "settlement already completed"),
    ("settlement_created", {"status": "cancelled"}, "settlement cancelled"),
    ("settlement_updated", {"status": "cancelled"}, "settlement cancelled"),
    ("settlement_completed", {}, "settlement is pending again"),
    ("settlement_cancelled", {}, "settlement is pending again"),
    ("settlement_reopened", {"status": "completed"}, "settlement is completed again"),
    ("settlement_reminder", {"reminders_paused": True}, "reminders are paused"),
]


@pytest.mark.parametrize("own", [{}, {"email": ADDRESS, "email_subject": ""}], ids=["system's", "caller's"])
@pytest.mark.parametrize(("template_type", "values", "reason"), UNTRUE)
def test_a_letter_that_is_not_true_any_more_is_skipped_and_says_why(
    settlement: Settlement,
    serve: Serve,
    template_type: str,
    values: dict[str, Any],
    reason: str,
    own: dict[str, Any],
) -> None:
    mailbox = serve(Mailbox())
    job = letter(settlement, template_type, **own)
    Settlement.objects.filter(pk=settlement.pk).update(**{"description": "Dinner", **values})
    outcome = run_job(job)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.SKIPPED, f"skipped: {reason}")
    delivery = delivery_of(job)
    assert (delivery.status, delivery.error, delivery.tries) == (EmailDelivery.Status.SKIPPED, reason, 0)
    assert mailbox.tries == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"email": ""}, "has no e-mail address"),
        ({"is_active": False}, "is inactive"),
    ],
)
def test_a_letter_to_somebody_who_cannot_get_it_is_skipped(
    settlement: Settlement, payer: User, serve: Serve, change: dict[str, Any], reason: str
) -> None:
    mailbox = serve(Mailbox())
    job = letter(settlement)
    User.objects.filter(pk=payer.pk).update(**change)
    assert run_job(job).reason == f"skipped: user {payer.pk} {reason}"
    assert mailbox.tries == 0


def test_a_letter_to_somebody_who_is_gone_is_skipped(settlement: Settlement, serve: Serve) -> None:
    serve(Mailbox())
    job = letter(settlement, user_id=987654)
    assert run_job(job).reason == "skipped: user 987654 does not exist any more"


def test_a_letter_to_an_address_that_is_none_fails_and_does_not_repeat_it(
    settlement: Settlement, payer: User, serve: Serve
) -> None:
    serve(Mailbox())
    User.objects.filter(pk=payer.pk).update(email="secret@@example.com")
    job = letter(settlement)
    outcome = run_job(job)
    assert outcome.status == OutcomeStatus.FAILED
    assert delivery_of(job).status == EmailDelivery.Status.FAILED
    assert "secret" not in outcome.reason + delivery_of(job).error + delivery_of(job).recipient


@pytest.mark.parametrize("own", [{}, {"email": "Payer@Example.com", "email_subject": ""}])
def test_a_letter_to_a_barred_address_is_skipped_until_it_is_cleared(
    settlement: Settlement, payer: User, serve: Serve, own: dict[str, Any]
) -> None:
    mailbox = serve(Mailbox())
    barred = BarredAddress.objects.create(address="payer@example.com", cause="bounced")
    assert "the address is barred" in run_job(letter(settlement, **own)).reason
    barred.clear(payer, "it works again")
    run_job(letter(settlement, **own))
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("gone", [Settlement, Payment])
def test_a_letter_about_what_was_deleted_is_skipped(
    settlement: Settlement, payee: User, serve: Serve, gone: type[Settlement | Payment]
) -> None:
    mailbox = serve(Mailbox())
    payment = Payment.objects.create(settlement=settlement, amount=settlement.amount, status="completed")
    data = {"settlement_id": str(settlement.pk), "payment_id": str(payment.pk)}
    if gone is Settlement:
        del data["payment_id"]
    job = letter(settlement, "payment_received", user_id=payee.pk, template_data=data)
    gone.objects.all().delete()
    Job.objects.filter(pk=job.pk).update(state=Job.State.WAITING)
    assert run_job(job).reason == f"skipped: {gone._meta.model_name} was deleted"
    assert mailbox.tries == 0


def test_a_sent_letter_stays_sent_though_it_is_not_true_any_more(
    settlement: Settlement, serve: Serve
) -> None:
    serve(Mailbox())
    job = letter(settlement)
    run_job(job)
    Settlement.objects.filter(pk=settlement.pk).update(status="cancelled")
    assert run_again(job).reason == "skipped: already sent"
    assert delivery_of(job).status == EmailDelivery.Status.SENT


def test_a_planned_reminder_does_not_leave_at_night(
    settlement: Settlement, serve: Serve, settings: LazySettings
) -> None:
    mailbox = serve(Mailbox())
    now = timezone.now()
    night = ((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time())
    settings.SETTLEMENTS = domain_settings(reminders={"QUIET_HOURS": night})
    reminder = {
        "reminder_type": "initial",
        "step": 0,
        "due_date": settlement.due_date.isoformat(),
        "planned_at": settlement.created_at.isoformat(),
    }
    outcome = run_job(letter(settlement, "reminder_initial", reminder=reminder))
    assert (outcome.status, outcome.reason) == (OutcomeStatus.RETRIED, "quiet hours")
    assert (mailbox.tries, EmailDelivery.objects.count()) == (0, 0)


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
