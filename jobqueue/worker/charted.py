"""What outcomes add to the chart: by five minutes of the database's clock, queue, processor and status.

Each batch is added up here, so that Redis gets one record for each group instead of one for each job.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from jobqueue.broker.chart import Group, Record, records_of
from jobqueue.broker.tallies import Tally, bucket_of
from jobqueue.delivery.charted import group_of, period_of
from jobqueue.sql.rows import WAITED
from jobqueue.worker.outcomes import Outcome, OutcomeStatus

logger = logging.getLogger(__name__)


def chart_of(counted: Sequence[Outcome]) -> list[Record]:
    """What the script adds to the chart for outcomes that were written down just now.

    Nothing, which is logged, if that cannot be told: the rows are right, a chart lacks them.
    """
    try:
        return records_of(_tallies(counted)) if counted else []
    except Exception as error:
        # Not its text: it may quote the payload.
        logger.error("%d jobs are settled, and the charts lack them: %s", len(counted), type(error).__name__)
        return []


def _tallies(counted: Iterable[Outcome]) -> dict[tuple[int, Group], Tally]:
    alike: dict[tuple[str, str, str, OutcomeStatus], list[Outcome]] = {}
    for outcome in counted:
        if _only_asked_for_later(outcome):
            continue
        job = outcome.job
        alike.setdefault((outcome.using, job.queue, job.processor, outcome.status), []).append(outcome)
    tallies: dict[tuple[int, Group], Tally] = {}
    for (using, queue, processor, status), outcomes in alike.items():
        group = group_of(queue, processor, str(status))
        _add(tallies.setdefault((period_of(using), group), Tally()), outcomes)
    return tallies


def _only_asked_for_later(outcome: Outcome) -> bool:
    """Whether it left nothing that a list could show: no failed attempt, and no end of its job."""
    return outcome.status == OutcomeStatus.RETRIED and outcome.failure is None


def _add(tally: Tally, outcomes: Sequence[Outcome]) -> None:
    tally.jobs += len(outcomes)
    for outcome in outcomes:
        tally.runs[bucket_of(outcome.seconds)] += 1
        waited = outcome.job.__dict__.get(WAITED)
        if waited is not None:
            tally.waits[bucket_of(waited)] += 1
