"""The counts of open jobs are those of the rows, whoever changed the rows and how."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobqueue.counts import proof, reading, triggers
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.delivery import outbox, rescue
from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job, JobTally, transitions
from jobqueue.testing import drain
from tests.jobqueue.conftest import UseRedis
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
from tests.jobqueue.reading import add_open_jobs, work_of
from tests.jobqueue.steps import IDENTITY, claim_row, claimed, make_worker, run

pytestmark = pytest.mark.django_db(databases=["default", "other"])
with_commits = pytest.mark.django_db(transaction=True, databases=["default", "other"])


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


def _open(counts: dict[str, QueueCounts]) -> dict[str, QueueCounts]:
    """Without the queues that have nothing to count."""
    return {queue: entry for queue, entry in counts.items() if entry != QueueCounts()}


def _assert_counts_are_true() -> None:
    assert _open(queue_counts()) == counts_of_rows("default")


def _sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


# Every way to change a row ------------------------------------------------------------------------


def _some_jobs() -> list[Job]:
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
    _sql(
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
    "update the state by SQL": lambda: _sql("UPDATE jobqueue_job SET state = 'failed' WHERE queue = 'email'"),
    "update the queue by SQL": lambda: _sql("UPDATE jobqueue_job SET queue = 'old'"),
    "update something else": lambda: Job.objects.update(attempt=F("attempt") + 1),
    "delete by SQL": lambda: _sql("DELETE FROM jobqueue_job WHERE state <> 'waiting' AND id NOT IN ("
                                  "SELECT job_id FROM jobqueue_attempt)"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_whatever_changes_jobs_keeps_their_counts_true(way: str) -> None:
    _some_jobs()

    WAYS[way]()

    _assert_counts_are_true()


def test_the_counts_follow_a_redis_that_is_away(use_redis: UseRedis, redis_closed: object) -> None:
    with transaction.atomic():
        enqueue(SUCCEED)
    _some_jobs()

    _assert_counts_are_true()


def test_emptying_the_table_leaves_nothing_behind() -> None:
    _some_jobs()
    _sql("DELETE FROM jobqueue_attempt")
    _sql("DELETE FROM jobqueue_job")

    assert _open(queue_counts()) == {}


@with_commits
@pytest.mark.parametrize("command", [["flush"], ["flush", "--database=other"]])
def test_a_flush_leaves_nothing_behind(command: list[str]) -> None:
    _some_jobs()
    enqueue(SUCCEED, using="other")

    call_command(*command, interactive=False, verbosity=0)

    assert _open(queue_counts()) == counts_of_rows("default") | counts_of_rows("other")


def test_a_rollback_leaves_no_trace() -> None:
    _some_jobs()
    before = list(JobTally.objects.values())

    with rolled_back():
        _some_jobs()

    assert list(JobTally.objects.values()) == before


_ACTIONS: list[Callable[[list[Job], random.Random], Any]] = [
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


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, len(_ACTIONS) - 1), max_size=25), st.randoms(use_true_random=False))
def test_any_sequence_of_changes_keeps_the_counts_true(actions: list[int], chance: random.Random) -> None:
    with rolled_back():
        _some_jobs()
        for action in actions:
            jobs = list(Job.objects.order_by("pk"))
            _ACTIONS[action](chance.sample(jobs, chance.randint(0, min(4, len(jobs)))), chance)
        # A published job whose time lies ahead counts as waiting: none of these verbs makes one.
        Job.objects.delayed().filter(published_at__isnull=False).delete()

        _assert_counts_are_true()


# Reading ------------------------------------------------------------------------------------------


def test_queues_that_are_not_configured_are_counted_too() -> None:
    Job.objects.create(processor=SUCCEED, queue="old", timeout=1)

    assert queue_counts()["old"] == QueueCounts(waiting=1)


def test_jobs_of_all_databases_are_counted_together() -> None:
    enqueue(SUCCEED, delay=60)
    enqueue(SUCCEED, delay=60, using="other")
    run(claimed(DISCARD, using="other"), using="other")

    assert queue_counts()["email"] == QueueCounts(delayed=2, failed=1)


def test_a_delayed_job_waits_as_soon_as_its_time_has_come() -> None:
    job = enqueue(SUCCEED, delay=60)
    assert queue_counts()["email"] == QueueCounts(delayed=1)

    Job.objects.filter(pk=job.pk).update(run_at=Now() - timedelta(seconds=1))

    assert queue_counts()["email"] == QueueCounts(waiting=1)


def test_more_unpublished_jobs_than_are_counted_each_time_are_counted_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "MOST_DUE", 2)
    monkeypatch.setattr(reading, "_remembered", {})
    rows = [Job(processor=SUCCEED, queue="email", timeout=1) for _ in range(5)]
    Job.objects.bulk_create(rows)
    enqueue(SUCCEED, delay=60)
    assert queue_counts()["email"] == QueueCounts(waiting=5, delayed=1)

    Job.objects.filter(pk=rows[0].pk).cancel_all()
    Job.objects.bulk_create([Job(processor=SUCCEED, queue="email", timeout=1) for _ in range(2)])

    # What came and went is counted at once; which of them are due is as of a moment ago.
    assert queue_counts()["email"] == QueueCounts(waiting=5, delayed=2)


def test_reading_the_counts_does_not_grow_with_the_jobs() -> None:
    add_open_jobs(10)
    few = work_of(queue_counts)
    add_open_jobs(7_000)

    assert queue_counts()["email"] == QueueCounts(waiting=7_010, delayed=7_010, failed=7_010)
    assert work_of(queue_counts) < few + 100


# Proof and repair ---------------------------------------------------------------------------------


def _change_without_triggers() -> None:
    triggers.stop("default")
    Job.objects.failed().delete()
    Job.objects.create(processor=SUCCEED, queue="old", timeout=1)


def test_triggers_that_are_missing_are_created_and_the_counts_corrected() -> None:
    _some_jobs()
    _change_without_triggers()

    corrections = proof.mend("default")

    assert {(found.queue, found.kind, found.amount) for found in corrections} == {
        ("email", "failed", -1),
        ("old", "unpublished", 1),
    }
    assert triggers.has_triggers("default")
    _assert_counts_are_true()


def test_counts_that_are_off_are_corrected() -> None:
    _some_jobs()
    JobTally.objects.create(queue="email", kind="failed", amount=5)

    assert [found.amount for found in proof.mend("default")] == [-5]
    _assert_counts_are_true()


def test_counts_stay_true_after_a_correction() -> None:
    _some_jobs()
    JobTally.objects.create(queue="email", kind="published", amount=5)
    proof.mend("default")

    for way in ("enqueue", "claim", "cancel all", "retry all", "delete all"):
        WAYS[way]()

    _assert_counts_are_true()


def test_nothing_is_written_where_nothing_is_off() -> None:
    _some_jobs()
    before = list(JobTally.objects.values())

    assert proof.mend("default") == []
    assert list(JobTally.objects.values()) == before


def _reconcile() -> str:
    output = StringIO()
    call_command("jobqueue_reconcile", stdout=output)
    return output.getvalue()


def test_the_command_corrects_the_counts_of_every_database() -> None:
    JobTally.objects.using("other").create(queue="email", kind="failed", amount=5)

    assert "jobqueue: 1 counts corrected\n" in _reconcile()
    assert "jobqueue: nothing was missing\n" in _reconcile()


def test_the_quick_run_inside_the_workers_does_not_count_the_rows() -> None:
    JobTally.objects.create(queue="email", kind="failed", amount=5)

    assert proof.check_counts(full=False) == {"counts corrected": 0}
    assert queue_counts()["email"].failed == 5


def test_triggers_that_a_migration_lost_are_created_after_it() -> None:
    _some_jobs()
    _change_without_triggers()

    proof.after_migrate("default", plan=["a migration"])

    assert triggers.has_triggers("default")
    _assert_counts_are_true()


def test_a_database_without_the_tables_gets_no_triggers() -> None:
    with rolled_back():
        _sql("DROP TABLE jobqueue_jobtally")
        proof.after_migrate("default", plan=["back to where nothing was counted"])


def test_a_fixture_with_counts_counts_its_jobs_once(tmp_path: Path) -> None:
    _some_jobs()
    fixture = tmp_path / "jobs.json"
    call_command("dumpdata", "jobqueue", output=str(fixture), verbosity=0)
    call_command("loaddata", str(fixture), verbosity=0)
    _assert_counts_are_true()

    Job.objects.all().delete()
    call_command("loaddata", str(fixture), verbosity=0)

    _assert_counts_are_true()
    assert Job.objects.failed().count() == 1
