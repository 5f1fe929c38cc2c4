"""The jobs that lead to letters for one person: which will come, and which ended without a letter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest

from jobqueue.models import SKIPPED_PREFIX, Job, JobQuerySet, due_time, subject_of
from jobqueue.searching import read_together
from settlements.asking import reminders_lately
from settlements.decisions import EMAILS
from settlements.letters import is_for
from settlements.models import EmailDelivery, Settlement
from settlements.previews import PROCESSORS
from settlements.processors.settlement import event_by_status, key_of_letter
from settlements.rows import email_of

MOST_JOBS = 500
VIEW_JOB = "jobqueue.view_job"
_NOT_DONE: Final = (Job.State.FAILED, Job.State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Jobs:
    """By time what will come; what did not, the newest first; the `reminders_lately` of what is owed."""

    coming: list[Job]
    not_sent: list[Job]
    are_more: bool
    lately: list[Job]


def jobs_of(person: Any, settlements: list[Settlement], owed: list[Settlement], request: HttpRequest) -> Jobs:
    """Of the jobs about person and settlements the next and the newest, by one question, or two.

    None of them for who may not see jobs; but why no reminder of what is `owed` can be sent is told to all.
    """
    lately = reminders_lately(owed)
    if not request.user.has_perm(VIEW_JOB):
        return Jobs(coming=[], not_sent=[], are_more=False, lately=list(lately))
    about = {subject_of(one): one for one in settlements}
    rows = Job.objects.filter(subject__in=[*about, subject_of(person)], processor__in=PROCESSORS)
    rows = rows.exclude(subject="")
    next_ones, newest = rows.unfinished().order_by("run_at", "id"), _not_sent(rows).order_by("-id")
    asked = [next_ones[: MOST_JOBS + 1], newest[: MOST_JOBS + 1], lately]
    waiting, over, reminders = read_together(asked)
    return Jobs(
        coming=sorted(_of(person, waiting, about), key=due_time),
        not_sent=sorted(_without_told(person, _of(person, over, about)), key=moment_of, reverse=True),
        are_more=max(len(waiting), len(over)) > MOST_JOBS,
        lately=reminders,
    )


def moment_of(job: Job) -> datetime:
    """The time that its row shows."""
    waits = job.state in (Job.State.WAITING, Job.State.ACTIVE)
    return due_time(job) if waits else job.finished_at or job.created_at


def _not_sent(rows: JobQuerySet) -> JobQuerySet:
    """Those that ended without a letter, but for e-mails of which their own row tells it.

    One that is with the mail server though its job has ended is perhaps sent, and is told so there.
    """
    told = EmailDelivery.objects.filter(job=OuterRef("pk")).exclude(status=EmailDelivery.Status.DEFERRED)
    skipped = Q(state=Job.State.COMPLETED, reason__startswith=SKIPPED_PREFIX)
    ended = rows.filter(Q(state__in=_NOT_DONE) | skipped)
    return ended.filter(~Q(processor=EMAILS) | ~Exists(told.order_by()))


def _of(person: Any, jobs: list[Job], about: Mapping[str, Settlement]) -> list[Job]:
    """Those that are for the person, among as many as are looked at."""
    return [job for job in jobs[:MOST_JOBS] if _is_for(person, job, about.get(job.subject))]


def _is_for(person: Any, job: Job, settlement: Settlement | None) -> bool:
    """Whether the job is for the person: by key or, where it names none, by address, else by its news."""
    payload: Any = job.payload
    if not isinstance(payload, dict):
        return False
    if payload.get("user_id") is not None:
        return str(payload["user_id"]) == str(person.pk)
    if "settlement_id" not in payload:
        address = email_of(person).lower()
        return bool(address) and str(payload.get("email")).lower() == address
    event = settlement and (payload.get("event") or event_by_status(settlement))
    return settlement is not None and is_for(str(event), settlement, person.pk)


def _without_told(person: Any, jobs: list[Job]) -> list[Job]:
    """Without news that failed for somebody else alone: this person's letter has a job of its own."""
    keys = {key_of_letter(job, person.pk): job.pk for job in jobs if _is_news(job)}
    if not keys:
        return jobs
    letters = Job.objects.filter(subject__in={job.subject for job in jobs if _is_news(job)}, processor=EMAILS)
    found = letters.filter(unique_key__in=keys).values_list("unique_key", flat=True)
    told = {keys[key] for key in found if key}
    return [job for job in jobs if job.pk not in told]


def _is_news(job: Job) -> bool:
    return job.state == Job.State.FAILED and job.payload.get("user_id") is None and job.processor != EMAILS
