"""The row of an e-mail: the right to send it is taken with one statement, and what came of it noted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from email.utils import parseaddr
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Q, QuerySet, Subquery
from django.db.models.functions import Now

from jobqueue.jobs import RetryLater, database_now
from jobqueue.models import Job
from settlements.models import EmailDelivery, ReminderDelivery
from settlements.models.deliveries import IN_VAIN, NOT_AGAIN, ONCE_MORE
from settlements.truth import Verdict

BUSY_DELAY: Final = timedelta(seconds=30)
"""When to look again at an e-mail that another run has just taken."""

_ENDED: Final = (EmailDelivery.Status.FAILED, EmailDelivery.Status.SKIPPED)


def message_id_of(job: Job | None) -> str:
    """The Message-ID of a job's e-mail. The time is in it because a restored database counts ids anew."""
    unique = f"job-{job.pk}-{int(job.created_at.timestamp())}" if job else f"mail-{uuid.uuid4().hex}"
    return f"<{unique}@{_message_id_domain()}>"


def _message_id_domain() -> str:
    configured = str(getattr(settings, "EMAIL_MESSAGE_ID_DOMAIN", ""))
    sender = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    return configured or (sender.rpartition("@")[2] if "@" in sender else "localhost")


def facts(job: Job | None, verdict: Verdict, template_type: str) -> dict[str, Any]:
    """What the delivery row says about the e-mail, but for its subject."""
    person = verdict.rows.person
    return {
        "recipient": verdict.address[:254],
        "user_id": person.pk if person is not None else None,
        "template_type": template_type,
        "subject": "",
        "about": job.subject if job else "",
        "message_id": message_id_of(job),
    }


def take(job: Job | None, facts: dict[str, Any], using: str) -> EmailDelivery | None:
    """The job's delivery row, with the right to send; None if the e-mail was sent.

    A call outside a worker gets a row of its own. RetryLater if another run has the right.
    """
    rows = EmailDelivery.objects.db_manager(using)
    if job is not None and job.attempt == 1 and (begun := rows.begin(job, **facts)) is not None:
        return begun
    untried = {**facts, "tries": 0}
    dated = {**untried, "created_at": lambda: database_now(using)}
    delivery = rows.get_or_create(job=job, defaults=dated)[0] if job else rows.create(**untried)
    if delivery.status in EmailDelivery.TAKEN:
        return None
    _claim(delivery, job, facts, using)
    return delivery


def _claim(delivery: EmailDelivery, job: Job | None, facts: dict[str, Any], using: str) -> None:
    """Take the right to send: of two runs of one job that saw the same row, one gets it.

    Only the job's newest attempt may have it: a worker that was declared gone, and whose job runs
    elsewhere, finds out here. The loser comes back later instead of ending the job, because the winner
    may yet fail.
    """
    seen = EmailDelivery.objects.using(using).filter(
        pk=delivery.pk, status=delivery.status, tries=delivery.tries
    )
    if job is not None and job.attempt == 1:
        # Another run of this first attempt has begun, perhaps just now.
        seen = seen.exclude(status=EmailDelivery.Status.SENDING, tries=1)
    if job is not None:
        # A subquery, not a join: PostgreSQL then checks status and tries again after it waited for the row.
        seen = seen.filter(Exists(Job.objects.using(using).filter(pk=job.pk, attempt=job.attempt)))
    values = {name: facts[name] for name in ("recipient", "user_id", "subject")}
    if _has_ended(delivery) and not (job and job.failures):
        # Somebody asked for it once more: the time for which it is tried begins anew. After an error of ours,
        # which counts as a failure of the job, it goes on.
        values |= {"tries_before": F("tries"), "trying_since": database_now(using)}
    sending = EmailDelivery.Status.SENDING
    if not seen.update(status=sending, tries=F("tries") + 1, error="", **values):
        raise RetryLater(BUSY_DELAY, "another run of this job is sending the e-mail")
    delivery.was_interrupted = delivery.status == sending and delivery.tries > 0
    delivery.status, delivery.tries = sending, delivery.tries + 1


def _has_ended(delivery: EmailDelivery) -> bool:
    """Whether nothing was to become of it any more."""
    is_doubted = delivery.status == EmailDelivery.Status.SENDING
    return delivery.status in _ENDED or (is_doubted and delivery.error.startswith((NOT_AGAIN, IN_VAIN)))


def mark_sent(delivery: EmailDelivery, provider_id: str, job: Job | None, using: str) -> None:
    """True whatever another run thinks; only a bounce that was reported meanwhile says more."""
    rows = EmailDelivery.objects.using(using).filter(pk=delivery.pk)
    row = rows.exclude(status__in=[EmailDelivery.Status.BOUNCED, EmailDelivery.Status.COMPLAINED])
    values = {
        "status": EmailDelivery.Status.SENT,
        "provider_id": provider_id[:250],
        "sent_at": Now(),
        "error": "",
    }
    if job is None or not carries_reminder(job):
        _update_or_name(row, rows, values)
        return
    with transaction.atomic(using=using):
        _update_or_name(row, rows, values)
        _settle_reminder(job, ReminderDelivery.Status.DELIVERED, using)


