"""Two who want the same unique key at once: what one waits for, what it gets, and who may start the job.

Collected on PostgreSQL only (conftest.py): SQLite has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job, transitions
from tests.conftest import wait_until
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import IDENTITY, claim_row

pytestmark = pytest.mark.django_db(transaction=True)

Elsewhere = Callable[[Callable[[], Any]], Future[Any]]


class Undone(Exception):
    """Undoes a transaction."""


def _one(number: int, **options: Any) -> Job:
    return enqueue(SUCCEED, unique_key="key", number=number, **options)


def _many(number: int, **options: Any) -> Job:
    [job] = enqueue_many([NewJob(SUCCEED, {"number": number}, unique_key="key")], **options)
    return job


both_doors = pytest.mark.parametrize("write", [_one, _many], ids=["enqueue", "enqueue_many"])


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Runs a function on another connection."""

    def call(function: Callable[[], Any]) -> Any:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield lambda function: pool.submit(call, function)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        # Within a transaction the view stays as it was first seen.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        count: int = cursor.fetchone()[0]
    return count > 0


def _version() -> Any:
    """Which version of its row a job is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid, xmin FROM jobqueue_job")
        return cursor.fetchone()


# Two who write the key ----------------------------------------------------------------------------


@both_doors
def test_who_meets_a_key_in_an_open_transaction_gets_its_job_after_the_commit(
    write: Callable[..., Job], elsewhere: Elsewhere
) -> None:
    with transaction.atomic():
        first = write(1)
        second = elsewhere(lambda: write(2))
        wait_until(_somebody_waits)

    assert second.result(20).pk == first.pk
    assert Job.objects.get().payload == {"number": 1}


@both_doors
def test_who_meets_a_key_in_an_open_transaction_writes_its_own_job_after_the_rollback(
    write: Callable[..., Job], elsewhere: Elsewhere
) -> None:
    with pytest.raises(Undone), transaction.atomic():
        write(1)
        second = elsewhere(lambda: write(2))
        wait_until(_somebody_waits)
        raise Undone

    assert second.result(20).payload == {"number": 2}
    assert Job.objects.get().payload == {"number": 2}


def test_who_meets_a_key_that_a_savepoint_takes_back_writes_its_own_job_at_once(elsewhere: Elsewhere) -> None:
    with transaction.atomic():
        with pytest.raises(Undone), transaction.atomic():
            _one(1)
            second = elsewhere(lambda: _one(2))
            wait_until(_somebody_waits)
            raise Undone
        assert second.result(20).payload == {"number": 2}


def test_the_earlier_time_of_two_who_write_at_once_wins(elsewhere: Elsewhere) -> None:
    with transaction.atomic():
        _one(1, delay=600)
        second = elsewhere(lambda: _one(2))
        wait_until(_somebody_waits)

    assert second.result(20).published_at is not None
    assert Job.objects.due().get().payload == {"number": 1}


# A holder that starts, is cancelled or goes away at the same moment -------------------------------


@both_doors
def test_a_holder_that_is_being_started_does_not_swallow_the_job(
    write: Callable[..., Job], elsewhere: Elsewhere
) -> None:
    holder = write(1)
    with transaction.atomic():
        claim_row(holder)
        following = elsewhere(lambda: write(2))
        wait_until(_somebody_waits)

    assert following.result(20).pk != holder.pk
    assert list(Job.objects.order_by("pk").values_list("state", flat=True)) == ["active", "waiting"]


def test_a_holder_whose_start_is_undone_holds_its_key(elsewhere: Elsewhere) -> None:
    holder = _one(1)
    with pytest.raises(Undone), transaction.atomic():
        claim_row(holder)
        second = elsewhere(lambda: _one(2))
        wait_until(_somebody_waits)
        raise Undone

    assert second.result(20).pk == holder.pk


@pytest.mark.parametrize(
    "end",
    [lambda holder: holder.cancel(), lambda holder: holder.delete()],
    ids=["cancelled", "deleted"],
)
def test_a_holder_that_is_being_ended_does_not_swallow_the_job(
    end: Callable[[Job], object], elsewhere: Elsewhere
) -> None:
    holder = _one(1)
    with transaction.atomic():
        end(holder)
        following = elsewhere(lambda: _one(2))
        wait_until(_somebody_waits)

    assert following.result(20).payload == {"number": 2}
    assert Job.objects.waiting().get().payload == {"number": 2}


# The lock on a holder -----------------------------------------------------------------------------


@both_doors
@pytest.mark.parametrize("delay", [0, 600], ids=["as it is", "moved"])
def test_a_holder_is_not_started_before_its_caller_commits(
    delay: float, write: Callable[..., Job], elsewhere: Elsewhere
) -> None:
    holder = enqueue(SUCCEED, unique_key="key", delay=delay)

    def claim() -> list[Job]:
        return transitions.claim(Job.objects, [(holder.pk, 1)], IDENTITY.id)

    with transaction.atomic():
        write(2)
        assert elsewhere(claim).result(20) == []

    assert [job.pk for job in elsewhere(claim).result(20)] == [holder.pk]


def test_who_would_cancel_a_holder_waits_for_its_caller(elsewhere: Elsewhere) -> None:
    holder = _one(1)
    with transaction.atomic():
        _one(2)
        cancelled = elsewhere(lambda: holder.cancel())
        wait_until(_somebody_waits)

    cancelled.result(20)
    assert Job.objects.get().state == "cancelled"


@both_doors
def test_a_holder_whose_time_is_not_later_gets_no_new_version_of_its_row(write: Callable[..., Job]) -> None:
    write(1)
    before = _version()
    write(2)

    assert _version() == before


# Callers that see one snapshot --------------------------------------------------------------------


def _see_one_snapshot() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")


def test_who_sees_one_snapshot_gets_a_holder_that_others_got_meanwhile(elsewhere: Elsewhere) -> None:
    holder = _one(1)
    with transaction.atomic():
        _see_one_snapshot()
        assert elsewhere(lambda: _one(2)).result(20).pk == holder.pk
        assert _one(3).pk == holder.pk


def test_who_sees_one_snapshot_is_told_to_try_again_where_the_holder_came_later(elsewhere: Elsewhere) -> None:
    with pytest.raises(OperationalError, match="could not serialize"), transaction.atomic():
        _see_one_snapshot()
        elsewhere(lambda: _one(1)).result(20)
        _one(2)

    assert Job.objects.get().payload == {"number": 1}


@pytest.mark.parametrize("are_held", [True, False])
def test_keys_are_taken_in_one_order_whatever_order_they_are_named_in(
    elsewhere: Elsewhere, are_held: bool
) -> None:
    if are_held:
        _write("first", "last")
    with transaction.atomic():
        _write("first")
        others = elsewhere(lambda: _write("last", "first"))
        wait_until(_somebody_waits)
        # In the order of their names it would have this one by now, and each would wait for the other.
        _write("last")

    assert others.result(timeout=20) == _write("last", "first")
    assert Job.objects.count() == 2


def _write(*keys: str) -> list[int]:
    return [job.pk for job in enqueue_many([NewJob(SUCCEED, {}, unique_key=key) for key in keys])]
