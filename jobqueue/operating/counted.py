"""Failures that count against a job's retries, in words: not each failed run does."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobqueue.models import Job


def counts_each(job: Job) -> bool:
    """Whether each failed run of the job is known to count: its last one failed only where the job did."""
    over = job.attempt if job.state == Job.State.FAILED else job.attempt - 1
    return job.failures == over


def told_retry(job: Job, when: str, error: str, retries: int) -> str:
    """Of a job whose run before failed. Which retry comes is said only where each failure is known to count.

    One after which it asked for another time costs nothing, and a retry by hand begins to count anew.
    """
    words = {"number": job.failures, "of": retries, "when": when, "error": error}
    if counts_each(job):
        return _("Retry %(number)s of %(of)s %(when)s after %(error)s.") % words
    text = ngettext(
        "Runs again %(when)s after %(error)s; %(number)s failure counts against its %(of)s retries.",
        "Runs again %(when)s after %(error)s; %(number)s failures count against its %(of)s retries.",
        job.failures,
    )
    return text % words
