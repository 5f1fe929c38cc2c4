"""Jobs of workers that are gone come back; what their workers still do counts for nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db.models.functions import Now

from jobqueue import registry, signals
from jobqueue.broker import counters
from jobqueue.delivery import outbox, rescue
from jobqueue.exceptions import BrokerUnavailable
from jobqueue.models import Attempt, Job, Worker
from jobqueue.sql.clock import database_now
from jobqueue.worker import performing
from jobqueue.worker.claiming import Claim
from tests.jobqueue.conftest import UseRedis
from tests.jobqueue.processors_for_tests import FAIL, FAIL_WITHOUT_RETRY, SUCCEED
from tests.jobqueue.steps import (
    IDENTITY,
    OTHER_IDENTITY,
    claim_jobs,
    claim_row,
    claimed,
    list_of,
    make_worker,
    published,
    settle,
)

pytestmark = pytest.mark.django_db

State = Job.State


def _lost(processor: str = SUCCEED, **fields: Any) -> Job:
    """An active job whose worker has been silent for too long."""
    job = claimed(processor)
    Job.objects.filter(pk=job.pk).update(**fields)
    make_worker(silent_for=21)
    return job


# Silent workers -----------------------------------------------------------------------------------


def test_the_job_of_a_silent_worker_goes_back_on_the_road_with_one_attempt_used() -> None:
    job = _lost()

    assert rescue.rescue_lost("default") == 1
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures) == (State.WAITING, 2, 1)
    assert (job.worker_id, job.published_at) == (None, None)
    assert job.reason == "rescued: worker tests is gone: no sign of life"


def test_a_rescued_job_waits_as_after_any_failure() -> None:
    job = _lost()
    rescue.rescue_lost("default")
    job.refresh_from_db()

    assert timedelta(0) < job.run_at - database_now("default") <= timedelta(seconds=1.2)


def test_a_rescue_leaves_a_failed_attempt_that_says_why() -> None:
    job = _lost()
    rescue.rescue_lost("default")
    attempt = job.attempts.get()

    assert (attempt.number, attempt.error_class, attempt.worker_name) == (1, "JobInterrupted", "tests")
    assert attempt.message == "worker tests is gone: no sign of life"
    assert attempt.started_at == job.started_at


def test_a_job_at_the_end_of_its_budget_fails() -> None:
    job = _lost(failures=3, attempt=4)

    assert rescue.rescue_lost("default") == 1
    job.refresh_from_db()
    assert (job.state, job.failures) == (State.FAILED, 4)
    assert job.reason == "JobInterrupted: worker tests is gone: no sign of life"
    assert job.finished_at is not None
    assert job.attempts.get().number == 4


def test_the_policy_of_the_processor_counts() -> None:
    job = _lost(FAIL_WITHOUT_RETRY)
    rescue.rescue_lost("default")
    job.refresh_from_db()

    assert job.state == State.FAILED


def test_a_job_whose_processor_is_unknown_here_comes_back_too() -> None:
    job = _lost()
    registry.unregister(SUCCEED)
    rescue.rescue_lost("default")
    job.refresh_from_db()

    assert job.state == State.WAITING


def test_a_job_of_a_worker_without_a_row_comes_back_and_its_attempt_names_the_workers_id() -> None:
    job = claimed()

    assert rescue.rescue_lost("default") == 1
    assert job.attempts.get().worker_name == str(IDENTITY.id)


def test_an_active_job_without_a_worker_comes_back() -> None:
    job = claimed()
    Job.objects.update(worker=None)

    assert rescue.rescue_lost("default") == 1
    job.refresh_from_db()
    assert job.state == State.WAITING


@pytest.mark.parametrize("silent_for", [0, 15])
def test_a_job_of_a_living_worker_is_left_alone(silent_for: float) -> None:
    claimed()
    make_worker(silent_for=silent_for)
    before = list(Job.objects.values())

    assert rescue.rescue_lost("default") == 0
    assert list(Job.objects.values()) == before


def test_only_the_jobs_of_the_silent_worker_come_back() -> None:
    lost, kept = _lost(), claimed(identity=OTHER_IDENTITY)
    make_worker(OTHER_IDENTITY)

    assert rescue.rescue_lost("default") == 1
    assert list(Job.objects.active()) == [kept]
    assert list(Job.objects.waiting()) == [lost]


def test_the_silence_is_a_setting(settings: LazySettings) -> None:
    claimed()
    make_worker(silent_for=5)
    settings.JOBQUEUE = {"HEARTBEAT_INTERVAL": 1, "WORKER_SILENCE": 3}

    assert rescue.rescue_lost("default") == 1


def test_no_more_than_a_batch_is_rescued_at_a_time(settings: LazySettings) -> None:
    settings.JOBQUEUE = {"RELAY_BATCH": 2}
    for _ in range(3):
        claimed()

    assert [rescue.rescue_lost("default") for _ in range(3)] == [2, 1, 0]


def test_a_rescue_is_announced() -> None:
    heard: list[dict[str, Any]] = []

    def listener(**details: Any) -> None:
        heard.append(details)

    job = _lost()
    signals.job_rescued.connect(listener)
    try:
        rescue.rescue_lost("default")
    finally:
        signals.job_rescued.disconnect(listener)

    assert [(details["job_ids"], details["worker_name"]) for details in heard] == [([job.pk], "tests")]


def test_a_rescued_job_is_published_and_runs(redis_client: redis.Redis) -> None:
    job = _lost()
    rescue.rescue_lost("default")
    Job.objects.update(run_at=Now())
    outbox.publish_due("default")

    assert list_of(redis_client) == [f"{job.pk}-2"]
    [again] = claim_jobs(OTHER_IDENTITY, 1)
    settle([performing.perform(again)], OTHER_IDENTITY)
    job.refresh_from_db()
    assert job.state == State.COMPLETED


@pytest.mark.django_db(databases=["default", "other"])
def test_a_lost_job_of_another_database_comes_back_there() -> None:
    job = claimed(using="other")
    make_worker(silent_for=21, using="other")

    assert rescue.rescue_lost("default") == 0
    assert rescue.rescue_lost("other") == 1
    assert Job.objects.using("other").get().state == State.WAITING
    assert Attempt.objects.using("other").get().job_id == job.pk


# Zombies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SUCCEED, FAIL, FAIL_WITHOUT_RETRY])
@pytest.mark.parametrize("verb", ["rescue_lost", "release", "fail"])
def test_what_a_worker_settles_after_its_claim_was_taken_changes_nothing(name: str, verb: str) -> None:
    job = _lost(name)
    outcome = performing.perform(Claim(job, "default"))
    if verb == "rescue_lost":
        rescue.rescue_lost("default")
    else:
        getattr(rescue, verb)(Job.objects.all())
    before = (list(Job.objects.values()), list(Attempt.objects.values()))

    assert settle([outcome], IDENTITY) == []
    assert (list(Job.objects.values()), list(Attempt.objects.values())) == before
    assert counters.read() == {}


def test_a_zombie_does_not_take_back_a_job_that_another_worker_runs() -> None:
    job = _lost()
    outcome = performing.perform(Claim(job, "default"))
    rescue.rescue_lost("default")
    Job.objects.update(run_at=Now())
    job.refresh_from_db()
    claim_row(job, OTHER_IDENTITY)
    settle([outcome], IDENTITY)

    assert Job.objects.active().get().worker_id == OTHER_IDENTITY.id


def test_a_job_that_was_settled_meanwhile_is_not_rescued() -> None:
    stale = _lost()
    settle([performing.perform(Claim(stale, "default"))], IDENTITY)

    assert rescue.interrupt(stale, "default", "too late") == 0
    assert Job.objects.get().state == State.COMPLETED
    assert not Attempt.objects.exists()


# RQ's registries and workers' rows ----------------------------------------------------------------


def _claim_for_real() -> Job:
    job = published()
    claim_jobs(IDENTITY, 1)
    return job


def _claim_long_ago(redis_client: redis.Redis) -> Job:
    job = _claim_for_real()
    redis_client.hset(f"rq:job:{job.message_id}", "claimed_at", 1)
    return job


def test_what_nobody_runs_any_more_goes_from_rqs_registry(redis_client: redis.Redis) -> None:
    job = _claim_long_ago(redis_client)
    Job.objects.filter(pk=job.pk).update(state=State.COMPLETED)

    assert rescue.sweep() == 1
    assert redis_client.zcard("rq:wip:email") == 0


def test_what_another_worker_runs_now_goes_for_the_one_before(redis_client: redis.Redis) -> None:
    job = _claim_long_ago(redis_client)
    Job.objects.filter(pk=job.pk).update(worker_id=OTHER_IDENTITY.id)

    assert rescue.sweep() == 1


def test_what_is_no_message_of_ours_goes_from_rqs_registry(redis_client: redis.Redis) -> None:
    redis_client.zadd("rq:wip:email", {"garbage": 1, "5-1-nowhere:abc": 1, "a:b:c": 1})

    assert rescue.sweep() == 3


def test_what_runs_stays_in_rqs_registry(redis_client: redis.Redis) -> None:
    _claim_long_ago(redis_client)

    assert rescue.sweep() == 0
    assert redis_client.zcard("rq:wip:email") == 1


@pytest.mark.django_db(databases=["default", "other"])
def test_what_runs_in_another_database_stays_in_rqs_registry(redis_client: redis.Redis) -> None:
    job = published(using="other")
    claim_jobs(IDENTITY, 1)
    redis_client.hset(f"rq:job:{job.message_id}-other", "claimed_at", 1)

    assert rescue.sweep() == 0


def test_what_was_claimed_just_now_stays_in_rqs_registry(redis_client: redis.Redis) -> None:
    job = _claim_for_real()
    Job.objects.filter(pk=job.pk).update(state=State.WAITING)

    assert rescue.sweep() == 0


def test_of_many_workers_one_sweeps(redis_client: redis.Redis) -> None:
    redis_client.zadd("rq:wip:email", {"garbage": 1})

    assert rescue.sweep(interval=60) == 1
    redis_client.zadd("rq:wip:email", {"garbage": 1})
    assert rescue.sweep(interval=60) == 0


def test_without_redis_the_jobs_come_back_and_the_registry_is_cleaned_up_later(
    redis_closed: UseRedis, redis_client: redis.Redis, redis_server: Any
) -> None:
    redis_closed(redis_server.host, redis_server.port)
    job = _claim_for_real()
    make_worker(silent_for=21)
    redis_closed("127.0.0.1", 1)

    assert rescue.rescue_lost("default") == 1
    with pytest.raises(BrokerUnavailable):
        rescue.sweep()
    redis_closed(redis_server.host, redis_server.port)
    redis_client.hset(f"rq:job:{job.message_id}", "claimed_at", 1)
    assert rescue.sweep() == 1
    job.refresh_from_db()
    assert job.attempt == 2


def test_the_row_of_a_worker_that_has_long_been_silent_goes() -> None:
    make_worker(silent_for=25 * 3600)
    rescue.rescue_lost("default")

    assert not Worker.objects.exists()


def test_the_row_of_a_worker_that_fell_silent_today_stays_to_be_seen() -> None:
    make_worker(silent_for=3600)
    rescue.rescue_lost("default")

    assert Worker.objects.count() == 1


# Operators ----------------------------------------------------------------------------------------


def test_a_released_job_is_back_on_the_road_at_once_without_using_up_its_budget() -> None:
    job = claimed()

    assert rescue.release(Job.objects.filter(pk=job.pk), "too slow") == 1
    job.refresh_from_db()
    assert (job.state, job.attempt, job.failures, job.reason) == (State.WAITING, 2, 0, "too slow")
    assert job in Job.objects.due()
    assert not Attempt.objects.exists()


def test_a_job_that_was_failed_by_hand_says_why() -> None:
    job = claimed()
    make_worker()

    assert rescue.fail(Job.objects.filter(pk=job.pk), "hopeless") == 1
    job.refresh_from_db()
    assert (job.state, job.failures, job.reason) == (State.FAILED, 1, "hopeless")
    assert job.finished_at is not None
    attempt = job.attempts.get()
    assert (attempt.error_class, attempt.message, attempt.worker_name) == (
        "JobInterrupted",
        "hopeless",
        "tests",
    )


def test_a_job_that_was_failed_by_hand_is_told_as_failed() -> None:
    told: list[tuple[int, Any]] = []

    def listen(sender: Any, job: Job, outcome: Any, exception: Any, **_: Any) -> None:
        told.append((job.pk, (outcome, str(exception))))

    signals.job_failed.connect(listen)
    try:
        job = claimed()
        rescue.fail(Job.objects.filter(pk=job.pk), "hopeless")
    finally:
        signals.job_failed.disconnect(listen)

    assert told == [(job.pk, (None, "hopeless"))]


@pytest.mark.parametrize("verb", [rescue.release, rescue.fail])
@pytest.mark.parametrize("state", [State.WAITING, State.COMPLETED, State.FAILED, State.CANCELLED])
def test_only_active_jobs_are_cleared(verb: Any, state: str) -> None:
    claimed()
    Job.objects.update(state=state)
    before = list(Job.objects.values())

    assert verb(Job.objects.all()) == 0
    assert list(Job.objects.values()) == before


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("verb", [rescue.release, rescue.fail])
def test_jobs_of_another_database_are_cleared_there(verb: Any) -> None:
    claimed(using="other")

    assert verb(Job.objects.using("other").all()) == 1
    assert not Job.objects.using("other").active().exists()
