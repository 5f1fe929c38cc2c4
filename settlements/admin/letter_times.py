"""What became of a letter and when, as timelines and lists of letters tell it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, QuerySet

from jobqueue.operating import retold_reason
from settlements.models import EmailDelivery


def with_ends(letters: QuerySet[EmailDelivery]) -> QuerySet[EmailDelivery]:
    """These letters, each with when its job ended and how, at no further statement."""
    return letters.annotate(job_ended_at=F("job__finished_at"), job_state=F("job__state"))


def time_of(letter: EmailDelivery) -> datetime:
    """When it was sent, or its job ended without that; of one that is under way when it was tried first.

    A letter that could not be sent at first, and was skipped at its retry, was skipped then.
    """
    ended_at: datetime | None = vars(letter).get("job_ended_at")
    return letter.sent_at or ended_at or letter.created_at


def error_of(letter: EmailDelivery) -> str:
    """Why it was skipped, or that nobody knows, as the reader says it; what a server answered as it was."""
    is_ours = letter.status == EmailDelivery.Status.SKIPPED or letter.is_uncertain
    return retold_reason(letter.told_error) if is_ours else letter.told_error
