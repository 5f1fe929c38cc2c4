"""The rows that can be published, as messages; those that cannot are set aside."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from django.conf import settings as django_settings
from django.db.models import Value
from django.db.models.functions import Concat

from jobqueue.broker.message import MOST_ATTEMPTS, MOST_JOBS, Message
from jobqueue.delivery import apart
from jobqueue.models import Job, JobQuerySet, jobs_in
from jobqueue.sql.blame import may_be_of_a_row

logger = logging.getLogger(__name__)

_COLUMNS = ("queue", "pk", "attempt", "processor", "timeout")
# Queues of rows that this process has no settings for, as found out so far; beyond so many the statement
# names the known ones instead.
_unknown_queues: set[str] = set()
_MOST_UNKNOWN = 100


def message_of(job: Job, using: str) -> Message:
    """The message that starts this attempt of the job."""
    return Message(job.queue, job.pk, job.attempt, using, job.processor, job.timeout)


def publishable(using: str) -> JobQuerySet:
    """The waiting rows of queues that this process knows; others wait for a process that does."""
    waiting = Job.objects.using(using).waiting()
    if len(_unknown_queues) <= _MOST_UNKNOWN:
        return waiting.exclude(queue__in=_unknown_queues) if _unknown_queues else waiting
    # Not the column itself: by an index of queues the planner would read all that waits.
    return waiting.alias(queue_name=Concat("queue", Value(""))).filter(
        queue_name__in=list(django_settings.RQ_QUEUES)
    )


def is_known(queue: str) -> bool:
    """Whether this process has settings for the queue; the first time that it has none it says so."""
    if queue in django_settings.RQ_QUEUES:
        return True
    if queue not in _unknown_queues:
        _unknown_queues.add(queue)
        if len(_unknown_queues) <= _MOST_UNKNOWN:
            configured = ", ".join(django_settings.RQ_QUEUES)
            logger.error(
                "jobs wait on the queue %r, which is not in RQ_QUEUES; there are: %s", queue, configured
            )
    return False


def messages_in(rows: JobQuerySet, *more: str) -> list[tuple[Any, ...]]:
    """The messages of these rows, as far as their queues are known: `(message, *more)`, with further columns.

    Rows that cannot be read, or that no message can name, are set aside.
    """
    using = rows.db
    found = []
    for queue, pk, attempt, processor, timeout, *others in _values(rows, more):
        message = Message(queue, pk, attempt, using, processor, timeout)
        why = _misfit(message) or ("a time of it cannot be read" if None in others else "")
        if why:
            apart.set_aside(jobs_in(using).waiting().filter(pk=pk), why)
        elif is_known(queue):
            found.append((message, *others))
    return found


def _values(rows: JobQuerySet, more: Sequence[str]) -> list[tuple[Any, ...]]:
    try:
        return list(rows.values_list(*_COLUMNS, *more))
    except Exception as error:
        if not may_be_of_a_row(error):
            raise
        jobs = apart.readable(rows, among=jobs_in(rows.db).waiting())
        return [tuple(getattr(job, name) for name in (*_COLUMNS, *more)) for job in jobs]


def _misfit(message: Message) -> str:
    """Why no message can name this row, or none can be made of it; empty if one can."""
    queue, job_id, attempt, _using, processor, timeout = message
    if type(job_id) is not int or not 0 <= job_id <= MOST_JOBS:
        return f"no message can carry its id; these go from 0 to {MOST_JOBS}"
    if type(attempt) is not int or not 0 <= attempt <= MOST_ATTEMPTS:
        return f"no message can carry the number of its attempt; these go from 0 to {MOST_ATTEMPTS}"
    if type(timeout) not in (float, int) or not math.isfinite(timeout):
        return "its time limit is no number of seconds"
    if type(queue) is not str or type(processor) is not str:
        return "its queue or its processor is no text"
    return ""
