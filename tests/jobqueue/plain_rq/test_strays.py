"""What plain RQ leaves to its scheduler, or until other jobs have ended, is quarantined with its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import django_rq
import pytest
import redis
import rq
from rq.job import JobStatus
from rq.registry import DeferredJobRegistry, FailedJobRegistry, ScheduledJobRegistry

from jobqueue.broker import set_aside
from jobqueue.models import Job
from jobqueue.plain_rq import adoption
from tests.jobqueue.plain_rq.steps import NOTED, adopt, explanation, ids, make_due, put, put_raw, quarantined
from tests.jobqueue.steps import QUEUES, list_of
from tests.workload.functions import NOTE, note

pytestmark = pytest.mark.django_db(transaction=True)


def _enqueued_in() -> str:
    return str(django_rq.get_queue("email").enqueue_in(timedelta(seconds=1), note, "a").id)


def _enqueued_at() -> str:
    return str(django_rq.get_queue("email").enqueue_at(datetime(2020, 1, 1, tzinfo=UTC), note, "a").id)


def _deferred() -> str:
    parent = django_rq.get_queue("reminders").create_job(note, args=("parent",))
    parent.save()
    return str(put(note, "child", depends_on=parent).id)


def _ready() -> str:
    message_id = _deferred()
    client = django_rq.get_connection("email")
    client.rename("rq:deferred:email", "rq:ready:email")
    return message_id


def _rate_limited() -> str:
    limit = rq.RateLimit(key="few", concurrency=1)
    for name in ("first", "second"):
        last = put(note, name, rate_limit=limit)
    client = django_rq.get_connection("email")
    client.delete("rq:queue:email")
    return str(last.id)


STRAYS: dict[str, tuple[Callable[[], str], str]] = {
    "enqueue_in": (_enqueued_in, "a time of its own"),
    "enqueue_at": (_enqueued_at, "a time of its own"),
    "depends_on": (_deferred, "another job to end first"),
    "depends_on, ready": (_ready, "another job to end first"),
    "rate limit": (_rate_limited, "a rate limit of RQ's"),
}


@pytest.mark.parametrize("kind", STRAYS)
def test_what_only_rqs_scheduler_would_start_is_quarantined_and_says_why(
    redis_client: redis.Redis, kind: str
) -> None:
    make, why = STRAYS[kind]
    message_id = make()

    assert adoption.look_after_strays(QUEUES) == 0
    assert why in explanation(redis_client, message_id)
    assert message_id in ids(FailedJobRegistry)
    assert ids(ScheduledJobRegistry) == ids(DeferredJobRegistry) == []
    assert [known.queue for known in set_aside.listed(redis_client)] == ["email"]
    assert not redis_client.exists(NOTED)
    assert not Job.objects.exists()


def test_a_stray_whose_worker_died_before_it_could_say_why_is_not_run_by_the_next(
    redis_client: redis.Redis,
) -> None:
    message_id = _enqueued_in()
    adoption.foreign.strays(QUEUES)
    make_due(redis_client)

    assert adoption.look_after_due() == 0
    assert "a time of its own" in explanation(redis_client, message_id)
    assert not Job.objects.exists()


def test_strays_of_queues_that_the_worker_does_not_serve_are_left_to_those_who_do() -> None:
    message_id = _enqueued_in()

    adoption.look_after_strays(["reminders"])
    assert ids(ScheduledJobRegistry) == [message_id]


def test_a_scheduled_call_that_an_operator_puts_back_runs(redis_client: redis.Redis) -> None:
    _enqueued_in()
    adoption.look_after_strays(QUEUES)
    [known] = set_aside.listed(redis_client)

    assert set_aside.put_back(redis_client, known.kind, known.name) == ""
    assert adopt().payload["args"] == ["a"]
    assert set_aside.counted(redis_client)["message"] == 0


def test_a_call_with_retry_that_is_put_back_is_refused_again(redis_client: redis.Redis) -> None:
    put(note, "a", retry=rq.Retry(max=3, interval=60))
    adoption.look_after(quarantined())
    [known] = set_aside.listed(redis_client)
    set_aside.put_back(redis_client, known.kind, known.name)

    assert adoption.look_after(quarantined()) == 0
    assert [again.reason for again in set_aside.listed(redis_client)] == [known.reason]


def test_a_parent_and_its_children_are_quarantined_each_with_its_reason(redis_client: redis.Redis) -> None:
    parent = put(note, "parent")
    child = put(note, "child", depends_on=parent)
    assert child.get_status() == JobStatus.DEFERRED

    adoption.look_after(quarantined())
    adoption.look_after_strays(QUEUES)
    assert "jobs that depend on it" in explanation(redis_client, parent.id)
    assert "another job to end first" in explanation(redis_client, child.id)
    assert list_of(redis_client) == []


KEPT = [{"at_front": True}, {"result_ttl": 5}, {"failure_ttl": 5}, {"meta": {"a": 1}}]


@pytest.mark.parametrize("options", KEPT)
def test_what_asks_only_for_what_is_kept_here_too_is_adopted(options: dict[str, object]) -> None:
    put(note, "a", **options)

    assert adopt().payload["function"] == NOTE


def test_a_message_that_cannot_be_read_for_an_unforeseen_reason_is_refused(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(queue: str, message_id: str) -> None:
        raise RuntimeError(message_id)

    message_id = put_raw(redis_client, "x")
    monkeypatch.setattr(adoption, "read", fail)

    assert adoption.look_after(quarantined()) == 0
    assert "could not be read" in explanation(redis_client, message_id)
