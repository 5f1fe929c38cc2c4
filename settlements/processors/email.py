"""`email.notification`: one job is one e-mail, true when it leaves, sent once.

What the rows say is asked right before (`settlements.truth`). An `EmailDelivery` row is claimed before the
mail server is spoken to and marked afterwards, each in a transaction of its own: none is open meanwhile.
Where a worker dies between "the server has it" and "the row says so", nobody can know which it was; the
e-mail then goes out again under the same Message-ID, by which mailboxes recognise a repeat.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import router

from jobqueue.jobs import Discard, RetryLater, Skipped, TypeCounter, current_database, current_job, processor
from jobqueue.models import Job
from settlements import deliveries, emails
from settlements.exceptions import InvalidEmailAddress, UnknownTemplateType
from settlements.letters import Reminder
from settlements.models import EmailDelivery, ReminderDelivery
from settlements.planning import plan_reminders
from settlements.processors import refusals
from settlements.rows import Question
from settlements.truth import Verdict, look

logger = logging.getLogger("settlements.email")


@processor(
    "email.notification",
    queue="email",
    timeout=60,
    counter=TypeCounter("email_notifications_total", payload_key="template_type"),
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
    job = current_job()
    using = current_database() or router.db_for_write(EmailDelivery)
    known = _reminder(reminder)
    if known is None and (known := _reminder_before(job, email_subject, template_type, using)) is not None:
        email = ""  # the system's own: it goes where the person is now
    question = emails.question_of(
        template_type,
        template_data,
        user_id=user_id,
        address=email,
        reminder=known,
        asked_at=job.created_at if job else None,
        job_id=job.pk if job else None,
    )
    verdict = look(question, using)
    facts = deliveries.facts(job, verdict, template_type)
    if verdict.skip is not None:
        skipped = _skip(job, facts, verdict.skip, using)
        _plan_anew(question, verdict, using)
        return skipped
    if verdict.wait is not None:
        raise RetryLater(verdict.wait, "quiet hours")
    _check_own_address(job, facts, verdict.address, question, using)

    rendered = emails.render(template_type, email_subject, template_data, using=using, rows=verdict.rows)
    delivery = deliveries.take(job, {**facts, "subject": rendered.subject[:250]}, using)
    if delivery is None:
        deliveries.note_taken(job, using)
        return Skipped("already sent")
    deliveries.note_tried_again(job, using)
    try:
        provider_id = emails.send(rendered, verdict.address, delivery.message_id)
    except Exception as error:
        refusals.settle(error, delivery, job, using)
    deliveries.mark_sent(delivery, provider_id, job, using)
    logger.info("e-mail delivery %s (%s) sent", delivery.pk, template_type)
    return None


def _check(address: str, template_type: str) -> None:
    """Payloads are checked when the job is added; one that was added past those checks never gets better."""
    try:
        emails.check_template_type(template_type)
        if address:
            emails.check_address(address)
    except (UnknownTemplateType, InvalidEmailAddress) as error:
        raise Discard(str(error)) from None


def _check_own_address(job: Any, facts: dict[str, Any], address: str, question: Question, using: str) -> None:
    """The address of a person's row may be none at all: then the job fails, for people to see."""
    try:
        emails.check_address(address)
    except InvalidEmailAddress as error:
        text = f"user {question.user_id} cannot be reached: {error}"
        deliveries.note_not_sent(job, {**facts, "recipient": ""}, EmailDelivery.Status.FAILED, text, using)
        raise Discard(text) from None


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


def _plan_anew(question: Question, verdict: Verdict, using: str) -> None:
    """A planned reminder that waited until its due date moved is missing in the plan for the new one."""
    reminder, settlement = question.reminder, verdict.rows.settlement
    if reminder is None or reminder.planned_at is None or settlement is None:
        return
    if reminder.due_date != settlement.due_date:
        plan_reminders(settlement, using=using, keep_cancelled=True)


def _reminder_before(job: Job | None, subject: str, template_type: str, using: str) -> Reminder | None:
    """The reminder that a letter carries whose payload is from before payloads said so."""
    if job is None or subject or not template_type.startswith("reminder_"):
        return None
    row = ReminderDelivery.objects.using(using).filter(email_job_id=job.pk).first()
    if row is None:
        return None
    return Reminder(row.reminder_type, row.step, row.due_date, planned_at=row.created_at)


def _skip(job: Any, facts: dict[str, Any], reason: str, using: str) -> Skipped:
    """Note on the delivery why the letter is not sent, unless it went out already."""
    if not deliveries.note_not_sent(job, facts, EmailDelivery.Status.SKIPPED, reason, using):
        deliveries.note_taken(job, using)
        return Skipped("already sent")
    return Skipped(reason)
