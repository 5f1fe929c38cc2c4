"""What happens to jobs, as Django signals. Listeners cannot fail a job: all are sent robustly.

`job_enqueued` is sent after the commit with `jobs` (list[Job]); the others are sent by the
worker with `job` (Job, as far as claimed) and `outcome` (`jobqueue.worker.outcomes.Outcome`) where
one exists. `job_failed` and `job_retried` also carry `exception`, what the processor raised.
`job_rescued` carries `job_ids` and `worker_name`; a job that is not to run again after its process was lost
sends `job_failed` too, whose `outcome` is None and whose `exception` is a JobInterrupted.

`job_cancelled` is sent in the transaction that cancels, with `jobs` (list[Job]), `reason` and `using`,
and a listener that raises keeps them from being cancelled: what it writes holds exactly if they are.
`job_moving` likewise, with `job`, `moment` (aware) and `using`, before the job's row is locked: a listener
locks what it looks at, and refuses with JobMoveRefused.
"""

import logging
from typing import Any

from django.dispatch import Signal

logger = logging.getLogger(__name__)

job_enqueued = Signal()
job_started = Signal()
job_completed = Signal()
job_retried = Signal()
job_failed = Signal()
job_rescued = Signal()
job_cancelled = Signal()
job_moving = Signal()


def send(signal: Signal, sender: Any, **details: Any) -> None:
    """Send `signal`; a listener that raises is logged and otherwise ignored."""
    if not signal.receivers:
        return
    for receiver, answer in signal.send_robust(sender, **details):
        if isinstance(answer, Exception):
            logger.error("listener %r failed", receiver, exc_info=answer)
