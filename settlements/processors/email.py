"""`email.notification`: one job is one e-mail, true when it leaves, sent once.

The road, top-down: the letter that is asked for, what the rows say of it right before (`settlements.truth`),
the right to send it, the mail server, and what came of it. An `EmailDelivery` row is claimed before the
mail server is spoken to and marked afterwards, each in a transaction of its own: none is open meanwhile.
Where a worker dies between "the server has it" and "the row says so", nobody can know which it was; the
e-mail then goes out again under the same Message-ID, by which mailboxes recognise a repeat. Where it does
not, for it is not true any more or was refused, it is still told as perhaps sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import router, transaction

from jobqueue.exceptions import JobTimeout
from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, current_database, current_job, processor
from jobqueue.models import Job
from settlements import deliveries, emails, rows, told
from settlements.exceptions import InvalidEmailAddress, UnknownTemplateType
from settlements.letters import Reminder
from settlements.models import EmailDelivery, ReminderDelivery
from settlements.planning import plan_reminders
from settlements.processors import refusals
from settlements.rows import Question, Rows
from settlements.truth import QUIET_HOURS, Verdict, look

logger = logging.getLogger("settlements.email")

SENT: Final = None
ALREADY_SENT: Final = Skipped("already sent")
PERHAPS_BEFORE: Final = "perhaps an earlier run sent it"


@dataclass(frozen=True, slots=True)
class Letter:
    """What a job asks for: the question that the rows answer, and the words that it brings along."""

    question: Question
    subject: str
    data: dict[str, Any]
    job: Job | None
    using: str

    def facts(self, verdict: Verdict) -> dict[str, Any]:
        """What its delivery row says of it."""
        return deliveries.facts(self.job, verdict, self.question.template_type)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A letter that may leave, and the row that says so."""

    rendered: emails.RenderedEmail
    address: str
    delivery: EmailDelivery


@processor(
    "email.notification",
    queue="email",
    timeout=60,
    counter=TypeCounter(
        "email_notifications_total", payload_key="template_type", known=emails.TEMPLATE_TYPES
    ),
)
def send(
    user_id: int | str | None,
    template_type: str,
    template_data: dict[str, Any],
    email: str = "",
    email_subject: str = "",
    reminder: dict[str, Any] | None = None,
) -> Skipped | None:
    """Send one e-mail, unless this job has sent it already or it is not true any more.

    With `email` it is a caller's own and goes to that address; without, it goes to the user's address of now.
    `reminder` says which reminder of which plan it is.
    """
    _check(email, template_type)
    using = current_database() or router.db_for_write(EmailDelivery)
    letter = letter_of(
        current_job(), using, user_id, template_type, template_data, email, email_subject, reminder
    )
    with _one_after_another(letter):
        ready = _make_ready(letter)
    if isinstance(ready, Discard):
        raise ready
    return ready if isinstance(ready, Skipped) else _send(letter, ready)


# The letter that is asked for ---------------------------------------------------------------------


def _check(address: str, template_type: str) -> None:
    """Payloads are checked when the job is added; one that was added past those checks never gets better."""
    try:
        emails.check_template_type(template_type)
        if address:
            emails.check_address(address)
    except (UnknownTemplateType, InvalidEmailAddress) as error:
        raise Discard(str(error)) from None


def letter_of(
    job: Job | None,
    using: str,
    user_id: int | str | None,
    template_type: str,
    template_data: dict[str, Any],
    email: str = "",
    email_subject: str = "",
    reminder: dict[str, Any] | None = None,
) -> Letter:
    """The letter that a job with this payload asks for."""
    address, subject, data = email, email_subject, template_data
    carried = _reminder(reminder)
    if carried is None and (carried := _reminder_before(job, subject, template_type, using)) is not None:
        address = ""  # the system's own: it goes where the person is now
    question = emails.question_of(
        template_type,
        data,
        user_id=user_id,
        address=address,
        reminder=carried,
        asked_at=job.created_at if job else None,
        job_id=job.pk if job else None,
    )
    return Letter(question, subject, data, job, using)


def _reminder(payload: dict[str, Any] | None) -> Reminder | None:
    if payload is None:
        return None
    planned_at = payload.get("planned_at")
    return Reminder(
        payload["reminder_type"],
        payload["step"],
        datetime.fromisoformat(payload["due_date"]),
        datetime.fromisoformat(planned_at) if planned_at else None,
    )


def _reminder_before(job: Job | None, subject: str, template_type: str, using: str) -> Reminder | None:
    """The reminder that a letter carries whose payload is from before payloads said so."""
    if job is None or subject or not template_type.startswith("reminder_"):
        return None
    row = ReminderDelivery.objects.using(using).filter(email_job_id=job.pk).first()
    if row is None:
        return None
    return Reminder(row.reminder_type, row.step, row.due_date, planned_at=row.created_at)


# It is not sent -----------------------------------------------------------------------------------


