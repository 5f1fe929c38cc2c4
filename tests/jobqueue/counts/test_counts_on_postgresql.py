"""Where many write at once, the counts are only appended to: nobody waits for anybody.

Collected on PostgreSQL only (conftest.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from jobqueue.counts import proof, reading, triggers
from jobqueue.counts.reading import queue_counts
from jobqueue.jobs import enqueue, enqueue_many
from jobqueue.models import Job, JobTally
from jobqueue.worker import loops
from tests.jobqueue.counts.truth import counts_of_rows
from tests.jobqueue.processors_for_tests import DISCARD, SUCCEED
from tests.jobqueue.steps import claim_row, claimed, run

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

Elsewhere = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Runs a function on another connection, which refuses to wait for locks."""

    def call(function: Callable[[], Any]) -> Any:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield lambda function: pool.submit(call, function).result()


def _assert_counts_are_true() -> None:
    counts = counts_of_rows("default")
    assert {queue: entry for queue, entry in queue_counts().items() if queue in counts} == counts


def _rows_by_kind() -> dict[tuple[str, str], int]:
    rows: dict[tuple[str, str], int] = {}
    for queue, kind in JobTally.objects.values_list("queue", "kind"):
        rows[queue, kind] = rows.get((queue, kind), 0) + 1
    return rows


def _fragmented(rows: int = 300) -> None:
    for _ in range(rows):
        enqueue(SUCCEED)


def _kinds() -> int:
    """How many kinds are counted: two, where Redis was too late for one of the messages."""
    return JobTally.objects.values("queue", "kind").distinct().count()


def test_open_transactions_that_count_the_same_kind_do_not_wait_for_each_other(elsewhere: Elsewhere) -> None:
    waiting = enqueue(SUCCEED)
    with transaction.atomic():
        enqueue(SUCCEED)
        run(claimed(DISCARD))

        elsewhere(lambda: enqueue(SUCCEED))
        elsewhere(lambda: claim_row(waiting))
        elsewhere(lambda: Job.objects.filter(pk=waiting.pk).update(state="failed"))
        elsewhere(lambda: Job.objects.filter(pk=waiting.pk).delete())

    _assert_counts_are_true()


def test_compacting_waits_for_nobody_and_nobody_for_it(elsewhere: Elsewhere) -> None:
    _fragmented()
    with transaction.atomic():
        enqueue(SUCCEED)
        assert elsewhere(lambda: triggers.compact("default")) == 300
        enqueue(SUCCEED)
    with transaction.atomic():
        _fragmented()
        triggers.compact("default")
        elsewhere(lambda: enqueue(SUCCEED))
        elsewhere(lambda: triggers.compact("default"))

    _assert_counts_are_true()


def test_correcting_waits_for_nobody_who_changes_jobs(elsewhere: Elsewhere) -> None:
    JobTally.objects.create(queue="email", kind="failed", amount=5)
    with transaction.atomic():
        enqueue(SUCCEED)
        assert [found.amount for found in elsewhere(lambda: proof.mend("default"))] == [-5]

    _assert_counts_are_true()


def test_who_changes_jobs_does_not_wait_for_a_correction(elsewhere: Elsewhere) -> None:
    JobTally.objects.create(queue="email", kind="failed", amount=5)
    with transaction.atomic():
        proof.mend("default")
        elsewhere(lambda: enqueue(SUCCEED))

    _assert_counts_are_true()


def test_a_reader_sees_a_change_when_it_is_committed(elsewhere: Elsewhere) -> None:
    with transaction.atomic():
        enqueue(SUCCEED)
        assert elsewhere(queue_counts)["email"].waiting == 0

    assert elsewhere(queue_counts)["email"].waiting == 1


def test_many_threads_that_change_and_compact_at_once_end_with_true_counts() -> None:
    start = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            start.wait()
            for round_number in range(15):
                jobs = enqueue_many([(SUCCEED, {})] * 5)
                Job.objects.filter(pk=jobs[0].pk).update(state="failed")
                claim_row(jobs[1])
                Job.objects.filter(pk=jobs[2].pk).delete()
                if round_number % 3 == number % 3:
                    triggers.compact("default")
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(work, range(4)))
    triggers.compact("default")

    _assert_counts_are_true()


def test_compacting_leaves_one_row_for_each_kind_and_none_for_what_is_gone() -> None:
    _fragmented()
    enqueue(SUCCEED, delay=60)
    run(claimed(DISCARD))
    Job.objects.failed().delete()

    triggers.compact("default")

    assert _rows_by_kind() == {("email", "published"): 1, ("email", "unpublished"): 1}


def test_few_rows_of_counts_are_left_alone() -> None:
    _fragmented(3)

    assert triggers.compact("default") == 0


def test_a_statement_that_moves_no_job_to_another_kind_writes_nothing() -> None:
    job = claimed(SUCCEED)
    before = JobTally.objects.count()

    run(job)
    Job.objects.update(attempt=2)

    assert JobTally.objects.count() == before


def test_a_batch_writes_one_row_for_each_kind() -> None:
    before = JobTally.objects.count()
    enqueue_many([(SUCCEED, {})] * 50)

    assert JobTally.objects.count() == before + 1


def test_workers_compact_now_and_then() -> None:
    _fragmented()

    loops.rescuer()()

    assert JobTally.objects.count() == _kinds()


def test_a_reader_compacts_counts_that_nobody_compacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 250)
    _fragmented()
    assert queue_counts()["email"].waiting == 300

    assert JobTally.objects.count() == _kinds()
    assert queue_counts()["email"].waiting == 300


def test_a_reader_that_may_not_write_reads_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 250)
    _fragmented()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        assert queue_counts()["email"].waiting == 300
        assert queue_counts()["email"].waiting == 300


def test_truncating_the_jobs_empties_the_counts(elsewhere: Elsewhere) -> None:
    _fragmented(3)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobqueue_job CASCADE")

    assert JobTally.objects.count() == 0


def test_disabled_triggers_are_enabled_again() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobqueue_job DISABLE TRIGGER jobqueue_tally_insert")
    enqueue(SUCCEED)
    assert not triggers.has_triggers("default")

    proof.mend("default")

    assert triggers.has_triggers("default")
    enqueue(SUCCEED)
    _assert_counts_are_true()
