"""Jobs with a unique key: one waits, whoever asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis
from django.db import connections, transaction

from jobqueue.jobs import NewJob, enqueue, enqueue_many
from jobqueue.models import Job
from tests.jobqueue.processors_for_tests import SUCCEED
from tests.jobqueue.steps import TOMORROW, claim_row, list_of, rolled_back, tomorrow

in_transaction = pytest.mark.django_db
with_commits = pytest.mark.django_db(transaction=True)


@in_transaction
def test_a_held_key_returns_the_waiting_job() -> None:
    first = enqueue(SUCCEED, unique_key="key", number=1)
    second = enqueue(SUCCEED, unique_key="key", number=2)

    assert second == first
    assert Job.objects.get().payload == {"number": 1}


@in_transaction
def test_different_keys_make_different_jobs() -> None:
    assert enqueue(SUCCEED, unique_key="one") != enqueue(SUCCEED, unique_key="other")


@in_transaction
def test_a_held_delayed_job_moves_to_an_earlier_time() -> None:
    moment = tomorrow()
    enqueue(SUCCEED, unique_key="key", run_at=moment + TOMORROW)
    job = enqueue(SUCCEED, unique_key="key", run_at=moment)

    assert job.run_at == moment
    assert Job.objects.get().run_at == moment


@in_transaction
def test_a_held_delayed_job_does_not_move_to_a_later_time() -> None:
    moment = tomorrow()
    enqueue(SUCCEED, unique_key="key", run_at=moment)
    job = enqueue(SUCCEED, unique_key="key", run_at=moment + TOMORROW)

    assert job.run_at == moment


@with_commits
def test_a_held_delayed_job_that_is_wanted_now_is_due_and_published(redis_client: redis.Redis) -> None:
    delayed = enqueue(SUCCEED, unique_key="key", delay=600)
    job = enqueue(SUCCEED, unique_key="key")

    assert job == delayed
    assert list_of(redis_client) == [f"{job.pk}-1"]
    assert Job.objects.due().get().published_at is not None


@with_commits
def test_a_held_due_job_is_published_once(redis_client: redis.Redis) -> None:
    job = enqueue(SUCCEED, unique_key="key")
    enqueue(SUCCEED, unique_key="key")
    enqueue(SUCCEED, unique_key="key", delay=5)

    assert list_of(redis_client) == [f"{job.pk}-1"]


@in_transaction
def test_a_job_that_has_started_does_not_swallow_the_next() -> None:
    started = claim_row(enqueue(SUCCEED, unique_key="key"))
    following = enqueue(SUCCEED, unique_key="key")

    assert following != started
    assert following.state == Job.State.WAITING


@in_transaction
def test_a_job_that_waits_for_its_retry_does_not_swallow_the_next() -> None:
    retried = claim_row(enqueue(SUCCEED, unique_key="key"))
    Job.objects.filter(pk=retried.pk).update(state=Job.State.WAITING, attempt=2)

    assert enqueue(SUCCEED, unique_key="key") != retried


@in_transaction
@pytest.mark.parametrize("state", [Job.State.COMPLETED, Job.State.FAILED, Job.State.CANCELLED])
def test_a_job_that_is_done_does_not_hold_its_key(state: str) -> None:
    done = enqueue(SUCCEED, unique_key="key")
    Job.objects.filter(pk=done.pk).update(state=state)

    assert enqueue(SUCCEED, unique_key="key") != done


@with_commits
def test_a_key_that_was_rolled_back_is_free() -> None:
    with rolled_back():
        enqueue(SUCCEED, unique_key="key")

    assert enqueue(SUCCEED, unique_key="key").pk is not None


def _in_threads(count: int, body: Callable[[int], None]) -> None:
    """Run `body(number)` in threads that begin together; an error in one is raised here."""
    barrier, errors = threading.Barrier(count), []

    def run(number: int) -> None:
        try:
            barrier.wait(10)
            body(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if errors:
        raise errors[0]


@with_commits
def test_two_threads_at_once_make_one_job() -> None:
    jobs: list[Job] = []

    def body(number: int) -> None:
        for round_ in range(5):
            with transaction.atomic():
                jobs.append(enqueue(SUCCEED, unique_key=f"key {round_}"))

    _in_threads(2, body)

    assert Job.objects.count() == 5
    assert len(jobs) == 10
    assert {job.pk for job in jobs} == set(Job.objects.values_list("pk", flat=True))


@with_commits
def test_two_threads_at_once_make_one_job_of_each_key_in_a_batch() -> None:
    def body(number: int) -> None:
        enqueue_many([NewJob(SUCCEED, {}, unique_key=f"key {index}") for index in range(5)])

    _in_threads(2, body)

    assert Job.objects.count() == 5


@with_commits
def test_a_save_that_meets_a_key_another_transaction_rolls_back_makes_the_job_itself() -> None:
    inserted, finish = threading.Event(), threading.Event()

    def body(number: int) -> None:
        if number == 0:
            with rolled_back():
                enqueue(SUCCEED, unique_key="key", number=0)
                inserted.set()
                finish.wait(10)
        else:
            inserted.wait(10)
            threading.Timer(0.1, finish.set).start()
            enqueue(SUCCEED, unique_key="key", number=1)

    _in_threads(2, body)

    assert Job.objects.get().payload == {"number": 1}
