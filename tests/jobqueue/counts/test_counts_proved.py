"""Counts are read at no cost, and corrected where they are off."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from jobqueue.counts import proof, reading, triggers
from jobqueue.counts.reading import QueueCounts, queue_counts
from jobqueue.jobs import enqueue
from jobqueue.models import Job, JobTally
from tests.jobqueue.counts.steps import WAYS, assert_counts_are_true, rolled_back, some_jobs, sql
from tests.jobqueue.processors_for_tests import (
    DISCARD,
    SUCCEED,
)
from tests.jobqueue.reading import add_open_jobs, work_of
from tests.jobqueue.steps import claimed, run

pytestmark = pytest.mark.django_db(databases=["default", "other"])


# Reading --------------------------------------------------------------------------------------------


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


# Proof and repair -----------------------------------------------------------------------------------


def _change_without_triggers() -> None:
    triggers.stop("default")
    Job.objects.failed().delete()
    Job.objects.create(processor=SUCCEED, queue="old", timeout=1)


def test_triggers_that_are_missing_are_created_and_the_counts_corrected() -> None:
    some_jobs()
    _change_without_triggers()

    corrections = proof.mend("default")

    assert {(found.queue, found.kind, found.amount) for found in corrections} == {
        ("email", "failed", -1),
        ("old", "unpublished", 1),
    }
    assert triggers.has_triggers("default")
    assert_counts_are_true()


def test_counts_that_are_off_are_corrected() -> None:
    some_jobs()
    JobTally.objects.create(queue="email", kind="failed", amount=5)

    assert [found.amount for found in proof.mend("default")] == [-5]
    assert_counts_are_true()


def test_counts_stay_true_after_a_correction() -> None:
    some_jobs()
    JobTally.objects.create(queue="email", kind="published", amount=5)
    proof.mend("default")

    for way in ("enqueue", "claim", "cancel all", "retry all", "delete all"):
        WAYS[way]()

    assert_counts_are_true()


def test_nothing_is_written_where_nothing_is_off() -> None:
    some_jobs()
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
    some_jobs()
    _change_without_triggers()

    proof.after_migrate("default", plan=["a migration"])

    assert triggers.has_triggers("default")
    assert_counts_are_true()


def test_a_database_without_the_tables_gets_no_triggers() -> None:
    with rolled_back():
        sql("DROP TABLE jobqueue_jobtally")
        proof.after_migrate("default", plan=["back to where nothing was counted"])


def test_a_fixture_with_counts_counts_its_jobs_once(tmp_path: Path) -> None:
    some_jobs()
    fixture = tmp_path / "jobs.json"
    call_command("dumpdata", "jobqueue", output=str(fixture), verbosity=0)
    call_command("loaddata", str(fixture), verbosity=0)
    assert_counts_are_true()

    Job.objects.all().delete()
    call_command("loaddata", str(fixture), verbosity=0)

    assert_counts_are_true()
    assert Job.objects.failed().count() == 1
