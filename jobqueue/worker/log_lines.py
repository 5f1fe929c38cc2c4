"""What a processor logs while it runs is kept with its job, until the outcome of the attempt is written.

Whatever passes the filters of its logger is seen in `Logger.callHandlers`, on its way to the project's
handlers, so loggers that do not propagate are too. The level of the root logger does not count, which is
WARNING where nobody set it: who sets one on a logger of their own means it. A job that logs nothing pays for
one entry in the dictionary of its instance.

A thread belongs to the job that started it, and so does a call that a job hands to a pool. What another
process logs is not seen here.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.db import connections

from jobqueue.conf import get_settings
from jobqueue.exceptions import JobStopped, JobTimeout
from jobqueue.jobs import current_job
from jobqueue.models import Job, KeptLog, LogLine, write_logs
from jobqueue.signals import is_interrupt
from jobqueue.sql.texts import clean
from jobqueue.sql.writing import writing

logger = logging.getLogger(__name__)

_REPLACED: tuple[tuple[type, str], ...] = (
    (logging.Logger, "isEnabledFor"),
    (logging.Logger, "callHandlers"),
    (threading.Thread, "start"),
    (ThreadPoolExecutor, "submit"),
)
# Where an instance of a job, or of a thread, keeps what is no field of its own.
_BEGUN, _LOG, _JOB = "_jobqueue_begun", "_jobqueue_log", "_jobqueue_job"
_OURS = ("jobqueue", "rq")
_LONGEST_MESSAGE = 2_000
_LONGEST_TRACEBACK = 4_000
_LONGEST_NAME = 100
_LONGEST_LEVEL = 20
# Bytes that a line takes beside its texts, roughly.
_FRAME = 24
# What moves the cursor, colours a terminal or turns the direction of a text; lines and tabs stay.
_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))},
    **{code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))},
}

# The job that a pool runs a call for.
_called_for: ContextVar[Job | None] = ContextVar("jobqueue_called_for", default=None)
_is_keeping = False


class _Log:
    """The first and the last lines of one attempt.

    Several threads may add, and one may be interrupted or forked anywhere: there is no lock. What two of them
    do at once may make it a line too long, which `kept` mends.
    """

    def __init__(self) -> None:
        settings = get_settings()
        self._lines, self._bytes = settings.log_lines, settings.log_limit
        self._number = itertools.count(1)
        self._seen = 0
        self._first: list[LogLine] = []
        self._last: deque[LogLine] = deque()
        self._bytes_of_first = self._bytes_of_last = 0

    def add(self, line: LogLine) -> None:
        """One more line."""
        size = _size_of(line)
        self._seen = next(self._number)
        if not self._last and self._is_among_the_first(size):
            self._first.append(line)
            self._bytes_of_first += size
            return
        self._last.append(line)
        self._bytes_of_last += size
        while self._are_too_many():
            self._bytes_of_last -= _size_of(self._last.popleft())

    def _is_among_the_first(self, size: int) -> bool:
        return len(self._first) < self._lines // 2 and self._bytes_of_first + size <= self._bytes // 2

    def _are_too_many(self) -> bool:
        is_long = len(self._first) + len(self._last) > self._lines
        return bool(self._last) and (is_long or self._bytes_of_first + self._bytes_of_last > self._bytes)

    def kept(self) -> KeptLog:
        """What is there now."""
        first = self._first[: self._lines]
        last = list(self._last)[max(0, len(first) + len(self._last) - self._lines) :]
        lines = [*first, *last]
        return KeptLog(lines, max(0, self._seen - len(lines)), len(first))


def begin(job: Job, started: float) -> None:
    """The job's run begins, at this time of `time.perf_counter`; a claim makes an instance of its own."""
    vars(job)[_BEGUN] = started


def log_of(job: Job) -> KeptLog | None:
    """What the job has logged in this run; None if nothing."""
    log: _Log | None = vars(job).get(_LOG)
    return log.kept() if log else None


def has_logged(job: Job) -> bool:
    """Whether there is anything to write down."""
    return _LOG in vars(job)


def write(jobs: Sequence[Job], using: str) -> None:
    """Write down what these have logged, in the transaction that ends their attempts.

    A database that refuses it costs the lines, and no job its outcome. Raises the database's error if the
    transaction can hold no outcome any more; whoever tries again does so without the lines.
    """
    if not any(map(has_logged, jobs)):
        return
    try:
        logs = [(job, kept) for job in jobs if (kept := log_of(job)) is not None]
        with writing(using):
            write_logs(logs, using)
    except Exception as error:
        for job in jobs:
            vars(job).pop(_LOG, None)
        # Not its text: the database may quote the lines.
        logger.warning("what %d jobs have logged cannot be kept: %s", len(jobs), type(error).__name__)
        if connections[using].in_atomic_block:
            _raise_if_broken(using)


