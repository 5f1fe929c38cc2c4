"""Jobs with a unique key: one INSERT writes the job, or locks the one that holds the key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobqueue.counts.reading import counts_of_database
from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job
from tests.jobqueue.counts.truth import counts_of_rows
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import claim_row

in_transaction = pytest.mark.django_db
with_commits = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


class Undone(Exception):
    """Undoes a transaction, or a part of it."""


def _in_days(count: int) -> datetime:
    return timezone.now() + count * DAY


def _statements(call: Callable[[], Any]) -> list[str]:
    """The first words of the statements that it takes."""
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"].split()[0] for query in queries]


def _wanted(run_at: datetime | None = None, key: str | None = "key", **payload: Any) -> NewJob:
    return NewJob(SUCCEED, payload, run_at=run_at, unique_key=key)


def _assert_like_its_row(job: Job) -> None:
    row = Job.objects.get(pk=job.pk)
    for field in Job._meta.concrete_fields:
        assert getattr(job, field.attname) == getattr(row, field.attname), field.attname


# How many statements it takes ---------------------------------------------------------------------


@in_transaction
def test_a_free_key_takes_one_statement() -> None:
    assert _statements(lambda: enqueue(SUCCEED, unique_key="key")) == ["INSERT"]


@in_transaction
def test_a_held_key_takes_one_more_that_reads_the_holder() -> None:
    enqueue(SUCCEED, unique_key="key")

    assert _statements(lambda: enqueue(SUCCEED, unique_key="key")) == ["INSERT", "SELECT"]


@with_commits
def test_without_a_transaction_it_has_one_of_its_own_and_no_savepoint() -> None:
    assert _statements(lambda: enqueue(SUCCEED, unique_key="key")) == ["BEGIN", "INSERT", "COMMIT"]


@in_transaction
def test_a_batch_of_free_keys_takes_one_statement() -> None:
    batch = [_wanted(key=f"key {number}") for number in range(20)]

    assert _statements(lambda: enqueue_many(batch)) == ["INSERT"]


@in_transaction
def test_the_holders_of_a_batch_are_read_with_one_statement() -> None:
    batch = [_wanted(key=f"key {number}") for number in range(20)]
    enqueue_many(batch[::2])

    assert _statements(lambda: enqueue_many(batch)) == ["INSERT", "SELECT"]


@in_transaction
def test_no_jobs_take_no_statement() -> None:
    assert _statements(lambda: enqueue_many([])) == []


# What comes back ----------------------------------------------------------------------------------


@in_transaction
def test_a_new_job_with_a_key_is_like_its_row() -> None:
    _assert_like_its_row(enqueue(SUCCEED, unique_key="key", subject="text", number=5))


@in_transaction
def test_a_new_delayed_job_with_a_key_is_like_its_row() -> None:
    _assert_like_its_row(enqueue(SUCCEED, unique_key="key", delay=600))


@in_transaction
@pytest.mark.parametrize("first", [{}, {"delay": 600}], ids=["due", "delayed"])
@pytest.mark.parametrize("second", [{}, {"delay": 60}, {"delay": 6000}], ids=["now", "earlier", "later"])
def test_a_holder_comes_back_like_its_row(first: dict[str, Any], second: dict[str, Any]) -> None:
    enqueue(SUCCEED, unique_key="key", subject="text", number=5, **first)

    _assert_like_its_row(enqueue(SUCCEED, unique_key="key", number=6, **second))


@in_transaction
def test_a_holder_whose_time_is_not_later_stays_as_it_is() -> None:
    enqueue(SUCCEED, unique_key="key", delay=60)
    before = Job.objects.values().get()
    enqueue(SUCCEED, unique_key="key", delay=600, subject="other", number=2)

    assert Job.objects.values().get() == before


@in_transaction
def test_jobs_of_a_batch_come_back_in_their_order_and_are_numbered_in_it() -> None:
    enqueue_many([_wanted(key="held", number=-1)])
    keys = [None, "one", "held", None, "two"]
    jobs = enqueue_many([_wanted(key=key, number=number) for number, key in enumerate(keys)])

    assert [job.payload["number"] for job in jobs] == [0, 1, -1, 3, 4]
    written = [job.pk for job in jobs if job.payload["number"] >= 0]
    assert written == sorted(written)
    for job in jobs:
        _assert_like_its_row(job)


@in_transaction
def test_the_counts_of_open_jobs_stay_true() -> None:
    enqueue_many([_wanted(key="due"), _wanted(_in_days(2), "delayed"), _wanted(_in_days(2), "moved")])
    enqueue_many(
        [_wanted(key="due"), _wanted(_in_days(3), "delayed"), _wanted(key="moved"), _wanted(key="new")]
    )

    assert counts_of_database("default") == counts_of_rows("default")


# A key that stands more than once in a batch ------------------------------------------------------


@in_transaction
def test_of_two_times_of_a_key_in_a_batch_the_earlier_counts() -> None:
    early, late = _in_days(1), _in_days(2)
    for key, moments in {"falls": (late, early), "rises": (early, late)}.items():
        jobs = enqueue_many([_wanted(moment, key) for moment in moments])
        assert {job.pk for job in jobs} == {Job.objects.get(unique_key=key).pk}

    assert {job.run_at for job in Job.objects.all()} == {early}


@in_transaction
@pytest.mark.parametrize("order", [1, -1], ids=["delayed first", "due first"])
def test_a_key_that_a_batch_wants_later_and_now_is_due(order: int) -> None:
    enqueue_many([_wanted(_in_days(2)), _wanted(_in_days(1)), _wanted()][::order])

    assert Job.objects.due().get().published_at is not None


@in_transaction
def test_the_payload_of_the_first_job_of_a_key_stays() -> None:
    jobs = enqueue_many([_wanted(_in_days(2), number=1), _wanted(number=2)])

    assert [job.payload for job in jobs] == [{"number": 1}] * 2
    assert Job.objects.get().payload == {"number": 1}


@in_transaction
def test_a_holder_moves_to_the_earliest_time_that_a_batch_has_for_its_key() -> None:
    earliest = _in_days(1)
    holder = enqueue(SUCCEED, unique_key="key", run_at=_in_days(4))
    jobs = enqueue_many([_wanted(_in_days(2)), _wanted(earliest), _wanted(_in_days(3))])

    assert [job.pk for job in jobs] == [holder.pk] * 3
    assert Job.objects.get().run_at == earliest


@in_transaction
def test_a_key_that_stands_in_two_thousands_of_a_batch_makes_one_job() -> None:
    jobs = enqueue_many([_wanted(), *[_wanted(key=None)] * 999, _wanted()])

    assert jobs[0] == jobs[1000]
    assert Job.objects.count() == 1000


# The caller's transaction -------------------------------------------------------------------------


@in_transaction
def test_a_held_key_leaves_the_transaction_usable() -> None:
    enqueue(SUCCEED, unique_key="key")
    enqueue(SUCCEED, unique_key="key")
    enqueue_many([_wanted(), _wanted()])
    enqueue(SUCCEED)

    assert Job.objects.count() == 2


@with_commits
def test_a_rollback_to_a_savepoint_sets_the_key_free() -> None:
    with transaction.atomic():
        with pytest.raises(Undone), transaction.atomic():
            enqueue(SUCCEED, unique_key="key", number=1)
            raise Undone
        enqueue(SUCCEED, unique_key="key", number=2)

    assert Job.objects.get().payload == {"number": 2}


@with_commits
def test_a_rollback_to_a_savepoint_gives_a_holder_its_time_back() -> None:
    moment = _in_days(2)
    enqueue(SUCCEED, unique_key="key", run_at=moment)
    with transaction.atomic():
        with pytest.raises(Undone), transaction.atomic():
            enqueue(SUCCEED, unique_key="key")
            raise Undone
        assert enqueue(SUCCEED, unique_key="key", run_at=_in_days(3)).run_at == moment

    assert Job.objects.get().run_at == moment


@with_commits
def test_an_error_after_a_held_key_undoes_the_move_of_its_holder() -> None:
    moment = _in_days(2)
    enqueue(SUCCEED, unique_key="key", run_at=moment)
    with pytest.raises(Undone), transaction.atomic():
        enqueue_many([_wanted(), _wanted(key="other")])
        raise Undone

    assert Job.objects.get().run_at == moment


@with_commits
def test_a_batch_with_a_job_that_started_meanwhile_writes_another() -> None:
    started = claim_row(enqueue(SUCCEED, unique_key="key"))
    [following] = enqueue_many([_wanted()])

    assert following.pk != started.pk
    assert (following.state, following.started_at) == ("waiting", None)
