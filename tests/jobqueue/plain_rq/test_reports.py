"""What RQ's tools are told of adopted jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry

from jobqueue.broker import foreign
from jobqueue.delivery import rescue
from jobqueue.models import Job
from jobqueue.plain_rq import adoption
from tests.jobqueue.plain_rq.steps import (
    NOTED,
    adopt,
    explanation,
    ids,
    is_unavailable,
    make_due,
    put,
    put_raw,
)
from tests.jobqueue.steps import TELLER, claim_row, run, run_waiting
from tests.workload.functions import NOTE, fail, note

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_job_that_completed_is_finished_for_rq(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    run_waiting(adopt())

    assert rq_job.get_status() == "finished"
    assert rq_job.id in ids(FinishedJobRegistry)
    assert 490 < redis_client.ttl(f"rq:job:{rq_job.id}") <= 500


@pytest.mark.parametrize(("ttl", "left"), [(0, -2), (-1, -1), (1000, 1000)])
def test_a_finished_job_is_kept_for_as_long_as_it_asked_for(
    redis_client: redis.Redis, ttl: int, left: int
) -> None:
    rq_job = put(note, "a", result_ttl=ttl)
    run_waiting(adopt())

    assert redis_client.ttl(f"rq:job:{rq_job.id}") in (left, left - 1)


@pytest.mark.parametrize("ttl", ["nan", "1e300", "99999999999999999999", "x"])
def test_a_time_to_keep_it_that_makes_no_sense_does_not_stop_the_report(
    redis_client: redis.Redis, ttl: str
) -> None:
    put_raw(redis_client, json.dumps([NOTE, None, ["a"], {}]), result_ttl=ttl)
    run_waiting(adopt())

    assert 490 < redis_client.ttl("rq:job:raw") <= 500


def test_a_job_that_is_to_run_again_stays_started_for_rq() -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)

    assert job.state == "waiting"
    assert rq_job.get_status() == "started"


def test_a_job_that_failed_for_good_is_failed_for_rq(redis_client: redis.Redis) -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)
    run_waiting(job)

    assert job.state == "failed"
    assert rq_job.get_status() == "failed"
    assert ids(FailedJobRegistry) == [rq_job.id]
    assert explanation(redis_client, rq_job.id).startswith(f"job {job.pk} of jobqueue failed")


def test_the_error_itself_does_not_go_into_redis(redis_client: redis.Redis) -> None:
    rq_job = put(fail)
    job = adopt()
    run_waiting(job)
    run_waiting(job)

    assert "anna" not in str(redis_client.hgetall(f"rq:job:{rq_job.id}"))


def test_a_row_that_somebody_wrote_by_hand_only_fails() -> None:
    job = Job.objects.create(processor=adoption.PROCESSOR, queue="email", payload={"a": 1}, timeout=1)
    run_waiting(job)
    run_waiting(job)

    assert job.state == "failed"


def test_a_job_that_ended_is_not_looked_after_again(redis_client: redis.Redis) -> None:
    put(note, "a")
    run_waiting(adopt())

    assert not redis_client.exists(NOTED)


def test_a_failed_job_that_is_retried_in_the_admin_ends_as_finished(settings: LazySettings) -> None:
    rq_job = put(note, "a")
    job = adopt()
    allowed, settings.JOBQUEUE = settings.JOBQUEUE, {}
    run_waiting(job)
    assert rq_job.get_status() == "failed"

    settings.JOBQUEUE = allowed
    job.retry()
    run_waiting(job)

    assert rq_job.get_status() == "finished"
    assert ids(FailedJobRegistry) == []


def test_a_late_word_of_the_start_does_not_hide_the_end() -> None:
    rq_job = put(note, "a")
    job = adopt()
    late = adoption._report(job)
    run_waiting(job)
    foreign.report(late)

    assert rq_job.get_status() == "finished"


def test_a_word_about_an_earlier_run_does_not_touch_a_job_that_was_enqueued_anew() -> None:
    put(note, "a", job_id="daily")
    job = adopt()
    rq_job = put(note, "b", job_id="daily")
    run(claim_row(job))

    assert rq_job.get_status() == "queued"


def test_a_job_that_rq_forgot_is_not_called_back_to_life(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    job = adopt()
    redis_client.flushall()
    run_waiting(job)

    assert not redis_client.exists(f"rq:job:{rq_job.id}")


def test_a_key_of_another_type_does_not_hold_up_the_reports(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    job = adopt()
    redis_client.delete(f"rq:job:{rq_job.id}")
    redis_client.set(f"rq:job:{rq_job.id}", "text")
    run_waiting(job)

    assert not TELLER._untold


def test_an_end_that_redis_does_not_take_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    rq_job = put(note, "a")
    job = adopt()
    with monkeypatch.context() as patch:
        patch.setattr(foreign, "report", is_unavailable)
        run_waiting(job)
    assert rq_job.get_status() == "started"

    TELLER.tell_untold()

    assert rq_job.get_status() == "finished"


@pytest.mark.parametrize(
    ("end", "status", "registry"),
    [
        (lambda: rescue.fail(Job.objects.active()), "failed", FailedJobRegistry),
        (lambda: Job.objects.active().update(state="cancelled"), "canceled", CanceledJobRegistry),
        (lambda: Job.objects.active().update(state="completed"), "finished", FinishedJobRegistry),
    ],
)
def test_a_job_that_ended_without_a_word_to_rq_is_reported_later(
    redis_client: redis.Redis, end: Callable[[], object], status: str, registry: Any
) -> None:
    rq_job = put(note, "a")
    claim_row(adopt())
    end()
    make_due(redis_client)
    adoption.look_after_due()

    assert rq_job.get_status() == status
    assert ids(registry) == [rq_job.id]
    assert not redis_client.exists(NOTED)


def test_a_job_that_still_runs_stays_noted(redis_client: redis.Redis) -> None:
    rq_job = put(note, "a")
    claim_row(adopt())
    make_due(redis_client)
    adoption.look_after_due()

    assert rq_job.get_status() == "started"
    assert redis_client.zrange(NOTED, 0, -1) == [rq_job.id.encode()]
