"""Jobs that met a database which cannot be used for now wait with growing pauses, and it costs them nothing.

The wait is outside of the job: its run has ended, what it wrote is rolled back, and it starts anew. Only
after OUTAGE_RETRY_FOR it counts as any failure. Since when a job waits is in one failed attempt, which moves
along with it: a run that ended otherwise begins the time anew.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

from jobqueue.conf import get_settings
from jobqueue.delivery import failures
from jobqueue.models import Attempt
from jobqueue.sql.clock import database_now
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from jobqueue.worker.outcomes import Outcome

_LONGEST_PAUSE = 60.0
_JITTER = 0.2
# Seconds after its pause within which a job is run again if it is not held up.
_LATE = 5.0


def decided(outcome: Outcome) -> Outcome:
    """When the job runs again, or what becomes of it where it has waited for too long by now.

    To be asked in the transaction that writes it: only then the database can be asked.
    """
    assert outcome.exception is not None
    job, using = outcome.job, outcome.using
    waited = _waited(outcome)
    if waited >= get_settings().outage_retry_for:
        failed = performing.failed_outcome(Claim(job, using), outcome.exception, outcome.seconds)
        # Its failed attempt stays the one that knows since when: the next run counts at once.
        return replace(failed, failure=outcome.failure, is_outage=True)
    delay = pause_after(waited)
    failures.log_outage(job, outcome.reason, delay)
    return replace(outcome, delay=delay)


def _waited(outcome: Outcome) -> float:
    """For how many seconds the job has waited: its pauses, and what it took to run it after each of them.

    Not by the database's clock alone, which may step in a pause.
    """
    job, using = outcome.job, outcome.using
    attempts = Attempt.objects.using(using)
    outage = attempts.outage_of(job)
    if outage is None:
        return 0.0
    begun, last = outage
    before, now = max(0.0, (last - begun).total_seconds()), database_now(using)
    longest = (1 + _JITTER) * min(before + 1.0, _LONGEST_PAUSE) + outcome.seconds + _LATE
    waited = before + min(max(0.0, (now - last).total_seconds()), longest)
    if abs((now - begun).total_seconds() - waited) > _LATE:
        attempts.move_outage(job, now - timedelta(seconds=waited))
    return waited


def pause_after(waited: float) -> timedelta:
    """1, 2, 4 s and so on up to a minute, each within 20 %: as long as it has waited, and a second more."""
    pause = min(max(0.0, waited) + 1.0, _LONGEST_PAUSE)
    return timedelta(seconds=pause * random.uniform(1 - _JITTER, 1 + _JITTER))
