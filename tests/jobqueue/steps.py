"""Steps that many tests of the job queue take."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue.broker import message, queues
from jobqueue.delivery.publishable import message_of
from jobqueue.jobs import enqueue
from jobqueue.models import Job, Worker, transitions
from jobqueue.worker import claiming, performing
from jobqueue.worker.claiming import Claim, Identity, Wanted
from jobqueue.worker.outcomes import Outcome
from jobqueue.worker.settling import settle_and_tell
from jobqueue.worker.telling import Teller
from tests.jobqueue.processors_for_tests import SUCCEED

QUEUES = ("email", "reminders", "settlement")
IDENTITY = Identity(uuid.UUID(int=7), "tests", QUEUES)
OTHER_IDENTITY = Identity(uuid.UUID(int=8), "other", QUEUES)
TELLER = Teller()
"""Tells Redis what the claims and outcomes of the tests lead to; empty at the start of each."""

TOMORROW = timedelta(days=1)


class Rollback(Exception):
    """Raised to leave a transaction without its effects."""


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction whose effects are undone at its end."""
    try:
        with transaction.atomic():
            yield
            raise Rollback
    except Rollback:
        pass


def tomorrow() -> datetime:
    """In a day."""
    return timezone.now() + TOMORROW


def published(processor: str = SUCCEED, *, using: str = "default", **payload: Any) -> Job:
    """A job that is due and whose message is in Redis."""
    job = enqueue(processor, using=using, **payload)
    queues.publish([message_of(job, using)])
    return job


def claimed(
    processor: str = SUCCEED, *, identity: Identity = IDENTITY, using: str = "default", **payload: Any
) -> Job:
    """A job that is active, claimed by `identity`, as the row in the database says."""
    return claim_row(enqueue(processor, using=using, **payload), identity, using)


def claim_row(job: Job, identity: Identity = IDENTITY, using: str = "default") -> Job:
    """Claim a due job without Redis."""
    [row] = transitions.claim(Job.objects.db_manager(using), [(job.pk, job.attempt)], identity.id)
    return row


def claim_jobs(identity: Identity, count: int, served: Sequence[str] | None = None) -> list[Claim]:
    """Claim up to so many published jobs, of all queues that `identity` serves or of these."""
    wanted = Wanted(count, identity.queues if served is None else served)
    return claiming.claim(identity, wanted, TELLER).jobs


def settle(outcomes: Sequence[Outcome], identity: Identity = IDENTITY) -> list[Outcome]:
    """Settle outcomes and tell Redis at once; those that counted."""
    return settle_and_tell(outcomes, identity, TELLER)


def run(job: Job, identity: Identity = IDENTITY, using: str = "default") -> Outcome:
    """Perform and settle a claimed job."""
    outcome = performing.perform(Claim(job, using))
    settle([outcome], identity)
    job.refresh_from_db(using=using)
    return outcome


def run_waiting(job: Job, identity: Identity = IDENTITY, using: str = "default") -> Outcome:
    """Make a waiting job due, and claim, perform and settle it."""
    Job.objects.using(using).filter(pk=job.pk).update(run_at=Now())
    job.refresh_from_db(using=using)
    outcome = run(claim_row(job, identity, using), identity, using)
    job.refresh_from_db(using=using)
    return outcome


def make_worker(
    identity: Identity = IDENTITY, *, silent_for: float = 0, using: str = "default", **fields: Any
) -> Worker:
    """The row of a worker that gave its last sign of life `silent_for` seconds ago."""
    values = {"name": identity.name, "hostname": "host", "pid": 1, "queues": list(identity.queues)}
    worker = Worker(id=identity.id, **values | fields)
    worker.save(using=using, force_insert=True)
    Worker.objects.using(using).filter(pk=worker.pk).update(
        heartbeat_at=Now() - timedelta(seconds=silent_for)
    )
    return worker


def messages_of(jobs: Sequence[Job], using: str = "default") -> list[message.Message]:
    """The messages of these jobs."""
    return [message_of(job, using) for job in jobs]


def list_of(redis_client: Any, queue: str = "email") -> list[str]:
    """The message ids that wait in a queue's list."""
    return [item.decode() for item in redis_client.lrange(f"rq:queue:{queue}", 0, -1)]
