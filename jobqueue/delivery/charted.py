"""What ends without a worker that settles it is counted in the charts too.

That is what a rescue takes from a worker that is gone, what an operator ends, what was stopped and whose
worker went before it said so, and what is set aside. Workers count what they settle by batches
(`worker/charted.py`). How long such a job ran and had waited is nowhere counted: nobody saw it end.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from django.db import transaction

from jobqueue.broker import queues
from jobqueue.broker.chart import OTHER, PERIOD, Group, records_of
from jobqueue.broker.tallies import Tally
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Job
from jobqueue.registry import is_registered
from jobqueue.sql.clock import about_shown

logger = logging.getLogger(__name__)

End = Literal["failed", "retried", "stopped"]
Names = tuple[str, str]
"""The queue and the processor of a job."""
_LONGEST_NAME = 100


def period_of(using: str) -> int:
    """The five minutes of now, by the clock of the database that has the jobs."""
    return int(about_shown(using) // PERIOD)


def group_of(queue: str, processor: str, outcome: str) -> Group:
    """What such a job is counted with: processors that are not registered are counted together."""
    return Group(queue[:_LONGEST_NAME], processor if is_registered(processor) else OTHER, outcome)


def count_on_commit(jobs: Iterable[Job], end: End, using: str) -> None:
    """Count the ends of these jobs as soon as the transaction that writes them has committed."""
    count_names_on_commit([(job.queue, job.processor) for job in jobs], end, using)


def count_names_on_commit(names: Sequence[Names], end: End, using: str) -> None:
    """Likewise, of jobs of which only queue and processor are known."""
    if names:
        transaction.on_commit(lambda: _count(names, end, using), using=using, robust=True)


def _count(names: Sequence[Names], end: End, using: str) -> None:
    """The rows are written: a Redis that is away, or an error, keeps them out of the charts alone."""
    try:
        period = period_of(using)
        amounts = Counter(group_of(queue, processor, end) for queue, processor in names)
        queues.add_to_chart(
            records_of({(period, group): Tally(jobs=number) for group, number in amounts.items()})
        )
    except BrokerUnavailable as error:
        logger.warning("%d jobs have ended (%s), and the charts lack them: %s", len(names), end, error)
    except Exception as error:
        # Not its text: it may quote the row.
        logger.error(
            "%d jobs have ended (%s), and the charts lack them: %s", len(names), end, type(error).__name__
        )