def _skip(letter: Letter, verdict: Verdict, reason: str) -> Skipped:
    """Note on the delivery why the letter is not sent, unless it went out already."""
    job, using = letter.job, letter.using
    noted = deliveries.note_not_sent(job, letter.facts(verdict), EmailDelivery.Status.SKIPPED, reason, using)
    is_in_doubt = noted == EmailDelivery.Status.SENDING
    skipped = Skipped(f"{reason}; {PERHAPS_BEFORE}" if is_in_doubt else reason)
    skipped = _already_sent(letter) if noted is None else skipped
    _plan_anew(letter, verdict)
    return skipped


def _already_sent(letter: Letter) -> Skipped:
    deliveries.note_taken(letter.job, letter.using)
    return ALREADY_SENT


def _plan_anew(letter: Letter, verdict: Verdict) -> None:
    """A planned reminder that waited until its due date moved is missing in the plan for the new one."""
    reminder, settlement = letter.question.reminder, verdict.rows.settlement
    if reminder is None or reminder.planned_at is None or settlement is None:
        return
    if reminder.due_date != settlement.due_date:
        plan_reminders(settlement, using=letter.using, keep_cancelled=True)


def _trouble_with_address(letter: Letter, verdict: Verdict) -> Discard | None:
    """The address of a person's row may be none at all: then the job fails, for people to see."""
    try:
        emails.check_address(verdict.address)
    except InvalidEmailAddress as error:
        text = f"user {letter.question.user_id} cannot be reached: {error}"
        facts = {**letter.facts(verdict), "recipient": ""}
        deliveries.note_not_sent(letter.job, facts, EmailDelivery.Status.FAILED, text, letter.using)
        return Discard(text)
    return None


# It is sent ---------------------------------------------------------------------------------------


@contextmanager
def _one_after_another(letter: Letter) -> Iterator[None]:
    """Of letters that tell news once none is looked at before it is decided whether the other leaves.

    So none tells what another has overtaken, and none misses that another is on its way. The mail server is
    spoken to afterwards.
    """
    if not told.takes_turns(letter.question):
        yield
        return
    with transaction.atomic(using=letter.using):
        rows.lock_settlement_of(letter.question, letter.using)
        yield


def _make_ready(letter: Letter) -> _Ready | Skipped | Discard:
    """Look at it, render it and take the right to send it; else what becomes of it, written down."""
    verdict = look(letter.question, letter.using)
    if verdict.skip is not None:
        return _skip(letter, verdict, verdict.skip)
    if verdict.wait is not None:
        raise RetryLater(verdict.wait, QUIET_HOURS)
    if (trouble := _trouble_with_address(letter, verdict)) is not None:
        return trouble
    rendered = emails.render(
        letter.question.template_type, letter.subject, letter.data, using=letter.using, rows=verdict.rows
    )
    facts = {**letter.facts(verdict), "subject": rendered.subject[:250]}
    news = news_of(letter, verdict.rows, facts["subject"])
    before = told.Told.NOT_YET if news is None else told.told_before(news, letter.using)
    if before == told.Told.ALREADY:
        return _skip(letter, verdict, told.ALREADY_TOLD)
    if before == told.Told.PERHAPS:
        raise RetryLater(deliveries.BUSY_DELAY, "another letter to the person is just being sent")
    delivery = deliveries.take(letter.job, facts, letter.using)
    return _already_sent(letter) if delivery is None else _Ready(rendered, verdict.address, delivery)


def _send(letter: Letter, ready: _Ready) -> Skipped | None:
    """Hand it to the mail server, and note what came of it."""
    job, using, delivery = letter.job, letter.using, ready.delivery
    deliveries.note_tried_again(job, using)
    taken = _hand_over(ready.rendered, ready.address, delivery)
    if isinstance(taken, Exception):
        refusals.settle(taken, delivery, job, using)
    deliveries.mark_sent(delivery, taken, job, using)
    logger.info("e-mail delivery %s (%s) sent", delivery.pk, letter.question.template_type)
    return SENT


def _is_said_once(letter: Letter) -> bool:
    # A subject that the job brings along says no facts.
    return not letter.subject and told.is_said_once(letter.job, letter.question)


def news_of(letter: Letter, found: Rows, subject: str) -> told.News | None:
    """What it tells, rendered with this subject; None if it is sent though it may be nothing new."""
    if found.settlement is None or found.person is None or not _is_said_once(letter):
        return None
    return told.News(
        letter.question.template_type,
        subject,
        found.settlement,
        found.payment.pk if found.payment is not None else None,
        found.person,
        letter.job.pk if letter.job else None,
        letter.question.asked_at,
    )


def _hand_over(rendered: emails.RenderedEmail, address: str, delivery: EmailDelivery) -> str | Exception:
    """What the mail server calls it, or what went wrong.

    Not raised: whatever we raise about it would carry it along, and with it the address that it may quote.
    But the time limit of the job is no answer: as after any interruption nobody knows whether it was taken.
    """
    try:
        return emails.send(rendered, address, delivery.message_id)
    except JobTimeout:
        raise
    except Exception as error:
        return error
