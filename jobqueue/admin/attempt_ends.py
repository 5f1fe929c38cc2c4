"""How attempts ended that are told on the timeline of a job: the word for it, and who put it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobqueue.admin.listing import listed
from jobqueue.admin.words import badge
from jobqueue.delivery.rescue import DID_NOT_YIELD
from jobqueue.exceptions import JobInterrupted
from jobqueue.models import Attempt, Job
from jobqueue.models.unknown import never_ran
from jobqueue.operating.audit import Done

_PUT_BACK = "Put back on the road"
"""What the audit calls it, in English."""


def attempt_never_ran(attempt: Attempt) -> bool:
    """Whether it failed because no worker knew its job: each that claimed it handed it on."""
    return never_ran(f"{attempt.error_class}: {attempt.message}")


def badge_of(attempt: Attempt, job: Job, *, is_outage: bool) -> SafeString:
    """What became of the run; what was stopped did not fail, as the bars of the same page have it."""
    if is_outage:
        return badge("failed", _("database away"))
    is_last = attempt.number == job.attempt
    is_stopped = is_last and job.state == Job.State.CANCELLED and job.stop_asked_at is not None
    if is_stopped or (attempt.error_class == JobInterrupted.__name__ and attempt.message == DID_NOT_YIELD):
        return badge("cancelled", _("stopped"))
    return badge("failed", _("failed"))


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
    """When operators put it back between these times, and who, as far as anybody wrote it down."""
    done = [(each.at, each.who) for each in history if each.what.startswith(_PUT_BACK)]
    for at, who in sorted(done):
        if (since is None or at > since) and (until is None or at <= until):
            yield at, who
