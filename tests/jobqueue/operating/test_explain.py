"""Why a job is not running, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import LazySettings

from jobqueue.models import UNKNOWN_PREFIX, Job, Queue, Worker
from jobqueue.operating.explain import Facts, explain, gather
from jobqueue.operating.explain_many import facts_of_waiting
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.conftest import UseRedis

NOW = datetime(2026, 5, 17, 14, 0, tzinfo=UTC)
FACTS = Facts(now=NOW)


def _job(**fields: Any) -> Job:
    defaults = {"processor": "email.notification", "queue": "email", "timeout": 30, "run_at": NOW}
    return Job(pk=7, **defaults | fields)


def _worker(silent_for: float = 0) -> Worker:
    return Worker(name="worker-1", heartbeat_at=NOW - timedelta(seconds=silent_for))


def test_a_delayed_job_says_until_when() -> None:
    job = _job(run_at=NOW + timedelta(hours=3))
    assert explain(job, FACTS) == "Delayed until 2026-05-17 17:00:00 UTC, in 3 h."


def test_a_job_between_attempts_says_which_retry_comes_when_and_after_what() -> None:
    job = _job(run_at=NOW + timedelta(seconds=4), attempt=3, failures=2)
    text = explain(job, replace(FACTS, last_error="ConnectionError"))
    assert text == "Retry 2 of 3 in 4 s after ConnectionError."


def test_a_job_that_asked_for_another_time_says_why() -> None:
    job = _job(run_at=NOW + timedelta(minutes=5), attempt=2, reason="1 payments are unsettled")
    assert explain(job, FACTS) == "Runs again in 5 min: 1 payments are unsettled."


def test_a_job_that_no_worker_knows_says_since_when_why_and_when_it_fails() -> None:
    reason = "no worker knows it: there is no processor 'email.notification'"
    job = _job(run_at=NOW + timedelta(seconds=20), unfit_since=NOW - timedelta(minutes=5), reason=reason)
    assert explain(job, FACTS) == (
        "No worker knows it since 5 min: there is no processor 'email.notification'. "
        "A worker that can run it takes it at once; without one it fails in 55 min. "
        "Deploy the code that knows it, or cancel the job."
    )


@pytest.mark.parametrize(("seconds", "is_unknown"), [(29, False), (31, True)])
def test_nobody_is_said_not_to_know_a_job_before_each_had_time_to_see_it(
    seconds: float, is_unknown: bool
) -> None:
    job = _job(
        unfit_since=NOW - timedelta(seconds=seconds), reason=f"{UNKNOWN_PREFIX}there is no processor 'x'"
    )
    text = explain(job, replace(FACTS, used_up_rate=5))
    assert ("cancel the job" in text) == is_unknown
    if not is_unknown:
        assert text == (
            "A worker that does not know it handed it on: there is no processor 'x'. One that knows it takes "
            "it as soon as it may. "
            "Held back by the queue's rate limit: no more than 5 jobs start in a second."
        )


def test_a_due_job_that_is_published_waits_for_a_free_worker() -> None:
    job = _job(run_at=NOW - timedelta(seconds=40), published_at=NOW)
    text = explain(job, replace(FACTS, workers=2))
    assert text == "Waiting for a free worker on queue email for 40 s: 2 workers serve it."


def test_a_due_job_that_is_not_published_is_about_to_be() -> None:
    job = _job(run_at=NOW - timedelta(seconds=3))
    assert explain(job, FACTS) == "Due for 3 s: about to be published to queue email."


def test_a_job_that_is_due_for_long_and_not_published_is_not_about_to_be(settings: LazySettings) -> None:
    job = _job(run_at=NOW - timedelta(seconds=29))
    assert explain(job, FACTS).startswith(
        "Due for 29 s, and could not be published to queue email yet: Redis may be away"
    )
    settings.JOBQUEUE = {"RELAY_INTERVAL": 10.0}
    assert explain(job, FACTS) == "Due for 29 s: about to be published to queue email."


def test_a_job_without_a_worker_says_that_no_worker_serves_its_queue() -> None:
    text = explain(_job(run_at=NOW - timedelta(seconds=3)), replace(FACTS, workers=0))
    assert "Waiting for a worker on queue email: no worker serves it." in text
    assert "manage.py rqworker email" in text


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("told", [{"quiet_asked_at": NOW}, {"stopping": True}])
def test_while_all_workers_are_quiet_or_ending_it_says_so_alone_and_in_a_list(told: dict[str, Any]) -> None:
    make_worker(**told)
    job = make_job()
    in_list = facts_of_waiting([job], database_now("default"), "default")[job.pk]
    for facts in (gather(job), in_list):
        text = explain(job, facts)
        assert "every worker that serves it is quiet or ending. Let one claim again" in text
        assert "no worker serves it" not in text


def test_a_job_of_a_paused_queue_says_so() -> None:
    text = explain(_job(run_at=NOW - timedelta(seconds=3)), replace(FACTS, is_paused=True))
    assert text == "Due for 3 s. The queue email is paused: resume it to let the job run."


def test_a_delayed_job_of_a_paused_queue_says_both() -> None:
    text = explain(_job(run_at=NOW + timedelta(hours=3)), replace(FACTS, is_paused=True))
    assert "Delayed until" in text
    assert "is paused" in text


def test_a_job_that_a_rate_limit_holds_back_says_so() -> None:
    text = explain(_job(run_at=NOW - timedelta(seconds=3)), replace(FACTS, used_up_rate=10))
    assert text == (
        "Due for 3 s. Held back by the queue's rate limit: no more than 10 jobs start in a second."
    )


def test_a_job_that_a_concurrency_limit_holds_back_says_so() -> None:
    text = explain(_job(run_at=NOW - timedelta(seconds=3)), replace(FACTS, used_up_concurrency=2))
    assert text == (
        "Due for 3 s. Held back by the queue's concurrency limit: no more than 2 jobs run at once."
    )


def test_a_paused_queue_says_nothing_of_its_limits() -> None:
    facts = replace(FACTS, is_paused=True, used_up_rate=10, used_up_concurrency=2)
    assert "limit" not in explain(_job(), facts)


def test_a_delayed_job_says_nothing_of_limits() -> None:
    facts = replace(FACTS, used_up_rate=10, used_up_concurrency=2)
    assert "limit" not in explain(_job(run_at=NOW + timedelta(hours=3)), facts)


def test_a_job_of_an_unknown_queue_says_so() -> None:
    assert "RQ_QUEUES has no queue email" in explain(_job(), replace(FACTS, is_configured=False))


def test_a_job_of_an_unknown_processor_says_so() -> None:
    assert "No processor email.notification is registered" in explain(
        _job(), replace(FACTS, is_registered=False)
    )


def test_a_running_job_says_who_runs_it_and_for_how_long() -> None:
    job = _job(state="active", started_at=NOW - timedelta(seconds=12))
    text = explain(job, replace(FACTS, worker=_worker()))
    assert text == "Claimed by worker worker-1, running for 12 s (its limit is 30 s)."


def test_a_name_that_was_made_up_is_not_told_in_full() -> None:
    job = _job(state="active", started_at=NOW - timedelta(seconds=12))
    worker = Worker(name="54b9ccffe64f4db7a80a98a7a67fdae7.2", heartbeat_at=NOW)
    assert "Claimed by worker 54b9ccff.2, running" in explain(job, replace(FACTS, worker=worker))


def test_a_job_of_a_silent_worker_says_since_when() -> None:
    job = _job(state="active", started_at=NOW - timedelta(seconds=100))
    text = explain(job, replace(FACTS, is_stuck=True, worker=_worker(silent_for=43)))
    assert text == (
        "Stuck: worker worker-1 has given no sign of life for 43 s. The next worker that is alive puts it "
        "back on the road, or fails it if its retries are used up."
    )


def test_a_job_past_its_limit_says_so() -> None:
    job = _job(state="active", started_at=NOW - timedelta(seconds=100))
    text = explain(job, replace(FACTS, is_stuck=True, worker=_worker()))
    assert text == "Stuck: running on worker worker-1 for 100 s, past its limit of 30 s."


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        (None, "Stuck: its worker is gone"),
        (_worker(silent_for=43), "Stuck: worker worker-1 has given no sign of life for 43 s."),
        (_worker(), "Stuck: running on worker worker-1 for 100 s, past its limit of 30 s."),
    ],
)
def test_a_stuck_job_that_is_to_stop_says_that_it_is_stuck_and_how_it_ends(
    worker: Worker | None, says: str
) -> None:
    stopping = {"stop_asked_at": NOW - timedelta(seconds=90), "stop_reason": "stopped by ann"}
    job = _job(state="active", started_at=NOW - timedelta(seconds=100), **stopping)
    text = explain(job, replace(FACTS, is_stuck=True, worker=worker))
    assert text.startswith(says)
    assert text.endswith(
        "Its stop was asked for (stopped by ann): whatever ends it, it ends as cancelled and is not retried."
    )


def test_a_job_whose_worker_has_no_row_any_more_says_so() -> None:
    job = _job(state="active", started_at=NOW - timedelta(minutes=10))
    assert "its worker is gone" in explain(job, replace(FACTS, is_stuck=True))


_DONE = {"state": "completed", "started_at": NOW - timedelta(seconds=61.2)}
_SKIPPED = {"state": "completed", "reason": "skipped: already paid"}
# Of four attempts, after each of which somebody retried it.
_FAILED = {"state": "failed", "failures": 1, "attempt": 4, "reason": "E: x"}
_UNKNOWN = "UnknownProcessor: no worker knew this job for 341 s (UNKNOWN_PROCESSOR_TIMEOUT): x is not known"
_LIKE_IT = "ValueError: no worker knew this job for 3 s"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (_DONE, "Completed 60 s ago after 1.2 s in attempt 1."),
        (_SKIPPED, "Skipped 60 s ago: there was nothing to do, already paid."),
        ({"state": "cancelled", "reason": "re-planned"}, "Cancelled 60 s ago: re-planned."),
        (_FAILED, "Failed 60 s ago in attempt 4: E: x. It stays here"),
        ({**_FAILED, "reason": _UNKNOWN}, f"Failed 60 s ago and never ran: {_UNKNOWN}. It stays here"),
        ({**_FAILED, "reason": _LIKE_IT}, f"Failed 60 s ago in attempt 4: {_LIKE_IT}. It stays here"),
    ],
)
def test_a_job_that_ended_says_how(fields: dict[str, Any], text: str) -> None:
    assert explain(_job(finished_at=NOW - timedelta(seconds=60), **fields), FACTS).startswith(text)


# Facts --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_only_living_workers_of_the_queue_count() -> None:
    make_worker()
    make_worker(queues=["reminders"])
    make_worker(silent_for=60)
    make_worker(stopping=True)
    assert gather(make_job()).workers == 1


@pytest.mark.django_db
def test_the_facts_know_a_paused_queue_and_the_last_error() -> None:
    Queue.objects.create(name="email", paused=True)
    job = make_job(attempt=3, failures=2)
    add_attempt(job, 1, "TimeoutError")
    add_attempt(job, 2, "ConnectionError")
    facts = gather(job)
    assert (facts.is_paused, facts.last_error) == (True, "ConnectionError")


@pytest.mark.django_db
@pytest.mark.parametrize(("running", "used_up"), [(1, None), (2, 2), (3, 2)])
def test_the_facts_know_whether_a_concurrency_limit_is_used_up(running: int, used_up: int | None) -> None:
    Queue.objects.create(name="email", concurrency_limit=2)
    for _ in range(running):
        make_job("active")
    make_job("active", queue="reminders")
    assert gather(make_job()).used_up_concurrency == used_up


@pytest.mark.django_db
@pytest.mark.parametrize(("ago", "used_up"), [(50, 2), (5000, None)])
def test_the_facts_know_whether_a_rate_limit_is_used_up(
    ago: int, used_up: int | None, redis_client: redis.Redis
) -> None:
    Queue.objects.create(name="email", rate_limit=2)
    seconds, microseconds = redis_client.time()
    now = seconds * 1000 + microseconds // 1000
    redis_client.rpush("rq:jobqueue:starts:email", now, now - ago)
    assert gather(make_job()).used_up_rate == used_up


@pytest.mark.django_db
def test_without_redis_nothing_is_said_about_a_rate(redis_closed: UseRedis) -> None:
    Queue.objects.create(name="email", rate_limit=2)
    assert gather(make_job()).used_up_rate is None


@pytest.mark.django_db
def test_the_facts_know_what_is_not_there() -> None:
    facts = gather(make_job("stuck", processor="removed", queue="removed"))
    assert (facts.is_registered, facts.is_configured, facts.is_stuck, facts.worker) == (
        False,
        False,
        True,
        None,
    )
