"""Every failed attempt is a log record: a warning if the job runs again, an error if it does not.

The logger is `jobqueue.jobs`. Each record has the attributes `job_id`, `processor`, `queue` and `attempt`.
What we write is about the job; the error's text and traceback are the processor's.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from jobqueue.models import Job

logger = logging.getLogger("jobqueue.jobs")

_LONGEST_TEXT = 300


def log_retry(job: Job, text: str, delay: timedelta) -> None:
    """An attempt failed, and the job runs again."""
    words = "failed in attempt %d and runs again in %.3g s: %s"
    _log(logging.WARNING, job, words, job.attempt, delay.total_seconds(), _line(text))


def log_outage(job: Job, text: str, delay: timedelta) -> None:
    """The job met a database that cannot be used for now; `text` says so."""
    words = "in attempt %d %s; it runs again in %.3g s, at no cost"
    _log(logging.WARNING, job, words, job.attempt, _line(text), delay.total_seconds())


def log_other_time(job: Job, text: str, delay: timedelta) -> None:
    """The job asked for another time, without having failed."""
    words = "asked for another time in attempt %d, in %.3g s: %s"
    _log(logging.INFO, job, words, job.attempt, delay.total_seconds(), _line(text))


def log_end(job: Job, text: str, error: BaseException) -> None:
    """The job has failed and does not run again; `error` is what Sentry, say, groups it by."""
    words = "failed in attempt %d and does not run again: %s"
    _log(logging.ERROR, job, words, job.attempt, _line(text), error=error)


def log_stop(job: Job, text: str) -> None:
    """The job was to stop, and ended only as its process did."""
    _log(logging.WARNING, job, "was stopped in attempt %d: %s", job.attempt, _line(text))


def _log(level: int, job: Job, words: str, *values: object, error: BaseException | None = None) -> None:
    # One text for all of a kind: that is what services for logs group them by.
    ids = {"job_id": job.pk, "processor": job.processor, "queue": job.queue, "attempt": job.attempt}
    logger.log(level, f"job %d (%s) {words}", job.pk, job.processor, *values, exc_info=error, extra=ids)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT]
