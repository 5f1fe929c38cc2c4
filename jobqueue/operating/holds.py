"""Holds, releases and cancels of one job as operators make them, with what is written down of it."""

from __future__ import annotations

from django.http import HttpRequest

from jobqueue.models import Job, alias_of, due_time, holding
from jobqueue.operating.audit import log_change
from jobqueue.operating.audit_entry import because
from jobqueue.operating.words import absolute
from jobqueue.sql.writing import writing


def hold_and_log(job: Job, request: HttpRequest, *, reason: str) -> None:
    """Hold a job that waits. Raises NotWaiting or AlreadyHeld."""
    using = alias_of(job)
    with writing(using):
        holding.hold(job, request.user.get_username(), reason, using)
        log_change(request, job, because(f"Hold: runs {absolute(due_time(job))} → held", reason))


def release_and_log(job: Job, request: HttpRequest, *, reason: str) -> None:
    """Release a held job. Raises NotWaiting or NotHeld."""
    using, before = alias_of(job), absolute(due_time(job))
    with writing(using):
        holding.release(job, using)
        text = f"Release: held, was to run {before} → runs {absolute(job.run_at)}"
        log_change(request, job, because(text, reason))


def cancel_and_log(job: Job, request: HttpRequest, *, reason: str) -> None:
    """Cancel a delayed job. Raises JobTransitionRefused."""
    before = absolute(due_time(job))
    with writing(alias_of(job)):
        job.cancel(holding.reason_of(request.user.get_username(), reason, "cancelled"))
        log_change(request, job, because(f"Cancel: delayed until {before} → cancelled", reason))
