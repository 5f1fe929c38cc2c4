"""Every error the job queue raises on its own behalf, named by what is wrong."""

from datetime import timedelta


class JobQueueError(Exception):
    """Base class: catch this to catch everything the job queue raises."""


class InvalidJob(JobQueueError, ValueError):
    """A job cannot be enqueued as asked. Raised by the call, inside the caller's transaction."""


class UnknownProcessor(InvalidJob):
    """No processor of that name is registered."""


class InvalidProcessor(JobQueueError, ValueError):
    """What `@processor` was given cannot be registered. Raised when the module is imported."""


class DuplicateProcessor(InvalidProcessor):
    """Two processors claim one name."""


class InvalidReconciler(JobQueueError, ValueError):
    """What `@reconciler` was given cannot be called. Raised when the module is imported."""


class InvalidRetryPolicy(JobQueueError, ValueError):
    """A policy by which no job can be retried."""


class InvalidProgress(JobQueueError, ValueError):
    """What a job says of how far it is, is no share of anything. Raised by the call, inside the job."""


class DuplicateSource(JobQueueError, ValueError):
    """Two sources of records claim one name."""


class InvalidRule(JobQueueError, ValueError):
    """A rule that cannot fire: `manage.py check` names it, and so does a save of a row that it is for."""


class UnknownQueue(InvalidJob):
    """The queue is not configured in RQ_QUEUES."""


class UnknownDatabase(InvalidJob):
    """The alias of the database is not in DATABASES."""


class InvalidPayload(InvalidJob):
    """The payload is not plain JSON, or is not what the processor takes."""


class PayloadTooLarge(InvalidPayload):
    """The payload is larger than the configured limit."""


class InvalidRunAt(InvalidJob):
    """run_at or delay is of the wrong type, naive, given twice, or a time that cannot be stored or shown."""


class PastRunAt(InvalidRunAt):
    """The time to which a job is to be moved does not lie ahead."""


class InvalidUniqueKey(InvalidJob):
    """The unique key or subject is too long or empty."""


class MaskedPayload(InvalidPayload):
    """The payload of a copy has what pages show in place of what is hidden; a value that nobody meant."""


class UniqueKeyHeld(InvalidJob):
    """A job that waits has the unique key of the copy that was asked for, and would swallow it."""


class JobTransitionRefused(JobQueueError):
    """The job's state does not allow what was asked of it."""


class WrongState(JobTransitionRefused):
    """An operator's verb does not take the job as it is; the text says which jobs it takes."""


class WorkerOrderRefused(JobQueueError):
    """What was asked of a worker is nothing that it can do: it is gone, or too old to know it."""


class NotRunning(JobTransitionRefused):
    """What takes a running job was asked of one that does not run."""


class AlreadyStopping(JobTransitionRefused):
    """The stop of the job was asked for before."""


class NotDelayed(JobTransitionRefused):
    """What takes a delayed job was asked of one that runs, has ended, or is due."""


class MovedMeanwhile(JobTransitionRefused):
    """Somebody moved the job after whoever asks had looked at it: its time is another than was seen."""


class AlreadyAtThatTime(JobTransitionRefused):
    """The job has the time already to which it is to be moved: nothing is changed or written down."""


class NotWaiting(JobTransitionRefused):
    """What takes a job that waits was asked of one that runs or has ended."""


class AlreadyHeld(JobTransitionRefused):
    """Somebody holds the job already."""


class NotHeld(JobTransitionRefused):
    """The release of a job was asked for that nobody holds."""


class CannotRun(JobQueueError, AssertionError):
    """A test ran a job that no worker would run; its text says why, and what makes it run."""


class JobIsHeld(CannotRun):
    """A test ran a job that somebody holds."""


class WorkerGone(JobTransitionRefused, WorkerOrderRefused):
    """The worker that would have to do it gives no sign of life."""


class WorkerTooOld(JobTransitionRefused, WorkerOrderRefused):
    """The worker that would have to do it runs an older version, which does not know how."""


class InvalidPause(JobQueueError):
    """A queue cannot be paused so: its end is not ahead, or its reason is too long."""


class ChangedMeanwhile(JobQueueError):
    """Somebody gave a row another value after whoever asks had looked at it; nothing is written then."""


class JobMoveRefused(JobTransitionRefused):
    """The app that owns the job does not let it run at that time; the text says what is allowed."""


class JobCopyRefused(JobTransitionRefused):
    """Somebody copied the job after whoever asks had looked at it: one of two clicks makes a copy."""


class NothingLeft(JobQueueError):
    """All that was meant was moved, held, released, cancelled or begun by somebody else meanwhile."""


class UnreadableRow(JobQueueError):
    """Something else stands in a job's row than its columns are for."""


class UnreadableError(JobQueueError):
    """The processor raised an error whose text or traceback cannot be had; it stands in its place."""


class JobTimeout(Exception):
    """Raised inside a processor that ran past its time limit."""


class JobStopped(BaseException):
    """Raised inside a processor whose stop somebody asked for; its text says who and why.

    No `Exception`: a processor's `except Exception` is for what goes wrong, and would go on with the work.
    """


class ProcessorDidNotRun(JobQueueError):
    """The processor returned something whose work is still to be done, such as a generator."""


class TransactionLeftOpen(JobQueueError):
    """The processor returned and left a transaction open, so what it wrote is rolled back."""


class JobInterrupted(JobQueueError):
    """The worker that ran the job stopped, or was lost, before the job ended."""


class BrokerUnavailable(JobQueueError):
    """Redis cannot be reached, or did not answer in time."""

    queues: frozenset[str] = frozenset()
    """The queues of what could not be published, where it is known that others were."""


class DatabaseUnavailable(JobQueueError):
    """A job met a database that is away, busy or full. It names the failed attempt; no job is given it."""


class MissingExtra(JobQueueError, ImportError):
    """A part of the job queue was asked for whose packages are not installed; the message names the extra."""

    def __init__(self, part: str, package: str, extra: str) -> None:
        super().__init__(
            f"{part} needs {package}, which is not installed: install the job queue with its extra "
            f"{extra!r}, as in pip install 'spendsync-job-queue[{extra}]'"
        )


class CannotStart(JobQueueError):
    """A worker cannot begin, and waiting would not help: the text names the setting that does."""


class EndsHere(SystemExit):
    """A process was asked to stop before it had begun anything, and ends where it is."""


class Discard(Exception):  # noqa: N818 - a word of the domain, not an error of ours
    """Raised by a processor: end this job as failed now, without retry, for this reason."""


class RetryLater(Exception):  # noqa: N818 - a word of the domain, not an error of ours
    """Raised by a processor: run this job again after `delay`, without counting a failure.

    `delay` is a `timedelta` or a number of seconds. `error` says what went wrong in this run: it is kept as a
    failed attempt, with its traceback, but takes nothing from the budget of retries.
    """

    # A kind of it that does not call this constructor asks for the next moment.
    delay: timedelta = timedelta(0)
    reason: str = ""
    error: BaseException | None = None

    def __init__(
        self, delay: timedelta | float, reason: str = "", *, error: BaseException | None = None
    ) -> None:
        super().__init__(reason or "asked for another time")
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        self.reason = reason
        self.error = error
