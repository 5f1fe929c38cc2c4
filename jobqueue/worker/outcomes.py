"""How one run of a job ended, as a value; and what outcomes add to the counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from jobqueue.broker.counters import DURATION_BUCKET, DURATION_SUM, JOBS, bucket_of
from jobqueue.broker.counters import field as counter_field
from jobqueue.exceptions import UnknownProcessor
from jobqueue.models import Job, LogLine
from jobqueue.registry import Processor, get_processor
from jobqueue.worker.log_lines import log_of


class OutcomeStatus(StrEnum):
    """How one run of a job ended; the `status` label of the metrics."""

    COMPLETED = "completed"
    RETRIED = "retried"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    """Somebody asked for its end; it neither completed nor failed."""


DONE = (OutcomeStatus.COMPLETED, OutcomeStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one attempt."""

    error_class: str
    message: str
    traceback: str


@dataclass(slots=True)
class Outcome:
    """How one run of one job ended.

    `delay` says when a retried one runs again, `counts` whether its failure takes one from the budget of
    retries.
    """

    job: Job
    using: str
    status: OutcomeStatus
    seconds: float
    reason: str = ""
    delay: timedelta | None = None
    failure: Failure | None = None
    counts: bool = True
    exception: BaseException | None = None
    """What the processor raised."""
    cause: str = ""
    """Of a failed one: what its failure is grouped by; empty if the reason tells."""
    is_outage: bool = False
    """Whether a database was away: how long the job waits is decided when this is written down."""
    is_settled: bool = field(default=False, compare=False)
    """Whether it is written down, or its job set aside. If not, the claim may have been taken away."""

    @property
    def processor(self) -> Processor | None:
        """The job's processor; None if it is not registered here."""
        try:
            return get_processor(self.job.processor)
        except UnknownProcessor:
            return None

    @property
    def log(self) -> Sequence[LogLine]:
        """What the processor logged in this run, as far as it is kept."""
        kept = log_of(self.job)
        return kept.lines if kept else ()


def count_outcomes(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The amounts by which these outcomes raise each counter."""
    amounts: dict[str, float] = defaultdict(float)
    for outcome in outcomes:
        job, status, seconds = outcome.job, str(outcome.status), outcome.seconds
        queue = job.queue
        amounts[counter_field(JOBS, queue, status)] += 1
        amounts[counter_field(DURATION_BUCKET, queue, status, bucket_of(seconds))] += 1
        amounts[counter_field(DURATION_SUM, queue, status)] += seconds
        processor = outcome.processor
        if processor and processor.counter:
            counter = processor.counter
            amounts[counter_field(counter.name, counter.label_of(job.payload), status)] += 1
    return dict(amounts)
