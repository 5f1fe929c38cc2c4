"""What happens to jobs, as Django signals. Listeners cannot fail a job: all are sent robustly.

`job_enqueued` is sent after the commit with `jobs` (list[Job]); the others are sent by the
worker with `job` (Job, as far as claimed) and `outcome` (`jobqueue.worker.outcomes.Outcome`) where
one exists. `job_failed` and `job_retried` also carry `exception`, what the processor raised.
`job_rescued` carries `job_ids` and `worker_name`; a job that is not to run again after its process was lost
sends `job_failed` too, whose `outcome` is None and whose `exception` is a JobInterrupted.

`job_cancelled` is sent in the transaction that cancels, with `jobs` (list[Job]), `reason` and `using`,
and a listener that raises keeps them from being cancelled: what it writes holds exactly if they are.
It is sent of what an operator deletes too, before the rows go, if it waited or had failed (its `state` says
which): who deletes a job wants as little to come of it as who cancels it. Pruning tells nobody.
`job_moving` likewise, with `job`, `moment` (aware) and `using`, before the job's row is locked: a listener
locks what it looks at, and refuses with JobMoveRefused. With `at_once` the moment is now: somebody wants to
run it before its time, or retries what was cancelled before it. A listener says with `@moves_jobs_of("…")`
whose jobs it is about: those of other processors are run now and retried without asking it, in batches.
"""

import logging
import os
import threading
from collections.abc import Callable
from signal import SIGINT, default_int_handler, getsignal
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.dispatch import Signal

from jobqueue.exceptions import EndsHere

logger = logging.getLogger(__name__)

job_enqueued = Signal()
job_started = Signal()
job_completed = Signal()
job_retried = Signal()
job_failed = Signal()
job_rescued = Signal()
job_cancelled = Signal()
job_moving = Signal()

_Listener = TypeVar("_Listener", bound=Callable[..., object])
_PROCESSORS = "_jobqueue_moves_jobs_of"


def moves_jobs_of(*processors: str) -> Callable[[_Listener], _Listener]:
    """Say of a listener to `job_moving` that it is about jobs of these processors alone."""

    def mark(listener: _Listener) -> _Listener:
        setattr(listener, _PROCESSORS, frozenset(processors))
        return listener

    return mark


def processors_of_moves(sender: Any) -> frozenset[str] | None:
    """Whose jobs the listeners to `job_moving` are about; None if one of them did not say."""
    if not job_moving.receivers:
        return frozenset()
    receivers, coroutine_functions = job_moving._live_receivers(sender)
    named = [getattr(one, _PROCESSORS, None) for one in (*receivers, *coroutine_functions)]
    return None if None in named else frozenset(name for names in named for name in names or ())


def send(signal: Signal, sender: Any, **details: Any) -> None:
    """Send `signal`; a listener that raises is logged and otherwise ignored, whatever it raises.

    Also SystemExit and the like, which would end more than the listener, and keep the others from hearing.
    """
    if not signal.receivers:
        return
    receivers, coroutine_functions = signal._live_receivers(sender)
    details |= {"signal": signal, "sender": sender}
    for receiver in receivers:
        _tell(receiver, receiver, details)
    for receiver in coroutine_functions:
        _tell(receiver, async_to_sync(receiver), details)


def _tell(receiver: Any, call: Callable[..., object], details: dict[str, Any]) -> None:
    process = os.getpid()
    try:
        call(**details)
    except BaseException as error:
        # What a listener forked ends by itself; it must not go on here as another of this process.
        if os.getpid() != process or is_interrupt(error):
            raise
        logger.error("listener %r failed", receiver, exc_info=error)


def is_interrupt(error: BaseException) -> bool:
    """Whether it may be what a signal raised to end this process, Ctrl-C say, which nobody may swallow."""
    if isinstance(error, KeyboardInterrupt):
        in_main_thread = threading.current_thread() is threading.main_thread()
        return in_main_thread and getsignal(SIGINT) is default_int_handler
    return isinstance(error, EndsHere)
