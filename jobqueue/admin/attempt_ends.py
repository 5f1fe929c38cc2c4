"""How attempts ended that are told on the timeline of a job: the word for it, and who put it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin.listing import listed
from jobqueue.admin.words import badge
from jobqueue.delivery.rescue import DID_NOT_YIELD
from jobqueue.exceptions import JobInterrupted, JobStopped
from jobqueue.models import Attempt, Job
from jobqueue.models.unknown import never_ran
from jobqueue.operating.audit import Done

_PUT_BACK = "Put back on the road"
_STOP = "Stop: "
"""What the audit calls it, in English."""
_STOPPED_BY = "stopped by "
"""As the text begins of what is raised in a job that is to stop."""


def attempt_never_ran(attempt: Attempt) -> bool:
    """Whether it failed because no worker knew its job: each that claimed it handed it on."""
    return never_ran(f"{attempt.error_class}: {attempt.message}")


def badge_of(attempt: Attempt, job: Job, history: Sequence[Done], *, is_outage: bool) -> SafeString:
    """What became of the run; what was stopped did not fail, as the bars of the same page have it."""
    if is_outage:
        return badge("failed", _("database away"))
    if _was_stopped(attempt, job, history):
        return badge("cancelled", _("stopped"))
    return badge("failed", _("failed"))


def _was_stopped(attempt: Attempt, job: Job, history: Sequence[Done]) -> bool:
    """Whether its end was the stop that somebody had asked for, also where the job was retried since.

    The row of the job forgets the stop then. What an attempt ends with that is to stop may be any error, and
    it is never followed by another on its own: the audit knows when the stop was asked for.
    """
    if attempt.error_class == JobInterrupted.__name__ and attempt.message == DID_NOT_YIELD:
        return True
    if attempt.number == job.attempt:
        return job.state == Job.State.CANCELLED and job.stop_asked_at is not None
    if attempt.is_retried:
        return False
    is_told = attempt.error_class == JobStopped.__name__ and attempt.message.startswith(_STOPPED_BY)
    begun = attempt.started_at
    return is_told or (begun is not None and _was_stop_asked(history, begun, attempt.finished_at))


def _was_stop_asked(history: Sequence[Done], since: datetime | None, until: datetime) -> bool:
    stops = (each.at for each in history if each.what.startswith(_STOP))
    return any((since is None or since <= at) and at <= until for at in stops)


def badge_of_last(job: Job) -> SafeString:
    """What became of the run that stands on the row of a prepared job."""
    if listed(job).is_stuck:
        return badge("stuck")
    if job.state == Job.State.CANCELLED:
        return badge("cancelled", _("stopped"))
    if job.state == Job.State.ACTIVE:
        return badge("active", _("runs"))
    return badge("skipped" if job.is_skipped else job.state)


def put_back(
    history: Sequence[Done], since: datetime | None, until: datetime | None
) -> Iterator[tuple[datetime, str]]:
    """When operators put it back between these times, and who, as far as anybody wrote it down.

    What was to stop ended as cancelled by that, and did not go back.
    """
    done = [(each.at, each.who) for each in history if each.what.startswith(_PUT_BACK)]
    for at, who in sorted(done):
        if (since is None or at > since) and (until is None or at <= until):
            if _was_stop_asked(history, since, at):
                continue
            yield at, who
