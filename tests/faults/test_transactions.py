"""Jobs of transactions that roll back, or whose callbacks fail: nobody ever sees one that must not exist."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.db import connection, transaction

from jobqueue.models import Job
from settlements.models import Payment, Settlement
from tests.conftest import StartWorker
from tests.workload.fixtures import Workload, note, wait_until_done

# So that a test does not wait for 15 seconds until a message counts as lost.
SOON_LOST = {"LOST_AFTER": 2}


class Undone(Exception):
    """Undoes a transaction."""


class Others:
    """What everybody else sees of the jobs: over a database connection of their own, and in Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def see_nothing(self) -> bool:
        """Whether there is no job, no message and no hash of one."""
        rows: list[bool] = []

        def look() -> None:
            try:
                rows.append(Job.objects.exists())
            finally:
                connection.close()

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(20)
        return rows == [False] and not self._client.keys("rq:job:*") and not self._client.keys("rq:queue:*")


@pytest.fixture
def others(redis_client: redis.Redis) -> Others:
    """What others see."""
    return Others(redis_client)


def save_both(make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]) -> None:
    """Two saves that lead to about ten jobs, due and delayed ones."""
    make_payment(make_settlement(), status="completed")
    assert Job.objects.count() > 5


@pytest.mark.django_db(transaction=True)
def test_a_rollback_after_saves_shows_no_job_before_or_after(
    others: Others,
    make_settlement: Callable[..., Settlement],
    make_payment: Callable[..., Payment],
) -> None:
    with pytest.raises(Undone), transaction.atomic():
        save_both(make_settlement, make_payment)
        assert others.see_nothing()
        raise Undone

    assert others.see_nothing()
    assert not Settlement.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_rollback_to_a_savepoint_shows_no_job_of_what_came_after_it(
    others: Others,
    make_settlement: Callable[..., Settlement],
    make_payment: Callable[..., Payment],
) -> None:
    with transaction.atomic():
        with pytest.raises(Undone), transaction.atomic():
            save_both(make_settlement, make_payment)
            with transaction.atomic():
                save_both(make_settlement, make_payment)
            assert others.see_nothing()
            raise Undone
        assert others.see_nothing()
        assert not Job.objects.exists()

    assert others.see_nothing()


def fail() -> None:
    raise Undone


@pytest.mark.django_db(transaction=True)
def test_an_error_in_a_callback_of_an_inner_transaction_that_is_undone_shows_no_job(
    others: Others,
    make_settlement: Callable[..., Settlement],
    make_payment: Callable[..., Payment],
) -> None:
    with pytest.raises(Undone), transaction.atomic():
        with transaction.atomic():
            transaction.on_commit(fail)
            save_both(make_settlement, make_payment)
        assert others.see_nothing()
        raise Undone

    assert others.see_nothing()


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("first", ["the callback", "the job"])
def test_an_error_in_somebody_elses_callback_neither_loses_nor_doubles_a_committed_job(
    first: str, robust: bool, rqworker: StartWorker, workload: Workload
) -> None:
    rqworker(jobqueue=SOON_LOST)
    try:
        with transaction.atomic():
            steps: list[Callable[[], Any]] = [
                lambda: transaction.on_commit(fail, robust=robust),
                lambda: note("once"),
            ]
            for step in steps if first == "the callback" else reversed(steps):
                step()
    except Undone:
        assert not robust

    assert workload.wait_for_effects(1) == {"once": 1}
    wait_until_done()
    assert workload.effects() == {"once": 1}


def test_a_running_worker_runs_nothing_of_what_is_rolled_back(
    rqworker: StartWorker, workload: Workload, redis_client: redis.Redis
) -> None:
    rqworker(jobqueue=SOON_LOST)
    with pytest.raises(Undone), transaction.atomic():
        note("ghost")
        note("delayed ghost", queue="reminders", delay=0.5)
        with transaction.atomic():
            note("nested ghost", queue="settlement")
        raise Undone

    note("real", delay=1)
    note("late", delay=3)  # behind it, everything that Redis might have kept was looked at again

    workload.wait_for_effects(2)
    assert workload.effects() == {"real": 1, "late": 1}
    assert Job.objects.count() == 2
