"""Many jobs at once, jobs that are cancelled, and jobs while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from jobqueue.broker import queues, scripts
from jobqueue.broker.connections import circuit
from jobqueue.delivery import outbox
from jobqueue.exceptions import (
    JobTransitionRefused,
    UnknownProcessor,
)
from jobqueue.jobs import NewJob, cancel, enqueue, enqueue_many
from jobqueue.models import Job, subject_of
from tests.jobqueue.processors_for_tests import ON_REMINDERS, ON_SETTLEMENT, SUCCEED
from tests.jobqueue.steps import TOMORROW, claim_row, list_of, tomorrow

in_transaction = pytest.mark.django_db
with_commits = pytest.mark.django_db(transaction=True)
with_both_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def _pushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each push carries, from now on."""
    pushes: list[int] = []
    publish = queues.publish

    def counted(messages: Any, **options: Any) -> int:
        pushes.append(len(messages))
        return publish(messages, **options)

    monkeypatch.setattr(queues, "publish", counted)
    return pushes


# Many ---------------------------------------------------------------------------------------------


@with_commits
def test_many_jobs_are_written_with_one_insert_and_published_with_one_push(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    pushes = _pushes(monkeypatch)
    with CaptureQueriesContext(connection) as queries:
        jobs = enqueue_many((SUCCEED, {"number": number}) for number in range(40))

    assert len([query for query in queries if query["sql"].startswith("INSERT")]) == 1
    assert pushes == [40]
    assert list_of(redis_client) == [f"{job.pk}-1" for job in jobs]


@with_commits
def test_many_jobs_come_back_in_their_order_and_like_their_rows() -> None:
    jobs = enqueue_many([(SUCCEED, {"number": number}) for number in range(3)])

    assert [job.payload["number"] for job in jobs] == [0, 1, 2]
    for job in jobs:
        row = Job.objects.get(pk=job.pk)
        assert (job.run_at, job.published_at, job.created_at) == (
            row.run_at,
            row.published_at,
            row.created_at,
        )


@with_commits
def test_many_jobs_of_different_queues_stand_in_their_own_lists(redis_client: redis.Redis) -> None:
    first, second, third = enqueue_many([(SUCCEED, {}), (ON_REMINDERS, {}), (ON_SETTLEMENT, {})])

    assert list_of(redis_client, "email") == [first.message_id]
    assert list_of(redis_client, "reminders") == [second.message_id]
    assert list_of(redis_client, "settlement") == [third.message_id]


@with_commits
def test_more_than_a_thousand_jobs_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    pushes = _pushes(monkeypatch)
    jobs = enqueue_many([(SUCCEED, {})] * 1001)

    assert pushes == [1000, 1]
    assert Job.objects.count() == len({job.pk for job in jobs}) == 1001


@with_commits
def test_many_jobs_with_a_time_are_not_published(redis_client: redis.Redis) -> None:
    moment = tomorrow()
    enqueue_many([(SUCCEED, {})] * 3, run_at=moment)

    assert redis_client.dbsize() == 0
    assert {job.run_at for job in Job.objects.all()} == {moment}


@with_commits
def test_a_job_of_a_batch_may_have_its_own_time_and_subject(redis_client: redis.Redis) -> None:
    moment, user = tomorrow(), User.objects.create_user("somebody")
    own, general = enqueue_many(
        [NewJob(SUCCEED, {}, run_at=moment, subject=user), NewJob(SUCCEED, {}, subject="text")],
        run_at=moment + TOMORROW,
    )

    assert (own.run_at, own.subject) == (moment, subject_of(user))
    assert (general.run_at, general.subject) == (moment + TOMORROW, "text")


@in_transaction
def test_no_job_of_a_batch_is_written_when_one_is_refused() -> None:
    with pytest.raises(UnknownProcessor):
        enqueue_many([(SUCCEED, {}), ("sample.unknown", {})])

    assert Job.objects.count() == 0


@in_transaction
def test_no_jobs_are_no_batch() -> None:
    assert enqueue_many([]) == []


@in_transaction
def test_a_job_of_a_batch_whose_key_is_held_is_left_out_and_the_holder_stands_in_its_place() -> None:
    holder = enqueue(SUCCEED, unique_key="held")
    first, second, third = enqueue_many(
        [(SUCCEED, {}), NewJob(SUCCEED, {}, unique_key="held"), NewJob(SUCCEED, {}, unique_key="free")]
    )

    assert second == holder
    assert {first.pk, third.pk}.isdisjoint({holder.pk})
    assert Job.objects.count() == 3


@in_transaction
def test_a_held_delayed_job_moves_to_the_earlier_time_that_a_batch_names() -> None:
    moment = tomorrow()
    enqueue(SUCCEED, unique_key="held", run_at=moment + TOMORROW)
    enqueue_many([NewJob(SUCCEED, {}, unique_key="held", run_at=moment)])

    assert Job.objects.get().run_at == moment


@with_commits
def test_a_held_delayed_job_that_a_batch_wants_now_is_published(redis_client: redis.Redis) -> None:
    holder = enqueue(SUCCEED, unique_key="held", delay=600)
    enqueue_many([NewJob(SUCCEED, {}, unique_key="held")])

    assert list_of(redis_client) == [f"{holder.pk}-1"]
    assert Job.objects.due().get() == holder


@with_commits
def test_a_key_that_stands_twice_in_a_batch_makes_one_job(redis_client: redis.Redis) -> None:
    jobs = enqueue_many(
        [
            NewJob(SUCCEED, {"number": 1}, unique_key="double"),
            (SUCCEED, {"number": 2}),
            NewJob(SUCCEED, {"number": 3}, unique_key="double"),
        ]
    )

    assert jobs[0] == jobs[2] != jobs[1]
    assert [job.payload["number"] for job in Job.objects.order_by("pk")] == [1, 2]
    assert sorted(list_of(redis_client)) == sorted({job.message_id for job in jobs})


@with_both_databases
def test_a_batch_may_go_to_another_database(redis_client: redis.Redis) -> None:
    jobs = enqueue_many([(SUCCEED, {})] * 2, using="other")

    assert list_of(redis_client) == [f"{job.pk}-1-other" for job in jobs]


# Cancel -------------------------------------------------------------------------------------------


@in_transaction
def test_a_waiting_job_can_be_cancelled_by_its_id() -> None:
    job = cancel(enqueue(SUCCEED, delay=60).pk, "not wanted any more")

    assert (job.state, job.reason) == ("cancelled", "not wanted any more")
    assert Job.objects.get().finished_at is not None


@in_transaction
def test_a_started_job_cannot_be_cancelled() -> None:
    job = claim_row(enqueue(SUCCEED))

    with pytest.raises(JobTransitionRefused, match=f"job {job.pk} is active and cannot be cancelled"):
        cancel(job)


@pytest.mark.django_db(databases=["default", "other"])
def test_a_job_of_another_database_can_be_cancelled() -> None:
    job = enqueue(SUCCEED, using="other", delay=60)

    assert cancel(job.pk, using="other").state == "cancelled"


# Redis away ---------------------------------------------------------------------------------------


def _save_and_measure() -> tuple[User, float]:
    """A save with its job, and the seconds it took, commit included."""
    started = time.perf_counter()
    with transaction.atomic():
        user = User.objects.create(username=f"user {User.objects.count()}")
        enqueue(SUCCEED, subject=user)
    return user, time.perf_counter() - started


def _quickest_save_with_a_fresh_try() -> float:
    """Of three, so that a busy machine does not count; each tries Redis anew."""
    times = []
    for _ in range(3):
        circuit.close()
        times.append(_save_and_measure()[1])
    return min(times)


@with_commits
def test_a_save_commits_and_adds_at_most_a_tenth_of_a_second_while_redis_is_away(redis_outage: str) -> None:
    assert _quickest_save_with_a_fresh_try() <= 0.1
    assert User.objects.count() == Job.objects.count() == 3


@with_commits
def test_after_one_vain_try_saves_leave_redis_alone_for_a_while(
    redis_outage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save_and_measure()

    def forbidden(*_: Any) -> Any:
        raise AssertionError("Redis was asked")

    monkeypatch.setattr(scripts, "run", forbidden)
    user, _ = _save_and_measure()

    assert Job.objects.about(user).get().published_at is None


@with_commits
def test_jobs_saved_while_redis_is_away_wait_for_the_relay(redis_outage: str) -> None:
    user, _ = _save_and_measure()

    assert Job.objects.about(user).get().published_at is None


@with_commits
def test_the_relay_publishes_what_was_saved_while_redis_was_away(
    redis_closed: Callable[[str, int], None], redis_server: Any, redis_client: redis.Redis
) -> None:
    jobs = [enqueue(SUCCEED), *enqueue_many([(SUCCEED, {}), (ON_REMINDERS, {})])]
    redis_closed(redis_server.host, redis_server.port)

    assert outbox.publish_due("default") == 3
    assert list_of(redis_client) == [jobs[0].message_id, jobs[1].message_id]
    assert list_of(redis_client, "reminders") == [jobs[2].message_id]
    assert not Job.objects.filter(published_at__isnull=True).exists()


@with_commits
def test_a_job_that_started_meanwhile_is_not_marked_as_unpublished(redis_closed: object) -> None:
    with transaction.atomic():
        job = enqueue(SUCCEED)
        Job.objects.filter(pk=job.pk).update(state=Job.State.ACTIVE, started_at=Now())

    assert Job.objects.get().published_at is not None
