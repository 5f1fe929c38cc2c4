"""The run of one job: whatever its processor does becomes an outcome."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

from jobqueue import signals
from jobqueue.exceptions import RetryLater
from jobqueue.jobs import running
from jobqueue.models import SKIPPED_PREFIX, Job
from jobqueue.registry import Skipped, get_processor, retry_policy_of
from jobqueue.sql.texts import clean
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Failure, Outcome, OutcomeStatus

_LONGEST_NAME = 198
_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 20_000
# A time that no database or calendar has would keep the outcome from being written down.
_LONGEST_DELAY = timedelta(days=36_500)


def perform(claimed: Claim, limit: Callable[[Job], AbstractContextManager[object]] | None = None) -> Outcome:
    """Run the job's processor; whatever it does becomes an outcome, nothing is raised.

    `limit` guards the call with the job's time limit.
    """
    job, using = claimed
    signals.send(signals.job_started, Job, job=job)
    started = time.perf_counter()
    try:
        with running(job, using), limit(job) if limit else nullcontext():
            answer = get_processor(job.processor).function(**job.payload)
    except RetryLater as later:
        delay = min(later.delay, _LONGEST_DELAY)
        failure = _failure_of(later.error) if later.error is not None else None
        return Outcome(
            job, using, OutcomeStatus.RETRIED, _since(started), str(later.reason), delay, failure, False
        )
    except BaseException as error:  # also a SystemExit raised by a job ends only the job
        return _failed_outcome(claimed, error, _since(started))
    if isinstance(answer, Skipped):
        return Outcome(job, using, OutcomeStatus.SKIPPED, _since(started), f"{SKIPPED_PREFIX}{answer.reason}")
    return Outcome(job, using, OutcomeStatus.COMPLETED, _since(started))


def _failed_outcome(claimed: Claim, error: BaseException, seconds: float) -> Outcome:
    job = claimed.job
    failure = _failure_of(error)
    delay = retry_policy_of(job.processor).next_delay(job.failures + 1, error)
    status = OutcomeStatus.FAILED if delay is None else OutcomeStatus.RETRIED
    reason = f"{failure.error_class}: {failure.message}"
    return Outcome(job, claimed.using, status, seconds, reason, delay, failure)


def _failure_of(error: BaseException) -> Failure:
    return Failure(
        clean(type(error).__name__, _LONGEST_NAME),
        clean(_text_of(error), _LONGEST_MESSAGE),
        clean("".join(traceback.format_exception(error)), _LONGEST_TRACEBACK),
    )


def _since(started: float) -> float:
    return time.perf_counter() - started


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"the error's text cannot be had: {type(broken).__name__}"
