"""Counts as they should be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from jobqueue.counts import triggers
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.delivery import outbox, rescue
from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job, transitions
from jobqueue.testing import drain
from tests.jobqueue.counts.truth import counts_of_rows
from tests.jobqueue.processors_for_tests import (
    DISCARD,
    FAIL,
    FAIL_WITHOUT_RETRY,
    ON_REMINDERS,
    ON_SETTLEMENT,
    RETRY_LATER,
    SUCCEED,
)
from tests.jobqueue.steps import IDENTITY, claim_row, claimed, make_worker, run


class Rollback(Exception):
    """Raised to leave a transaction without its effects."""


@contextmanager
def rolled_back() -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
            raise Rollback
    except Rollback:
        pass


def counts_of_open(counts: dict[str, QueueCounts]) -> dict[str, QueueCounts]:
    """Without the queues that have nothing to count."""
    return {queue: entry for queue, entry in counts.items() if entry != QueueCounts()}


def assert_counts_are_true() -> None:
    assert counts_of_open(queue_counts()) == counts_of_rows("default")


def sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def some_jobs() -> list[Job]:
    """One job of each kind: published, delayed, failed, active, completed, waiting for its retry."""
    jobs = [enqueue(SUCCEED), enqueue(SUCCEED, delay=60), enqueue(ON_REMINDERS), enqueue(ON_SETTLEMENT)]
    failed, active, completed, retried = claimed(DISCARD), claimed(SUCCEED), claimed(SUCCEED), claimed(FAIL)
    for job in (failed, completed, retried):
        run(job)
    return [*jobs, failed, active, completed, retried]


def _enqueue_a_held_key_sooner() -> None:
    enqueue(SUCCEED, unique_key="key", delay=60)
    enqueue(SUCCEED, unique_key="key", delay=30)
    enqueue(SUCCEED, unique_key="key")


def _give_up_a_claim() -> None:
    make_worker(silent_for=60)
    rescue.rescue_lost("default")


def _publish_delayed_jobs() -> None:
    Job.objects.delayed().update(run_at=Now())
    outbox.publish_due("default")


def _save_in_another_queue() -> None:
    job = Job.objects.filter(queue="email", state="waiting")[0]
    job.queue = "reminders"
    job.save()


def _rows(start: int | None = None) -> list[Job]:
    """New rows; without `start` the first ones have the ids of rows that are there."""
    first = Job.objects.earliest("pk").pk if start is None else start
    return [Job(pk=first + number, processor=SUCCEED, queue="old", timeout=1) for number in range(99)]


def _update_in_bulk() -> None:
    jobs = list(Job.objects.all())
    for job, state in zip(jobs, ["failed", "waiting", "active", "cancelled"], strict=False):
        job.state = state
    Job.objects.bulk_update(jobs, ["state"])


def _insert_by_sql() -> None:
    sql(
        "INSERT INTO jobqueue_job"
        " (processor, queue, payload, subject, state, attempt, failures, timeout, reason)"
        " SELECT processor, 'email', '{}', '', state, 1, 0, 1, '' FROM jobqueue_job"
    )


WAYS: dict[str, Callable[[], Any]] = {
    "enqueue": lambda: enqueue(SUCCEED),
    "enqueue for later": lambda: enqueue(SUCCEED, delay=60),
    "enqueue many": lambda: enqueue_many([(SUCCEED, {}), NewJob(ON_REMINDERS, {}, unique_key="a")]),
    "enqueue a held key sooner": _enqueue_a_held_key_sooner,
    "claim": lambda: claim_row(Job.objects.filter(state="waiting", published_at__isnull=False)[0]),
    "complete": lambda: run(claimed(SUCCEED)),
    "fail and retry": lambda: run(claimed(FAIL)),
    "fail without retry": lambda: run(claimed(FAIL_WITHOUT_RETRY)),
    "discard": lambda: run(claimed(DISCARD)),
    "retry later": lambda: run(claimed(RETRY_LATER)),
    "retry by hand": lambda: Job.objects.failed()[0].retry(),
    "cancel": lambda: Job.objects.waiting()[0].cancel(),
    "run now": lambda: Job.objects.delayed()[0].run_now(),
    "retry all": lambda: Job.objects.all().retry_all(),
    "cancel all": lambda: Job.objects.all().cancel_all(),
    "run all now": lambda: Job.objects.all().run_all_now(),
    "hand back": lambda: rescue.release(Job.objects.all()),
    "fail what is stuck": lambda: rescue.fail(Job.objects.all()),
    "rescue": _give_up_a_claim,
    "publish what is due": _publish_delayed_jobs,
    "work": lambda: drain(),
    "delete one": lambda: Job.objects.waiting()[0].delete(),
    "delete all": lambda: Job.objects.all().delete(),
    "prune": lambda: call_command("jobqueue_prune", completed_days=0, failed_days=0, stdout=StringIO()),
    "save in another queue": _save_in_another_queue,
    "create rows": lambda: Job.objects.bulk_create(_rows(start=1_000_000)),
    "create rows that may be there": lambda: Job.objects.bulk_create(_rows(), ignore_conflicts=True),
    "update or create rows": lambda: Job.objects.bulk_create(
        _rows(), update_conflicts=True, unique_fields=["id"], update_fields=["state", "queue"]
    ),
    "update in bulk": _update_in_bulk,
    "insert by SQL": _insert_by_sql,
    "update the state by SQL": lambda: sql("UPDATE jobqueue_job SET state = 'failed' WHERE queue = 'email'"),
    "update the queue by SQL": lambda: sql("UPDATE jobqueue_job SET queue = 'old'"),
    "update something else": lambda: Job.objects.update(attempt=F("attempt") + 1),
    "delete by SQL": lambda: sql("DELETE FROM jobqueue_job WHERE state <> 'waiting' AND id NOT IN ("
                                  "SELECT job_id FROM jobqueue_attempt)"),
}  # fmt: skip


ACTIONS: list[Callable[[list[Job], random.Random], Any]] = [
    lambda jobs, chance: enqueue(chance.choice([SUCCEED, ON_REMINDERS]), delay=chance.choice([0, 60])),
    lambda jobs, chance: enqueue_many([(SUCCEED, {})] * chance.randrange(4)),
    lambda jobs, chance: transitions.claim(Job.objects, [(job.pk, job.attempt) for job in jobs], IDENTITY.id),
    lambda jobs, chance: transitions.complete(
        Job.objects, [(job.pk, job.attempt, "") for job in jobs], IDENTITY.id
    ),
    lambda jobs, chance: Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
        state=chance.choice(Job.State.values), queue=chance.choice(["email", "reminders", "old"])
    ),
    lambda jobs, chance: Job.objects.filter(pk__in=[job.pk for job in jobs], run_at__lte=Now()).update(
        published_at=chance.choice([None, Now()])
    ),
    lambda jobs, chance: Job.objects.filter(pk__in=[job.pk for job in jobs]).retry_all(),
    lambda jobs, chance: Job.objects.filter(pk__in=[job.pk for job in jobs]).run_all_now(),
    lambda jobs, chance: Job.objects.filter(pk__in=[job.pk for job in jobs]).cancel_all(),
    lambda jobs, chance: rescue.release(Job.objects.filter(pk__in=[job.pk for job in jobs])),
    lambda jobs, chance: Job.objects.filter(pk__in=[job.pk for job in jobs[:1]]).delete(),
    lambda jobs, chance: triggers.compact("default"),
]
