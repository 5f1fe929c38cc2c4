"""When what became of a letter came to be, as timelines and lists of letters date it."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, QuerySet

from settlements.models import EmailDelivery


def with_ends(letters: QuerySet[EmailDelivery]) -> QuerySet[EmailDelivery]:
    """These letters, each with when its job ended, at no further statement."""
    return letters.annotate(job_ended_at=F("job__finished_at"))


def time_of(letter: EmailDelivery) -> datetime:
    """When it was sent, or its job ended without that; of one that is under way when it was tried first.

    A letter that could not be sent at first, and was skipped at its retry, was skipped then.
    """
    ended_at: datetime | None = vars(letter).get("job_ended_at")
    return letter.sent_at or ended_at or letter.created_at