def _update_or_name(
    row: QuerySet[EmailDelivery], rows: QuerySet[EmailDelivery], values: dict[str, Any]
) -> None:
    """What was reported before our mark keeps its status, and still gets the provider's name for it."""
    if not row.update(**values):
        rows.update(provider_id=values["provider_id"], sent_at=values["sent_at"])


def carries_reminder(job: Job) -> bool:
    """Whether a reminder's row may say that this e-mail brings it: also of one from before payloads did."""
    return str(job.payload.get("template_type", "")).startswith("reminder_")


def note_taken(job: Job | None, using: str) -> None:
    """The mail server has this e-mail, whoever said so: its reminder is delivered."""
    if job is not None and carries_reminder(job):
        _settle_reminder(job, ReminderDelivery.Status.DELIVERED, using)


def mark_deferred(delivery: EmailDelivery, error: str, using: str) -> None:
    """The mail server asked for another time, or was not there."""
    _mark(delivery, EmailDelivery.Status.DEFERRED, error, ONCE_MORE, using)


def mark_failed(delivery: EmailDelivery, error: str, using: str) -> None:
    """It was not taken, or something of ours went wrong."""
    _mark(delivery, EmailDelivery.Status.FAILED, error, IN_VAIN, using)


def _mark(delivery: EmailDelivery, status: str, error: str, in_doubt: str, using: str) -> None:
    """Only while the row is still this run's: another may have sent the e-mail meanwhile.

    Where an earlier run was interrupted, perhaps that one sent it, and this stays so.
    """
    if delivery.was_interrupted:
        status, error = EmailDelivery.Status.SENDING, f"{in_doubt}{error}"
    EmailDelivery.objects.using(using).filter(
        pk=delivery.pk, status=EmailDelivery.Status.SENDING, tries=delivery.tries
    ).update(status=status, error=error)


def give_up_reminder(job: Job | None, using: str) -> None:
    """The reminder of this e-mail will not be delivered by it."""
    if job is not None and carries_reminder(job):
        give_up_reminders([job], using)


def give_up_reminders(jobs: Sequence[Job], using: str) -> None:
    """The reminders of these e-mails will not be delivered by them."""
    rows = ReminderDelivery.objects.using(using).filter(email_job_id__in=[job.pk for job in jobs])
    rows.filter(status=ReminderDelivery.Status.ON_ITS_WAY).update(
        status=ReminderDelivery.Status.NOT_DELIVERED
    )


def give_up_reminders_of_ended(using: str) -> int:
    """Reminders on their way whose e-mail ended without saying so, such as one whose worker was lost."""
    rows = ReminderDelivery.objects.using(using).filter(status=ReminderDelivery.Status.ON_ITS_WAY)
    ended = rows.filter(email_job__state__in=[Job.State.FAILED, Job.State.CANCELLED])
    return ended.update(status=ReminderDelivery.Status.NOT_DELIVERED)


def note_cancelled(jobs: Sequence[Job], reason: str, using: str) -> None:
    """Show on e-mails that waited for another try that somebody cancelled them, or stopped that one."""
    rows = EmailDelivery.objects.using(using).filter(job__in=jobs)
    rows.filter(status=EmailDelivery.Status.DEFERRED).update(
        status=EmailDelivery.Status.SKIPPED, error=reason
    )
    in_doubt = rows.filter(status=EmailDelivery.Status.SENDING, tries__gt=0)
    in_doubt.filter(Q(error="") | Q(error__startswith=ONCE_MORE)).update(error=f"{NOT_AGAIN}{reason}")


def note_tried_again(job: Job | None, using: str) -> None:
    """The reminder of an e-mail that was given up is on its way again: somebody asked for it once more."""
    if job is None or job.attempt == 1 or not carries_reminder(job):
        return
    rows = ReminderDelivery.objects.using(using).filter(email_job_id=job.pk)
    rows.filter(status=ReminderDelivery.Status.NOT_DELIVERED).update(
        status=ReminderDelivery.Status.ON_ITS_WAY
    )


def _settle_reminder(job: Job, status: str, using: str) -> None:
    ReminderDelivery.objects.using(using).filter(email_job_id=job.pk).update(status=status)


def note_not_sent(job: Job | None, facts: dict[str, Any], status: str, reason: str, using: str) -> str | None:
    """Write down why an e-mail is not sent; the status that it has then, None if it went out already."""
    rows = EmailDelivery.objects.db_manager(using)
    if job is None:
        rows.create(**facts, status=status, error=reason, tries=0)
        return status
    if not carries_reminder(job):
        return rows.end(job, status, reason, **facts)
    with transaction.atomic(using=using):
        noted = rows.end(job, status, reason, **facts)
        if noted is not None:
            give_up_reminder(job, using)
        return noted


def deferred_among_newest(most: int) -> QuerySet[EmailDelivery]:
    """Those of the newest e-mails, so many of them at most, that wait for the mail server."""
    # With both ends: of those between two numbers that it does not know PostgreSQL expects few.
    newest = Subquery(EmailDelivery.objects.order_by("-pk").values("pk")[:1])
    rows = EmailDelivery.objects.filter(
        pk__range=(newest - (most - 1), newest), status=EmailDelivery.Status.DEFERRED
    )
    # Those whose job somebody cancelled, or which gave up, wait no more.
    waits = Q(job__isnull=True) | Q(job__state__in=[Job.State.WAITING, Job.State.ACTIVE])
    return rows.filter(waits).order_by()
