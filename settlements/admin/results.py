"""What jobs of this app led to: letters, reminders, payments and settlements, as they are now.

Shown on the page of the job. Whoever may see jobs sees what came of them and its state; names, amounts and
pages are for who may see those records, whole addresses for who may read payloads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.admin import Result, address_of, mask_address, mask_addresses, tells_results
from jobqueue.models import Job, alias_of
from settlements.admin.letter_times import error_of, with_ends, with_letters
from settlements.decisions import CHECKS, EMAILS, REMINDERS
from settlements.letter_words import letter_word
from settlements.models import EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.operating.rights import may
from settlements.templatetags.settlement_format import money

_MOST = 20
_SLACK = timedelta(seconds=1)
"""What was written at the very end of a run may be as much younger than the job's last moment."""


@tells_results(EMAILS)
def of_email(job: Job, request: HttpRequest) -> Iterator[Result]:
    """The letter, and the reminder that it brings."""
    using = alias_of(job)
    for letter in with_ends(EmailDelivery.objects.using(using).filter(job=job)):
        yield _letter(letter, request)
    if str(job.payload.get("template_type", "")).startswith("reminder_"):
        for reminder in with_letters(ReminderDelivery.objects.using(using)).filter(email_job=job):
            yield _reminder(reminder, request)


@tells_results(REMINDERS)
def of_reminder(job: Job, request: HttpRequest) -> Iterator[Result]:
    """The reminder, and the job of its letter."""
    if not _did_something(job):
        return
    using, payload = alias_of(job), job.payload
    rows = with_letters(ReminderDelivery.objects.using(using)).filter(
        settlement=payload["settlement_id"],
        reminder_type=payload["reminder_type"],
        step=payload.get("step", 0),
        due_date=datetime.fromisoformat(payload["due_date"]),
    )
    for reminder in _in_run(rows.select_related("email_job"), job, "email_job__created_at"):
        yield _reminder(reminder, request)
        if reminder.email_job is not None:
            yield _of_job(
                reminder.email_job, _("Letter by job #%(number)s") % {"number": reminder.email_job_id}
            )


@tells_results("settlement.settlement_notification")
def of_notification(job: Job, request: HttpRequest) -> Iterator[Result]:
    """The letters that it asked for: one to each person concerned."""
    if not _did_something(job) and job.state != Job.State.FAILED:
        return
    emails = Job.objects.using(alias_of(job)).about(job.subject).filter(processor=EMAILS)
    if job.payload.get("user_id") is None:
        asked = list(emails.filter(unique_key__startswith=f"email:{job.pk}:").order_by("pk")[:_MOST])
    else:
        asked = list(_in_run(emails, job))
    rows = EmailDelivery.objects.using(alias_of(job)).filter(job__in=asked)
    letters = {one.job_id: one for one in with_ends(rows)}
    for one in asked:
        letter = letters.get(one.pk)
        named = _("Letter by job #%(number)s") % {"number": one.pk}
        yield _of_job(one, named) if letter is None else _letter(letter, request)


@tells_results(CHECKS)
def of_check(job: Job, request: HttpRequest) -> Iterator[Result]:
    """The payment that was asked about, as it is now."""
    key = job.payload.get("payment_id")
    payment = Payment.objects.using(alias_of(job)).filter(pk=UUID(str(key))).first() if key else None
    if payment is not None:
        amount = f" {money(payment.amount)}" if may(request, "view", Payment) else ""
        yield Result(
            f"{_('Payment')}{amount}",
            state=str(payment.status),
            label=payment.get_status_display(),
            url=_url(payment, request),
            note=mask_addresses(payment.failed_because) if amount else "",
        )


@tells_results("settlement.auto_complete")
def of_auto_complete(job: Job, request: HttpRequest) -> Iterator[Result]:
    """The settlement, as it is now."""
    if not _did_something(job):
        return
    settlement = Settlement.objects.using(alias_of(job)).filter(pk=job.payload["settlement_id"]).first()
    if settlement is not None:
        shown = _("“%(text)s”") % {"text": mask_addresses(str(settlement))}
        name = f" {shown}" if may(request, "view", Settlement) else ""
        yield Result(
            f"{_('Settlement')}{name}",
            state=str(settlement.status),
            label=settlement.get_status_display(),
            url=_url(settlement, request),
        )


@tells_results("settlement.periodic_reminder")
def of_plan(job: Job, request: HttpRequest) -> Iterator[Result]:
    """How many reminders it planned."""
    rows = Job.objects.using(alias_of(job)).about(job.subject).filter(processor=REMINDERS)
    planned = list(_in_run(rows, job)) if _did_something(job) else []
    if planned:
        text = ngettext("%(n)s reminder planned", "%(n)s reminders planned", len(planned))
        yield Result(text % {"n": len(planned)}, url=address_of(Job, "change", planned[-1].pk))


def _did_something(job: Job) -> bool:
    return job.state == Job.State.COMPLETED and not job.is_skipped


def _in_run(rows: QuerySet[Any], job: Job, moment: str = "created_at") -> Iterable[Any]:
    """Those of the rows that were written while the job's last run went on, by the database's clock."""
    end = job.finished_at or job.started_at
    if job.started_at is None or end is None:
        return []
    during = {f"{moment}__gte": job.started_at, f"{moment}__lte": end + _SLACK}
    return rows.filter(**during).order_by("-pk")[:_MOST]


def _letter(letter: EmailDelivery, request: HttpRequest) -> Result:
    may_read = request.user.has_perm("jobqueue.view_payload")
    note = error_of(letter)
    address = letter.recipient if may_read else mask_address(letter.recipient)
    subject = (
        f": {_('“%(text)s”') % {'text': mask_addresses(letter.subject)}}"
        if letter.subject and may(request, "view", EmailDelivery)
        else ""
    )
    words = {"kind": letter_word(letter.template_type), "address": address or _("nobody")}
    return Result(
        (_("Letter “%(kind)s” to %(address)s") % words) + subject,
        state=letter.status,
        label=letter.status_in_words,
        url=_url(letter, request),
        at=letter.sent_at,
        note=note if may_read else mask_addresses(note),
    )


def _reminder(reminder: ReminderDelivery, request: HttpRequest) -> Result:
    return Result(
        _("Reminder: %(kind)s") % {"kind": str(reminder)},
        state=reminder.status,
        label=reminder.status_in_words,
        url=_url(reminder, request),
    )


def _of_job(job: Job, text: str) -> Result:
    url = address_of(Job, "change", job.pk)
    return Result(text, state="skipped" if job.is_skipped else str(job.state), url=url)


def _url(record: Model, request: HttpRequest) -> str:
    """The record's page, for who may see it."""
    return address_of(type(record), "change", record.pk) if may(request, "view", type(record)) else ""
