"""The run of one job: whatever its processor does becomes an outcome."""

from __future__ import annotations

import logging
import time
import traceback
from bdb import BdbQuit
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta

from jobqueue import signals
from jobqueue.conf import get_settings
from jobqueue.coroutines import Within, finish
from jobqueue.current import running
from jobqueue.delivery import failures
from jobqueue.exceptions import DatabaseUnavailable, JobStopped, RetryLater, UnreadableError
from jobqueue.models import OUTAGE_PREFIX, SKIPPED_PREFIX, Job
from jobqueue.models.cause_names import cause_of
from jobqueue.registry import Skipped, delay_after, get_processor
from jobqueue.sql.outages import is_outage
from jobqueue.sql.texts import clean
from jobqueue.worker import forks, log_lines
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Failure, Outcome, OutcomeStatus

logger = logging.getLogger(__name__)

_said_dropped: set[str] = set()
_NO_TERMINAL = (
    "a worker has no terminal, so breakpoint() and input() get an end of file; to debug a processor call it, "
    "or jobqueue.testing.drain(), in a shell or a test"
)
_LONGEST_NAME = 198
_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 20_000
# A time that no database or calendar has would keep the outcome from being written down.
_LONGEST_DELAY = timedelta(days=36_500)


def perform(
    claimed: Claim, limit: Callable[[Job], AbstractContextManager[Within | None]] | None = None
) -> Outcome:
    """Run the job's processor; whatever it does becomes an outcome, nothing is raised.

    `limit` guards the call with the job's time limit. A process that the job forked ends here.
    """
    job, using = claimed
    signals.send(signals.job_started, Job, job=job)
    started = time.perf_counter()
    log_lines.begin(job, started)
    try:
        with running(job, using), limit(job) if limit else nullcontext() as within:
            answer: object = get_processor(job.processor).function(**job.payload)
            if answer is not None:
                answer = finish(_within_its_process(answer), within)
        forks.end_if_fork()
        if answer is not None and not isinstance(answer, Skipped):
            _say_dropped(job.processor, answer)
        # Within the `try`: a reason is whatever the processor made it.
        reason = f"{SKIPPED_PREFIX}{answer.reason}" if isinstance(answer, Skipped) else ""
    except BaseException as error:  # also a SystemExit raised by a job ends only the job
        forks.end_if_fork(error)
        return _outcome_of_error(claimed, error, _since(started))
    status = OutcomeStatus.SKIPPED if isinstance(answer, Skipped) else OutcomeStatus.COMPLETED
    return Outcome(job, using, status, _since(started), reason)


def _say_dropped(processor: str, answer: object) -> None:
    """That nobody gets what it returned; once a processor, and without the value, which may be private."""
    if processor not in _said_dropped:
        _said_dropped.add(processor)
        logger.warning(
            "processor %s returned %s, which is dropped: its job is completed. A processor returns None, "
            "or Skipped(reason) where there was nothing to do",
            processor,
            type(answer).__name__,
        )


def _outcome_of_error(claimed: Claim, error: BaseException, seconds: float) -> Outcome:
    try:
        if isinstance(error, JobStopped):
            return _stopped_outcome(claimed, error, seconds)
        if isinstance(error, RetryLater):
            return _later_outcome(claimed, error, seconds)
        if get_settings().outage_retry_for and is_outage(error):
            return _outage_outcome(claimed, error, seconds)
        return failed_outcome(claimed, error, seconds)
    except BaseException as broken:  # of an error that does not let itself be read
        text = f"{type(error).__name__}, whose text or traceback cannot be had: {type(broken).__name__}"
        return failed_outcome(claimed, UnreadableError(text), seconds)


def _within_its_process(answer: object) -> object:
    return _ending_forks(answer) if isinstance(answer, Awaitable) else answer


async def _ending_forks(answer: Awaitable[object]) -> object:
    """What it comes to. A fork of it ends here: its event loop has lost the thread that waits for it."""
    try:
        result = await answer
    except BaseException as error:
        forks.end_if_fork(error)
        raise
    forks.end_if_fork()
    return result


def _stopped_outcome(claimed: Claim, error: JobStopped, seconds: float) -> Outcome:
    failure = _failure_of(error)
    status, reason = OutcomeStatus.STOPPED, failure.message
    return Outcome(
        claimed.job, claimed.using, status, seconds, reason, failure=failure, counts=False, exception=error
    )


def _later_outcome(claimed: Claim, later: RetryLater, seconds: float) -> Outcome:
    job, using = claimed
    try:
        delay, reason = min(later.delay, _LONGEST_DELAY), str(later.reason)
    except Exception as error:  # of a kind of RetryLater of a project's own
        return failed_outcome(claimed, error, seconds)
    failure = _told_as(reason, _failure_of(later.error)) if later.error is not None else None
    log = failures.log_retry if failure else failures.log_other_time
    log(job, reason, delay)
    exception = later.error or later
    return Outcome(
        job, using, OutcomeStatus.RETRIED, seconds, reason, delay, failure, counts=False, exception=exception
    )


def _outage_outcome(claimed: Claim, error: BaseException, seconds: float) -> Outcome:
    job, using = claimed
    failure = _failure_of(error)
    text = f"{failure.error_class}: {failure.message}"
    status, reason = OutcomeStatus.RETRIED, f"{OUTAGE_PREFIX}{text}"
    failure = replace(failure, error_class=DatabaseUnavailable.__name__, message=text)
    return Outcome(
        job, using, status, seconds, reason, None, failure, counts=False, exception=error, is_outage=True
    )


def failed_outcome(claimed: Claim, error: BaseException, seconds: float) -> Outcome:
    """What becomes of a job whose processor raised this error, which is logged."""
    job = claimed.job
    failure = _failure_of(error)
    delay = delay_after(job.processor, job.failures + 1, error)
    reason = f"{failure.error_class}: {failure.message}"
    if delay is None:
        failures.log_end(job, reason, error)
    else:
        failures.log_retry(job, reason, delay)
    status = OutcomeStatus.FAILED if delay is None else OutcomeStatus.RETRIED
    cause = cause_of(error) if delay is None else ""
    return Outcome(job, claimed.using, status, seconds, reason, delay, failure, exception=error, cause=cause)


def _told_as(reason: str, failure: Failure) -> Failure:
    """The failure in the words of a reason that tells it: `SMTPRecipientsRefused: 451 come again`.

    What the error says of itself, a dict of addresses and bytes, stands at the end of its traceback.
    """
    name = f"{failure.error_class}: "
    if not reason.startswith(name):
        return failure
    return replace(failure, message=clean(reason.removeprefix(name), _LONGEST_MESSAGE))


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
        text = str(error)
    except Exception as broken:
        return f"the error's text cannot be had: {type(broken).__name__}"
    if isinstance(error, BdbQuit | EOFError):
        return f"{text or 'the debugger ended'}: {_NO_TERMINAL}"
    return text