def _raise_if_broken(using: str) -> None:
    """Else the end of a transaction that was broken off would look like any other, and nothing be written."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT 1")


# Seen -------------------------------------------------------------------------------------------------


def keep_from_now_on() -> None:
    """Have what jobs log from now on in this process kept, unless the settings say that nothing is."""
    global _is_keeping
    if not _is_keeping and get_settings().log_lines:
        _is_keeping = True
        _see_records()
        _follow_threads()


@contextmanager
def keeping() -> Iterator[None]:
    """Have what jobs log inside the block kept, where that is not done anyway."""
    global _is_keeping
    if _is_keeping:
        yield
        return
    before = [(owner, name, vars(owner)[name]) for owner, name in _REPLACED]
    keep_from_now_on()
    try:
        yield
    finally:
        for owner, name, method in before:
            setattr(owner, name, method)
        _is_keeping = False


def _see_records() -> None:
    logger: Any = logging.Logger
    passes, call_handlers = logger.isEnabledFor, logger.callHandlers

    @wraps(passes)
    def passes_or_is_kept(self: logging.Logger, level: int) -> bool:
        return passes(self, level) or (_is_kept(self, level) and _job_here() is not None)

    @wraps(call_handlers)
    def keep_and_call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        level = record.levelno
        if not _is_kept(self, level) or (job := _job_here()) is None:
            call_handlers(self, record)
            return
        _keep(job, record)
        if passes(self, level):
            call_handlers(self, record)

    logger.isEnabledFor, logger.callHandlers = passes_or_is_kept, keep_and_call_handlers


def _is_kept(logger: logging.Logger, level: int) -> bool:
    """Whether a job's records of this level are kept of this logger: not our own, which are about jobs."""
    settings = get_settings()
    if not settings.log_lines or level < getattr(logging, settings.log_level):
        return False
    if logger.disabled or logger.manager.disable >= level or logger.name.split(".", 1)[0] in _OURS:
        return False
    one: logging.Logger | None = logger
    while one is not None and one.parent is not None:
        if one.level:
            return level >= one.level
        one = one.parent
    return True


def _job_here() -> Job | None:
    return current_job() or _called_for.get() or vars(threading.current_thread()).get(_JOB)


def _keep(job: Job, record: logging.LogRecord) -> None:
    """Whatever the record is, the job goes on."""
    try:
        seconds = time.perf_counter() - vars(job).get(_BEGUN, 0.0)
        log: _Log = vars(job).get(_LOG) or vars(job).setdefault(_LOG, _Log())
        level, name = (
            _readable(str(record.levelname), _LONGEST_LEVEL),
            _readable(str(record.name), _LONGEST_NAME),
        )
        log.add(LogLine(round(seconds, 3), level, name, _text_of(record)))
    except (JobTimeout, JobStopped):
        raise  # it is meant for the job that logs
    except BaseException as error:
        if is_interrupt(error):
            raise


# Threads ----------------------------------------------------------------------------------------------


def _follow_threads() -> None:
    thread: Any = threading.Thread
    pool: Any = ThreadPoolExecutor
    start, submit = thread.start, pool.submit

    @wraps(start)
    def start_and_note(self: threading.Thread) -> None:
        # A pool's threads outlive who made them: each of their calls says whom it is for.
        if getattr(vars(self).get("_target"), "__module__", "") != ThreadPoolExecutor.__module__:
            job = _job_here()
            if job is not None:
                vars(self)[_JOB] = job
        start(self)

    @wraps(submit)
    def submit_and_note(
        self: ThreadPoolExecutor, call: Callable[..., Any], /, *values: Any, **more: Any
    ) -> Any:
        job = _job_here()
        return submit(self, call if job is None else _CallFor(job, call), *values, **more)

    thread.start, pool.submit = start_and_note, submit_and_note


class _CallFor:
    """A call that a pool makes for a job."""

    def __init__(self, job: Job, call: Callable[..., Any]) -> None:
        self._job, self._call = job, call

    def __call__(self, *values: Any, **more: Any) -> Any:
        token = _called_for.set(self._job)
        try:
            return self._call(*values, **more)
        finally:
            _called_for.reset(token)


# Texts ------------------------------------------------------------------------------------------------


def _text_of(record: logging.LogRecord) -> str:
    longest = min(_LONGEST_MESSAGE, get_settings().log_limit // 16)
    text = _readable(_message_of(record), longest)
    if record.exc_info or record.exc_text or record.stack_info:
        text += "\n" + _readable(_traceback_of(record), 2 * longest, keeps_end=True)
    return text


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (JobTimeout, JobStopped):
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        # Its own text it may not have either.
        text = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{text[:_LONGEST_MESSAGE]} (its arguments cannot be put in: {type(error).__name__})"


def _traceback_of(record: logging.LogRecord) -> str:
    parts = [record.exc_text or "", str(record.stack_info or "")]
    if isinstance(record.exc_info, tuple) and not record.exc_text and record.exc_info[1] is not None:
        try:
            parts[0] = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        except Exception as error:
            if isinstance(error, JobTimeout):
                raise
            parts[0] = f"a traceback that cannot be had: {type(error).__name__}"
    return "\n".join(filter(None, parts))


def _readable(text: str, longest: int, *, keeps_end: bool = False) -> str:
    """`text` as any database and any page takes it, cut where it is too long."""
    if len(text) <= longest and text.isprintable():
        return text
    # Before anything else is done with it, for it may be of any length; then again, for signs became longer.
    text = text[-longest - 1 :] if keeps_end else text[: longest + 1]
    text = clean(text.translate(_CONTROLS), 8 * longest)
    if len(text) <= longest:
        return text
    return f"… {text[-longest:]}" if keeps_end else f"{text[:longest]} …"


def _size_of(line: LogLine) -> int:
    return _FRAME + len(line.level) + len(line.logger) + len(line.message.encode("utf-8", "replace"))
