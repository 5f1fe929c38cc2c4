"""What became of a letter and when, as timelines and lists of letters tell it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, QuerySet
from django.utils.translation import gettext

from jobqueue.operating import retold_reason
from settlements.models import EmailDelivery, ReminderDelivery
from settlements.models.deliveries import IN_VAIN, NOT_AGAIN, ONCE_MORE, PERHAPS_SENT


def with_ends(letters: QuerySet[EmailDelivery]) -> QuerySet[EmailDelivery]:
    """These letters, each with when its job ended and how, at no further statement."""
    return letters.annotate(job_ended_at=F("job__finished_at"), job_state=F("job__state"))


def with_letters(reminders: QuerySet[ReminderDelivery]) -> QuerySet[ReminderDelivery]:
    """These reminders, each with what became of its letter: of some that tells their status."""
    return reminders.annotate(
        job_state=F("email_job__state"), letter_status=F("email_job__email_delivery__status")
    )


def time_of(letter: EmailDelivery) -> datetime:
    """When it was sent, or its job ended without that; of one that is under way when it was tried first.

    A letter that could not be sent at first, and was skipped at its retry, was skipped then.
    """
    ended_at: datetime | None = vars(letter).get("job_ended_at")
    return letter.sent_at or ended_at or letter.created_at


def error_of(letter: EmailDelivery) -> str:
    """Why it was skipped, or that nobody knows, as the reader says it; what a server answered as it was."""
    if letter.is_uncertain:
        return "; ".join(filter(None, (retold_reason(PERHAPS_SENT), _since(letter.error))))
    is_ours = letter.status == EmailDelivery.Status.SKIPPED
    return retold_reason(letter.told_error) if is_ours else letter.told_error


def _since(error: str) -> str:
    """What came of a letter after the run that perhaps sent it."""
    if error.startswith(NOT_AGAIN):
        return gettext("not tried again: %(why)s") % {"why": retold_reason(error.removeprefix(NOT_AGAIN))}
    for head, told in (
        (IN_VAIN, gettext("tried again in vain: %(answer)s")),
        (ONCE_MORE, gettext("will be tried again: %(answer)s")),
    ):
        if error.startswith(head):
            return told % {"answer": error.removeprefix(head)}
    return error
