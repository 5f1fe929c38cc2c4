"""Which of many waiting jobs would be skipped, by the rows of this moment: a few questions for all of them.

What decides is what decides when they are sent (`settlements.truth`). The preview of one job asks more: what
went out before, and what is due together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from jobqueue.models import Job
from settlements.decisions import EMAILS, REMINDERS
from settlements.letters import LETTERS, TAKEN_BACK
from settlements.models import Settlement
from settlements.processors.email import letter_of
from settlements.processors.reminders import reminder_of
from settlements.rows import Question
from settlements.rows_of_many import address_of, barred_among, read_many
from settlements.truth import barred_because, why_skipped

PROCESSORS: Final = (REMINDERS, EMAILS)
_NOTHING: Final[Mapping[str, str | None]] = {}


def skips_of(
    jobs: Sequence[Job],
    using: str,
    known: Mapping[str, str | None] = _NOTHING,
    settlements: Iterable[Settlement] = (),
    people: Iterable[Any] = (),
) -> dict[int, str]:
    """By id of those jobs that would be skipped: why.

    Of the addresses that are `known`, in small letters, nobody asks again for what cause they are barred; nor
    for these settlements, read with what is `counted`, and people.
    """
    asked = [(job.pk, question) for job in jobs if (question := _question(job, using)) is not None]
    if not asked:
        return {}
    rows = read_many([one for _, one in asked], using, settlements, people)
    found = dict(zip([pk for pk, _ in asked], rows, strict=True))
    addresses = {pk: address_of(question, found[pk]).lower() for pk, question in asked}
    barred = {**known, **barred_among(set(addresses.values()) - known.keys(), using)}
    reasons = {}
    for pk, question in asked:
        cause = barred.get(addresses[pk])
        if why := why_skipped(question, found[pk]) or (barred_because(cause) if cause else ""):
            reasons[pk] = why
    return reasons


def leads_on(job: Job) -> bool:
    """Whether the job sends no letter itself: those that it leads to are looked at when they leave."""
    return job.processor not in PROCESSORS


def _question(job: Job, using: str) -> Question | None:
    """What the rows are asked before its letter leaves; None for what only its processor can say."""
    if job.state != Job.State.WAITING:
        return None
    try:
        found = _of_reminder(job) if job.processor == REMINDERS else _of_email(job, using)
    except (KeyError, TypeError, ValueError, AttributeError):  # of a payload that somebody wrote
        return None
    return found if found is not None and found.template_type in LETTERS else None


def _of_reminder(job: Job) -> Question:
    given = {"step": 0, "planned": False, **job.payload}
    settlement_id, user_id = given.pop("settlement_id"), given.pop("user_id")
    reminder = reminder_of(job, **given)
    return Question(
        f"reminder_{reminder.reminder_type}",
        user_id=user_id,
        settlement_id=settlement_id,
        reminder=reminder,
        asked_at=job.created_at,
    )


def _of_email(job: Job, using: str) -> Question | None:
    if job.processor != EMAILS:
        return None
    question = letter_of(None, using, **job.payload).question
    # Whether a letter about a debt of before, or a refund, had gone out stands in rows of its own.
    return question if question.template_type not in ("settlement_released", TAKEN_BACK) else None
